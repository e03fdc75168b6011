"""The upstream server as a child process, and its controls."""

import json
import pathlib
import subprocess
import sys

import httpx

from rig import process

ENVOY_DIRECTORY = pathlib.Path(__file__).parents[1]


class Control:
    """What can be told to an upstream server, wherever it runs."""

    def __init__(self, control_url):
        self.control_url = control_url
        self._control = httpx.Client(base_url=control_url)

    def close(self):
        self._control.close()

    def does(self, behaviour):
        """From now on, for every request whose path names no behaviour itself."""
        self._tell("PUT", "/behaviour", content=behaviour)

    def release(self):
        self._tell("POST", "/release")

    def kill_connections(self):
        self._tell("POST", "/kill-connections")

    def refuse(self):
        self._tell("POST", "/refuse")

    def listen(self):
        self._tell("POST", "/listen")

    def forget_calls(self):
        self._tell("DELETE", "/counts")

    @property
    def calls(self):
        return self._counts()["calls"]

    @property
    def in_flight(self):
        return self._counts()["in_flight"]

    @property
    def max_in_flight(self):
        return self._counts()["max_in_flight"]

    @property
    def connections(self):
        return self._counts()["connections"]

    def calls_to(self, path):
        return self._counts()["calls_by_path"].get(path, 0)

    @property
    def recorded(self):
        """What the behaviour `record` has kept."""
        return self._tell("GET", "/recorded").json()

    def _counts(self):
        return self._tell("GET", "/counts").json()

    def _tell(self, method, path, **options):
        return self._control.request(method, path, **options).raise_for_status()


class Upstream(Control):
    def __init__(self):
        self.port = 0
        self._start()

    def _start(self):
        command = [sys.executable, "-m", "upstream", "--port", str(self.port), "--control", "0"]
        self._process = subprocess.Popen(
            command, cwd=ENVOY_DIRECTORY, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        ports = json.loads(self._process.stdout.readline())
        self.port = ports["port"]
        super().__init__(f"http://127.0.0.1:{ports['control']}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end()

    def _end(self):
        self.close()
        process.stop(self._process)
        self._process.stdout.close()

    def kill(self):
        """As the system does that is out of memory: the process is gone, and its connections with it."""
        self._process.kill()
        self._end()

    def start_again(self):
        """On the same port, knowing nothing of before."""
        self._start()
