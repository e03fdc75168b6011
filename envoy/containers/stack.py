"""docker-compose.yaml, up and running on free ports."""

import json
import os
import subprocess

import httpx

from containers import images
from containers.docker import compose, docker
from rig.client import Client
from rig.config import STATUS_PATH
from rig.proxy import is_ready
from rig.upstream import Control
from rig.wait import wait_until

FREE = {f"{name}_PORT": "0" for name in ("PROXY", "ADMIN", "STATUS", "CONTROL", "PROMETHEUS", "GRAFANA")}


class Stack:
    def __init__(self, project):
        self._project = project
        self.services = [service for service, tag in images.tags().items() if images.inspect(tag)]

    def __enter__(self):
        try:
            self._compose("up", "--detach", "--no-build", *self.services)
            self._find_ports()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for service in self.services:
            print(f"--- {service}\n{self.log(service)}")
        self._compose("down", "--volumes", "--remove-orphans", "--timeout", "3")

    def _find_ports(self):
        self.admin_url = self.url("upstream", 9901)
        self.proxy = Client(self.url("upstream", 10000), self.admin_url, self.url("upstream", 9903) + STATUS_PATH)
        self.upstream = Control(self.url("upstream", 8081))
        self.wait()

    def wait(self):
        wait_until(lambda: is_ready(self.admin_url), timeout=60)
        wait_until(self._upstream_answers, timeout=60)

    def _upstream_answers(self):
        try:
            return self.upstream.calls >= 0
        except httpx.TransportError:
            return False

    def restart(self, service):
        self._compose("restart", "--timeout", "3", service)
        self.wait()

    def url(self, service, port):
        """Where a port of the container is published."""
        return f"http://{self._compose('port', service, str(port))}"

    def containers(self):
        """All of the project, as `docker inspect` tells of them."""
        return json.loads(docker("inspect", *self._compose("ps", "--quiet").split()))

    def log(self, service):
        return docker("logs", self._compose("ps", "--quiet", service), stderr=subprocess.STDOUT)

    def _compose(self, *arguments):
        options = ("--project-name", self._project, "--profile", "metrics", "--file", str(images.FILE))
        return compose(*options, *arguments, env=os.environ | FREE)
