"""wrk as load on one circuit, until it is told that it is enough: then it counts what it was answered."""

import collections
import json
import pathlib
import signal
import subprocess

from rig import process

CONNECTIONS = 8
SCRIPT = pathlib.Path(__file__).with_name("wrk.lua")


class Wrk:
    """`enough` is the file that ends it."""

    def __init__(self, url, circuit, paths, enough):
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", "-d100h", "-s", SCRIPT, url]
        command += ["--", circuit, f"/{circuit}/", str(paths), enough]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        process.stop(self._process)
        self._process.stdout.close()

    def counts(self):
        """By what answered and with which status, once there is enough and all that was sent is answered."""
        line = next(line for line in self._process.stdout if line.startswith("{"))
        self._process.send_signal(signal.SIGINT)
        return collections.Counter(json.loads(line))
