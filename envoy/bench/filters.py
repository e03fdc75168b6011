"""The filters that are compared, as Envoy is told of them."""

import copy
import json
import pathlib

from rig.config import MODULE, STRING, bootstrap, cluster, connection_manager

TYPES = "type.googleapis.com/envoy.extensions.filters.http"
EMPTY_MODULE = MODULE.with_name("empty.wasm")
BREAKER = pathlib.Path(__file__).with_name("breaker.lua").read_text()

# Whatever opens stays open.
OPEN = {"duration": "1h", "max_duration": "1h", "jitter": 0}


def fusebox(**policy):
    return module(MODULE, {"defaults": {"open": OPEN, **policy}})


def empty():
    return module(EMPTY_MODULE, {})


def module(file, configuration):
    """As envoy.yaml has fusebox, but for these."""
    [made] = [
        copy.deepcopy(each)
        for each in connection_manager(bootstrap(cluster("none")), "proxy")["http_filters"]
        if each["name"] == "fusebox"
    ]
    made["typed_config"]["config"] |= {"configuration": {"@type": STRING, "value": json.dumps(configuration)}}
    made["typed_config"]["config"]["vm_config"]["code"] = {"local": {"filename": str(file)}}
    return made


def lua(source):
    code = {"inline_string": source}
    return {"name": "lua", "typed_config": {"@type": f"{TYPES}.lua.v3.Lua", "default_source_code": code}}


def admission_control():
    """Counts in a window as long as ours, and by statuses as we do."""
    return {
        "name": "admission_control",
        "typed_config": {
            "@type": f"{TYPES}.admission_control.v3.AdmissionControl",
            "sampling_window": "10s",
            "success_criteria": {"http_criteria": {"http_success_status": [{"start": 100, "end": 500}]}},
        },
    }
