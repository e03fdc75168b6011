"""On what figures were measured, and of what."""

import datetime
import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess

from rig.config import MODULE


def facts():
    return {
        "date": datetime.date.today().isoformat(),
        "CPU": f"{cpu_model()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "Envoy": envoy_version(),
        "fusebox.wasm": module(MODULE),
    }


def load():
    """How many processes wanted to run over the last minute, what measures included."""
    return os.getloadavg()[0]


def cpu_model():
    with open("/proc/cpuinfo") as file:
        found = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    return found[1] if found else platform.machine()


def envoy_version():
    command = [os.environ["FUSEBOX_ENVOY"], "--version"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.search(r"/(\d+\.\d+\.\d+)/", output)[1]


def wrk_version():
    return subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.split()[1]


def package(name):
    return importlib.metadata.version(name)


def module(file):
    content = file.read_bytes()
    return f"{len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}"
