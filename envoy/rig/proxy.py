"""A real Envoy as a child process, and what can be asked of it."""

import json
import os
import socket
import subprocess

import httpx

from rig import process
from rig.client import Client
from rig.config import STATUS_PATH
from rig.wait import wait_until


class Exited(Exception):
    """Envoy ended by itself. The message is its log."""


class Proxy(Client):
    def __init__(
        self,
        config,
        directory,
        concurrency=2,
        file_name="envoy.json",
        wasm_log_level="debug",
        restart=("--disable-hot-restart",),
    ):
        directory.mkdir(parents=True)
        self._log, self._access_log = directory / "envoy.log", directory / "access.log"
        admin_address = directory / "admin"
        # JSON is YAML too: the ending picks Envoy's parser.
        config_file = directory / file_name
        config_file.write_text(json.dumps(config))
        command = [
            os.environ["FUSEBOX_ENVOY"],
            *("--config-path", config_file),
            *("--concurrency", str(concurrency)),
            *("--admin-address-path", admin_address),
            *restart,
            *("--file-flush-interval-msec", "10"),
            *("--log-level", "warning", "--component-log-level", f"wasm:{wasm_log_level}"),
        ]
        with self._log.open("w") as log, self._access_log.open("w") as access_log:
            self._process = subprocess.Popen(command, stdout=access_log, stderr=log, start_new_session=True)
        self.pid = self._process.pid
        try:
            wait_until(lambda: self._is_alive() and admin_address.exists() and admin_address.read_text(), timeout=60)
            admin_url = f"http://{admin_address.read_text()}"
            wait_until(lambda: self._is_alive() and is_ready(admin_url), timeout=60)
            self._connect(admin_url)
        except BaseException:
            process.stop(self._process)
            raise

    def _is_alive(self):
        if self._process.poll() is not None:
            raise Exited(self.log())
        return True

    def _connect(self, admin_url):
        listeners = httpx.get(f"{admin_url}/listeners?format=json").json()["listener_statuses"]
        self.ports = {each["name"]: each["local_address"]["socket_address"]["port_value"] for each in listeners}
        self.port = self.ports["proxy"]
        super().__init__(
            url=f"http://127.0.0.1:{self.port}",
            admin_url=admin_url,
            status_url=f"http://127.0.0.1:{self.ports['status']}{STATUS_PATH}",
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.close()
        process.stop(self._process)

    def wait(self):
        """For its own end."""
        self._process.wait(30)

    def connect(self):
        """A bare connection, for clients that misbehave."""
        return socket.create_connection(("127.0.0.1", self.port))

    def set_runtime(self, **values):
        self.admin.post("/runtime_modify", params=values).raise_for_status()

    def log(self):
        return self._log.read_text()

    def access_log(self):
        # The last line may still be on its way.
        complete = self._access_log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in complete.splitlines()]

    def logged(self, path):
        """The access log's entries for a path, waiting for the first."""
        return wait_until(lambda: [each for each in self.access_log() if each["path"] == path])

    def connections_of_worker(self, worker):
        """How many connections of clients the worker has taken."""
        return self.stat(f"listener.proxy.worker_{worker}.downstream_cx_total")


def is_ready(admin_url):
    try:
        return httpx.get(f"{admin_url}/ready").status_code == 200
    except httpx.TransportError:
        return False
