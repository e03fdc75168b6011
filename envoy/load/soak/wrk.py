"""wrk as load on one circuit, until it is told that it is enough: then it counts what it was answered."""

import collections
import json
import pathlib
import signal
import subprocess

from rig import process

CONNECTIONS = 8
SCRIPT = pathlib.Path(__file__).with_name("wrk.lua")


class Failed(Exception):
    """wrk could not count to the end."""


class Wrk:
    """`enough` is the file that ends it; so does the time, with a request that is never answered."""

    def __init__(self, url, circuit, paths, enough, most_seconds):
        self._circuit = circuit
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{most_seconds}s", "-s", SCRIPT, url]
        command += ["--", circuit, f"/{circuit}/", str(paths), enough]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        process.stop(self._process)
        self._process.stdout.close()

    def counts(self):
        """By what answered and with which status, once there is enough and all that was sent is answered."""
        line = next((line for line in self._process.stdout if line.startswith("{")), None)
        if not line:
            raise Failed(f"{self._circuit}: some requests were not answered")
        self._process.send_signal(signal.SIGINT)
        return collections.Counter(json.loads(line))
