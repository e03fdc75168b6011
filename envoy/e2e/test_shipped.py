"""The configurations in this directory as users get them."""

import os
import subprocess

import pytest

from e2e.words import trip
from rig.config import ENVOY_DIRECTORY, cluster, plugin


FILES = [each.name for each in ENVOY_DIRECTORY.glob("*.yaml") if each.name != "docker-compose.yaml"]


@pytest.mark.parametrize("file", FILES)
def test_envoy_accepts_the_file_as_it_is(file):
    command = [os.environ["FUSEBOX_ENVOY"], "--mode", "validate", "--config-path", f"envoy/{file}"]
    validated = subprocess.run(command, cwd=ENVOY_DIRECTORY.parent, capture_output=True, text=True)
    assert validated.returncode == 0, validated.stderr


def test_prometheus_gets_the_circuit_as_a_label_even_with_dots_in_its_name(start, upstream):
    proxy = start(cluster("api.opened.example", upstream), plugin=plugin())
    trip(proxy)

    scraped = proxy.admin.get("/stats/prometheus").text

    for metric, value in {"state": 1, "opened": 1, "failures": 5}.items():
        assert f'circuit_breaker_{metric}{{circuit="api.opened.example"}} {value}' in scraped.splitlines()


def test_the_status_is_shown_on_its_own_listener_only(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin())
    proxy.get()

    assert proxy.circuits().keys() == {"backend"}
    assert proxy.get("/-/circuit-breakers").text == "200 from the upstream\n"
