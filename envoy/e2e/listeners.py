"""Listeners that change while Envoy runs."""

import json
import os

from e2e.words import assert_rejected, get_anew, trip
from rig.config import set_plugin, wasm
from rig.load import Load
from rig.wait import wait_until

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


def assert_serves_on(proxy, upstream, update):
    """`update` is refused under load: all the while what was there before serves every request and counts it, and then
    trips by its own rules."""
    with Load(proxy.port, "backend", 150) as load:
        wait_until(lambda: load.replies[200] >= 30)
        update()
        wait_until(lambda: proxy.stat("listener_manager.lds.update_rejected") == 1)
        refused = load.sent
        wait_until(lambda: load.sent >= refused + 60)
        load.end()

    assert load.replies == {200: load.sent}
    wait_until(lambda: proxy.metric("successes") == load.sent)
    assert upstream.calls == load.sent
    trip(proxy)
    assert_rejected(get_anew(proxy), retry_after=range(2, 21))
    wait_until(lambda: proxy.metric("rejected") == 1)
    assert (upstream.calls, proxy.metric("failures")) == (load.sent + 5, 5)
