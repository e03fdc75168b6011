"""One Envoy for all endings, and what it has counted."""

import contextlib
import re

from e2e.endings.client import Client
from e2e.endings.ending import ENDINGS
from e2e.endings.filters import EARLIER, LATER, ON
from rig.config import bootstrap, cluster, connection_manager, plugin, route
from rig.ports import Full, Refusing
from rig.proxy import Proxy
from rig.upstream import Upstream
from rig.wait import wait_until

# A circuit that has nothing but successes.
WITNESS = "witness"
STAT = re.compile(r"wasmcustom\.circuit_breaker\.(\w+)\.(\w+): (\d+)")


class Stage:
    """Envoy has one worker, so what is counted is counted in turn."""

    def __init__(self, proxy, upstream):
        self.proxy, self.upstream = proxy, upstream
        self._witnessed = 0

    def client(self, ending):
        return Client(self, ending)

    def counts(self):
        """All metrics of all circuits, once all that has ended is in them.

        Successes are added at the worker's next tick: those of the others are there when the witness's is.
        """
        assert self.proxy.get(host=WITNESS).status_code == 200
        self._witnessed += 1
        wait_until(lambda: self.proxy.metric("successes", WITNESS) == self._witnessed)
        stats = self.proxy.admin.get("/stats", params={"filter": "^wasmcustom.circuit_breaker"}).text
        counts = {f"{circuit}.{metric}": int(value) for circuit, metric, value in STAT.findall(stats)}
        return {name: value for name, value in counts.items() if not name.startswith(f"{WITNESS}.")}

    def logged(self, ending, nth):
        """What the access log says of the nth of its requests, waiting for it."""
        return wait_until(lambda: [each for each in self.proxy.access_log() if is_of(each, ending)][nth - 1 : nth])[0]


def is_of(entry, ending):
    """Of a request that could not be parsed there is no host."""
    return ending.host == entry["host"] or (not entry["host"] and ending.details == entry["details"])


@contextlib.contextmanager
def staged(directory):
    with Upstream() as upstream, Upstream() as failing, Refusing() as refusing, Full() as full:
        failing.does("status/500")
        places = {None: None, "upstream": upstream, "refusing": refusing, "full": full}
        clusters = [cluster(WITNESS, upstream), cluster("copies", failing)]
        clusters += [cluster(each.name, places[each.at], **each.cluster) for each in ENDINGS]
        with Proxy(configuration(clusters), directory, concurrency=1) as proxy:
            yield Stage(proxy, upstream)
            print(proxy.log())


def configuration(clusters):
    # Nothing trips by itself, nor is slow but where that is the point.
    policies = plugin(trip={"consecutive_failures": 1_000_000}, classify={"slow_after": "5s"})
    policies["circuits"] = {each.name: each.policy for each in ENDINGS if each.policy}
    config = bootstrap(*clusters, plugin=policies, earlier_filters=EARLIER, later_filters=LATER)

    manager = connection_manager(config, "proxy")
    # Only a client within is heard when it sets timeouts.
    manager["internal_address_config"] = {"cidr_ranges": [{"address_prefix": "127.0.0.1", "prefix_len": 32}]}
    manager["proxy_100_continue"] = True
    # How long a client is left that got a part of a reply.
    manager["delayed_close_timeout"] = "0.05s"
    manager["upgrade_configs"] = [{"upgrade_type": "websocket"}]
    manager["http_filters"][-1]["typed_config"]["respect_expected_rq_timeout"] = True
    log_format = manager["access_log"][0]["typed_config"]["log_format"]["json_format"]
    log_format |= {"host": "%REQ(:AUTHORITY)%", "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"}

    hosts = {each["name"]: each for each in manager["route_config"]["virtual_hosts"]}
    for ending in ENDINGS:
        hosts[ending.name] |= {
            "domains": [ending.host],
            "routes": [route(ending.name, **ending.route)] if ending.routes is None else ending.routes,
            "typed_per_filter_config": {name: ON for name in ending.filters},
        }
    return config
