"""An upstream that is faster than ours, for it is an Envoy. It does nothing but give fixed answers."""

from rig.config import bare, bootstrap, cluster, connection_manager

MIB = 1 << 20


def origin(*answers):
    """The configuration of one that gives these; where several have the path, the first."""
    config = bare(bootstrap(cluster("none")))
    routes = connection_manager(config, "proxy")["route_config"]
    routes["max_direct_response_body_size_bytes"] = MIB
    routes["virtual_hosts"][0]["routes"] = list(answers)
    return config


def answer(path, status, body, percentage=100, runtime_key=None):
    """For paths that begin so; for the rest of the requests a later answer has to be found.

    With the key in Envoy's runtime the percentage can be set.
    """
    fraction = {"default_value": {"numerator": percentage}} | ({"runtime_key": runtime_key} if runtime_key else {})
    return {
        "match": {"prefix": path, **({} if percentage == 100 else {"runtime_fraction": fraction})},
        "direct_response": {"status": status, "body": {"inline_string": body}},
    }
