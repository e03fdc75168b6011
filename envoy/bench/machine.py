"""On what all this was measured, and what."""

import datetime
import hashlib
import os
import platform
import re
import subprocess

from bench import wrk
from bench.filters import EMPTY_MODULE
from rig.config import MODULE


def facts():
    return {
        "date": datetime.date.today().isoformat(),
        "CPU": f"{cpu_model()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "Envoy": envoy_version(),
        "wrk": wrk.version(),
        "fusebox.wasm": module(MODULE),
        "empty.wasm": module(EMPTY_MODULE),
    }


def load():
    """How many processes wanted to run over the last minute, the bench's own three included."""
    return os.getloadavg()[0]


def cpu_model():
    with open("/proc/cpuinfo") as file:
        found = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    return found[1] if found else platform.machine()


def envoy_version():
    command = [os.environ["FUSEBOX_ENVOY"], "--version"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.search(r"/(\d+\.\d+\.\d+)/", output)[1]


def module(file):
    content = file.read_bytes()
    return f"{len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}"
