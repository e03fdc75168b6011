"""docker-compose.yaml as far as it can be tried without Docker; containers/ runs it."""

import os
import re
import subprocess

import yaml

from rig.config import ENVOY_DIRECTORY

SERVICES = yaml.safe_load((ENVOY_DIRECTORY / "docker-compose.yaml").read_text())["services"]


def test_envoy_accepts_what_the_container_adds_to_the_file():
    command = [os.environ["FUSEBOX_ENVOY"], "--mode", "validate", *SERVICES["envoy"]["command"]]
    validated = subprocess.run(command, cwd=ENVOY_DIRECTORY.parent, capture_output=True, text=True)
    assert validated.returncode == 0, validated.stderr


def test_it_runs_the_envoy_that_the_tests_run():
    makefile = (ENVOY_DIRECTORY.parent / "Makefile").read_text()
    [version] = re.findall("^ENVOY_VERSION \\?= (.*)$", makefile, re.MULTILINE)
    assert f":-v{version}}}" in SERVICES["envoy"]["image"]


def test_without_an_engine_one_line_says_so():
    environment = os.environ | {"DOCKER_HOST": "unix:///nowhere"}
    refused = subprocess.run(["tools/docker.sh"], cwd=ENVOY_DIRECTORY, env=environment, capture_output=True, text=True)

    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert line.startswith("make e2e-docker needs a running Docker engine and Compose: ")
