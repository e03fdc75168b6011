"""Locust as a child process, and what its users recorded."""

import csv
import pathlib
import subprocess
import sys
from dataclasses import dataclass

from rig import process
from rig.wait import wait_until

USERS = pathlib.Path(__file__).with_name("users.py")
# For the replies that are on their way when the time is over.
PATIENCE = 20


class Failed(Exception):
    """Locust did not do its work. The message is its log."""


@dataclass(frozen=True)
class Reply:
    """What a client got: `kind` is what users.py says; the witness is no user."""

    time: float
    milliseconds: float
    user: int | None
    asked: str
    of: str
    kind: str
    status: int


class Swarm:
    def __init__(self, scenario, proxy, directory):
        directory.mkdir(parents=True)
        self._records, self._log = directory / "records.csv", directory / "locust.log"
        command = [
            *(sys.executable, "-m", "locust", "--locustfile", USERS),
            *("--headless", "--only-summary", "--exit-code-on-error", "0"),
            *("--users", str(scenario.users), "--spawn-rate", str(scenario.users_a_second)),
            *("--run-time", f"{scenario.seconds}s", "--stop-timeout", str(PATIENCE)),
            *("--host", proxy.url, "--status-url", proxy.status_url, "--records", self._records),
        ]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        process.stop(self._process)

    def wait_for_start(self):
        wait_until(lambda: not self.is_running() or self._records.exists(), timeout=60)

    def is_running(self):
        return self._process.poll() is None

    def replies(self):
        """Of all, once it has ended."""
        if self._process.returncode or not self._records.exists():
            raise Failed(self._log.read_text())
        with self._records.open(newline="") as file:
            return [
                Reply(
                    time=float(row["time"]),
                    milliseconds=float(row["milliseconds"]),
                    user=int(row["user"]),
                    asked=row["asked"],
                    of=row["of"],
                    kind=row["kind"],
                    status=int(row["status"]),
                )
                for row in csv.DictReader(file)
            ]
