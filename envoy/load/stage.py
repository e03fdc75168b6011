"""What is under load: the assistant of the example, and beside it the same without fallbacks."""

import copy
import json
import os

from rig.config import cluster, connection_manager, example, set_plugin, wasm

ASSISTANT, PLAIN = "assistant", "plain"
# What the clients of each ask for.
PATHS = {circuit: f"/api/{circuit}/query" for circuit in (ASSISTANT, PLAIN)}
# The behaviour of the upstream while it is well, and the token that it wants.
WELL = "assistant"
os.environ["ASSISTANT_TOKEN"] = "secret"


def config(upstream, open_policy):
    made = example("assistant.yaml", assistant=upstream)
    made["static_resources"]["clusters"].append(cluster(PLAIN, upstream))
    manager = connection_manager(made, "proxy")
    # Times as the status and the clients tell them, and what makes an entry out of many a certain client's.
    entry = {"time": "%START_TIME(%s.%3f)%", "asked": "%REQ(X-ASKED)%"}
    manager["access_log"][0]["typed_config"]["log_format"]["json_format"] |= entry
    [host] = manager["route_config"]["virtual_hosts"]
    route = copy.deepcopy(host["routes"][0]) | {"match": {"prefix": f"/api/{PLAIN}/"}}
    route["route"]["cluster"] = PLAIN
    host["routes"].append(route)

    plugin = json.loads(wasm(made)["configuration"]["value"])
    plugin["defaults"] = {"open": open_policy}
    plugin["circuits"][PLAIN] = {}
    set_plugin(made, plugin)
    return made
