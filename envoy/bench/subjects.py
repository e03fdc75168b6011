"""The Envoys that are compared, and the loads that each is put under.

A load makes a row of the table. It is compared with its reference: the same load without a filter.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from bench import filters
from bench.claims import ANSWERED, CACHED, CONTROLLED, JUDGED, PROXIED, REJECTED, SCRIPTED
from bench.upstream import CACHEABLE, ONE_IN_100, ROOT, SMALL, THREE_IN_10
from rig.config import bare, bootstrap, cluster, connection_manager
from rig.origin import answer

# Thresholds of the same rules that random failures do not reach.
TOLERANT = {
    "consecutive_failures": 1_000_000,
    "failure_ratio": {"ratio": 0.9, "minimum_requests": 1000, "window": "10s"},
}
# The default rules, and one more.
SLOW = {
    "consecutive_failures": 5,
    "failure_ratio": {"ratio": 0.5, "minimum_requests": 20, "window": "10s"},
    "slow_ratio": {"ratio": 0.8, "minimum_requests": 20, "window": "10s"},
}


@dataclass(frozen=True)
class Load:
    """`failures` is the share of them among the replies. See `claims`."""

    row: str
    reference: str
    path: str = ROOT
    failures: float = 0
    claims: dict[str, Callable] = field(default_factory=lambda: PROXIED)
    opens_first: bool = False


@dataclass(frozen=True)
class Subject:
    """`answers` is whether it does so itself, without an upstream."""

    loads: list[Load]
    chain: list[dict] = ()
    clusters: int = 1
    cluster_fields: dict = field(default_factory=dict)
    answers: bool = False

    @property
    def name(self):
        return self.loads[0].row

    @property
    def hosts(self):
        return [f"circuit_{number}" for number in range(self.clusters)]

    def config(self, upstream):
        clusters = [cluster(name, upstream, **self.cluster_fields) for name in self.hosts]
        config = bare(bootstrap(*clusters), *self.chain)
        for host in connection_manager(config, "proxy")["route_config"]["virtual_hosts"]:
            # The Lua breaker knows its circuits by this.
            host["routes"][0]["name"] = host["name"]
            if self.answers:
                host["routes"] = [answer(ROOT, 200, SMALL)]
        return config


PLAIN = "no filter"
PLAIN_LARGE = "no filter, reply of 4 KiB"
PLAIN_1_PERCENT = "no filter, 1 % fail"
PLAIN_30_PERCENT = "no filter, 30 % fail"
PLAIN_100, PLAIN_1000 = "no filter, 100 clusters", "no filter, 1,000 clusters"
EMPTY = "SDK filter that does nothing"
CLOSED = "fusebox, closed"
OPENED = "fusebox, open: rejected"
LUA = "Lua breaker"
CACHED_REPLY = "fusebox, open: cached reply of 4 KiB"
MANY_FAIL = "fusebox, closed, 30 % fail"
CIRCUITS_1000 = "fusebox, 1,000 circuits"

SUBJECTS = [
    Subject(
        [
            Load(PLAIN, PLAIN),
            Load(PLAIN_LARGE, PLAIN_LARGE, CACHEABLE),
            Load(PLAIN_1_PERCENT, PLAIN_1_PERCENT, ONE_IN_100, 0.01),
            Load(PLAIN_30_PERCENT, PLAIN_30_PERCENT, THREE_IN_10, 0.3),
        ]
    ),
    Subject([Load(EMPTY, PLAIN)], [filters.empty()]),
    Subject(
        [
            Load(CLOSED, PLAIN, claims=JUDGED),
            Load(OPENED, PLAIN, failures=1, claims=REJECTED, opens_first=True),
        ],
        [filters.fusebox()],
    ),
    Subject(
        [Load("fusebox, closed, slow_after", PLAIN, claims=JUDGED)],
        [filters.fusebox(classify={"slow_after": "2s"}, trip=SLOW)],
    ),
    Subject(
        [
            Load("fusebox, closed, cache of 4 KiB replies", PLAIN_LARGE, CACHEABLE, claims=JUDGED),
            Load(CACHED_REPLY, PLAIN_LARGE, CACHEABLE, claims=CACHED, opens_first=True),
        ],
        [filters.fusebox(fallback=[{"cache": {}}])],
    ),
    Subject(
        [
            Load("fusebox, closed, 1 % fail", PLAIN_1_PERCENT, ONE_IN_100, 0.01, JUDGED),
            Load(MANY_FAIL, PLAIN_30_PERCENT, THREE_IN_10, 0.3, JUDGED),
        ],
        [filters.fusebox(trip=TOLERANT)],
    ),
    Subject([Load(LUA, PLAIN, claims=SCRIPTED)], [filters.lua(filters.BREAKER)]),
    Subject([Load("admission_control", PLAIN, claims=CONTROLLED)], [filters.admission_control()]),
    Subject([Load("outlier_detection", PLAIN)], cluster_fields={"outlier_detection": {}}),
    # The least that any reply costs, upstream or none.
    Subject([Load("direct_response", PLAIN, claims=ANSWERED)], answers=True),
    Subject([Load(PLAIN_100, PLAIN_100)], clusters=100),
    Subject([Load("fusebox, 100 circuits", PLAIN_100, claims=JUDGED)], [filters.fusebox()], clusters=100),
    Subject([Load(PLAIN_1000, PLAIN_1000)], clusters=1000),
    Subject([Load(CIRCUITS_1000, PLAIN_1000, claims=JUDGED)], [filters.fusebox()], clusters=1000),
]
