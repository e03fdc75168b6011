"""Configurations for Envoy, made from the envoy.yaml that is shipped: what users get is what is tested."""

import copy
import json
import pathlib

import yaml

ENVOY_DIRECTORY = pathlib.Path(__file__).parents[1]
MODULE = ENVOY_DIRECTORY.parent / "dist" / "fusebox.wasm"
STATUS_PATH = "/-/circuit-breakers"

STRING = "type.googleapis.com/google.protobuf.StringValue"
STRUCT = "type.googleapis.com/google.protobuf.Struct"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def plugin(opens_for="1s", **policy):
    """A plugin configuration: the default policy, but for short waits and what is given."""
    opens = {"duration": opens_for, "jitter": 0, **policy.pop("open", {})}
    return {"defaults": {"open": opens, **policy}, "status": {"path": STATUS_PATH}}


def cluster(name, upstream=None, http2=False, **fields):
    """A cluster of one endpoint; of none without an upstream."""
    endpoints = []
    if upstream:
        address = {"socket_address": {"address": "127.0.0.1", "port_value": upstream.port}}
        endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    made = {
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        **fields,
    }
    if http2:
        made |= protocol(http2_protocol_options={})
    return made


def protocol(**explicit):
    """The field of a cluster that says which HTTP it speaks, and how."""
    options = {"@type": f"type.googleapis.com/{HTTP_OPTIONS}", "explicit_http_config": explicit}
    return {"typed_extension_protocol_options": {HTTP_OPTIONS: options}}


def route(cluster, timeout="10s", **action):
    """All paths to one cluster."""
    return {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": timeout, **action}}


def example(file, **upstreams):
    """A shipped configuration as it is, but for what `localized` changes."""
    return localized(yaml.safe_load((ENVOY_DIRECTORY / file).read_text()), **upstreams)


def localized(config, **upstreams):
    """With free ports, the module's place and the clusters' upstreams."""
    config["admin"]["address"] = free_port()
    for listener in config["static_resources"]["listeners"]:
        listener["address"] = free_port()
        # Connections take turns on the workers, so that two of them are on two.
        listener["connection_balance_config"] = {"exact_balance": {}}
    wasm(config)["vm_config"]["code"] = {"local": {"filename": str(MODULE)}}
    clusters = config["static_resources"]["clusters"]
    for each in clusters:
        if each["name"] in upstreams:
            each |= cluster(each["name"], upstreams[each["name"]])
    return config


def bootstrap(*clusters, plugin=plugin(), earlier_filters=(), later_filters=(), timeout="10s", file="envoy.yaml"):
    """The file with these clusters, each under its name as host, the first under any other host too.

    `plugin` is a dict (sent as JSON text), a ready Any (a dict with "@type"), or None. `earlier_filters` come before
    fusebox, `later_filters` after it.
    """
    config = example(file)
    config["layered_runtime"] = {"layers": [{"name": "admin", "admin_layer": {}}]}
    config["static_resources"]["clusters"] = list(clusters)
    for listener in config["static_resources"]["listeners"]:
        listener["stat_prefix"] = listener["name"]

    manager = connection_manager(config, "proxy")
    manager["route_config"]["virtual_hosts"] = [
        {
            "name": each["name"],
            "domains": [each["name"], "*"] if each is clusters[0] else [each["name"]],
            "routes": [route(each["name"], timeout)],
        }
        for each in clusters
    ]
    manager["http_filters"][:0] = earlier_filters
    manager["http_filters"][-1:-1] = later_filters
    set_plugin(config, plugin)
    return config


def bare(config, *filters):
    """Without access logs, and with no filters but these, on the proxy's listener, and the router."""
    for listener in config["static_resources"]["listeners"]:
        manager = connection_manager(config, listener["name"])
        own = filters if listener["name"] == "proxy" else ()
        manager |= {"access_log": [], "http_filters": [*own, manager["http_filters"][-1]]}
    return config


def set_plugin(config, plugin, listener_name="proxy"):
    fusebox = wasm(config, listener_name)
    if plugin is None:
        del fusebox["configuration"]
    elif "@type" in plugin:
        fusebox["configuration"] = plugin
    else:
        fusebox["configuration"] = {"@type": STRING, "value": json.dumps(plugin)}


def as_struct(plugin):
    return {"@type": STRUCT, "value": plugin}


def free_port():
    return {"socket_address": {"address": "127.0.0.1", "port_value": 0}}


def connection_manager(config, listener_name):
    [listener] = [each for each in config["static_resources"]["listeners"] if each["name"] == listener_name]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def wasm(config, listener_name="proxy"):
    """The plugin configuration's place; the listeners of the file share it."""
    filters = connection_manager(config, listener_name)["http_filters"]
    [fusebox] = [each for each in filters if each["name"] == "fusebox"]
    return fusebox["typed_config"]["config"]


def add_listener(config, name, plugin):
    """One more like the proxy's, with a plugin configuration of its own."""
    listeners = config["static_resources"]["listeners"]
    [proxy] = [each for each in listeners if each["name"] == "proxy"]
    listeners.append(copy.deepcopy(proxy) | {"name": name, "stat_prefix": name})
    set_plugin(config, plugin, name)


def add_route_by_filter_state(config, circuit):
    """Where a request goes that fusebox sends to this circuit."""
    match = {"filter_state": [{"key": "wasm.circuit_breaker_route", "string_match": {"exact": circuit}}]}
    for host in connection_manager(config, "proxy")["route_config"]["virtual_hosts"]:
        host["routes"].insert(0, {"match": {"prefix": "/", **match}, "route": {"cluster": circuit}})
