"""Many circuits in one Envoy: starting one for each test would take longer than the tests."""

import contextlib

from rig.config import bootstrap, cluster, connection_manager, plugin
from rig.proxy import Proxy
from rig.upstream import Upstream


class Circuits:
    """Each with a policy, and a cluster and a host of its name; all lead to one upstream."""

    def __init__(self):
        self._policies, self._clusters, self._routes = {}, {}, {}

    def add(self, name, http2=False, route=None, opens_for="20s", **policy):
        self._policies[name] = plugin(opens_for, **policy)["defaults"]
        self._clusters[name] = {"http2": http2}
        self._routes[name] = route or {}
        return name

    @contextlib.contextmanager
    def served(self, directory):
        """The proxy and its upstream. All clients are from within: Envoy accepts timeouts of theirs."""
        with Upstream() as upstream:
            clusters = [cluster(name, upstream, **fields) for name, fields in self._clusters.items()]
            config = bootstrap(*clusters, plugin=plugin() | {"circuits": self._policies}, timeout="30s")
            manager = connection_manager(config, "proxy")
            manager["internal_address_config"] = {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]}
            for host in manager["route_config"]["virtual_hosts"]:
                host["routes"][0]["route"] |= self._routes[host["name"]]
            with Proxy(config, directory / "envoy") as proxy:
                yield proxy, upstream
                print(proxy.log())
