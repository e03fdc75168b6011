"""wrk as load: one thread, 16 connections that are kept, each asking again as soon as it is answered."""

import json
import pathlib
import signal
import subprocess
import time
from dataclasses import dataclass

CONNECTIONS = 16
SCRIPT = pathlib.Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Report:
    """`failed` counts statuses from 400 on, `broken` requests without an answer; p50 and p99 are in microseconds."""

    requests: int
    failed: int
    broken: int
    p50: int
    p99: int


def run(url, seconds, path, hosts):
    # It takes whole seconds only, and ends with its report when it is interrupted.
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", "-d1h", "-s", SCRIPT, url, "--", path, *hosts]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            time.sleep(seconds)
        finally:
            process.send_signal(signal.SIGINT)
        output, _ = process.communicate()
    return Report(**json.loads(output.splitlines()[-1]))
