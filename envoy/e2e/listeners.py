"""Listeners that change while Envoy runs."""

import json
import os

from rig.config import set_plugin, wasm

LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"


class Listeners:
    """The listeners of a configuration, in a file that Envoy watches."""

    def __init__(self, config, directory):
        self.config = config
        self._file = directory / "listeners.json"
        self._listeners = config["static_resources"].pop("listeners")
        config["node"] = {"id": "test", "cluster": "test"}
        config["dynamic_resources"] = {"lds_config": {"path_config_source": {"path": str(self._file)}}}
        self._write()

    def update(self, plugin=None, module=None):
        """What is given changes."""
        config = {"static_resources": {"listeners": self._listeners}}
        if plugin:
            set_plugin(config, plugin)
        if module:
            wasm(config)["vm_config"]["code"] = {"local": {"filename": str(module)}}
        self._write()

    def _write(self):
        resources = [{"@type": LISTENER, **each} for each in self._listeners]
        # Envoy looks when a file is moved to the watched name.
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps({"resources": resources}))
        os.replace(new, self._file)
