"""Envoy as it is measured: quiet."""

from rig.proxy import Proxy


def start(config, workers, directory):
    return Proxy(config, directory, concurrency=workers, wasm_log_level="warning")
