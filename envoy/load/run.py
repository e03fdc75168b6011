"""One scenario, on an Envoy of its own, and all that is known of it afterwards."""

import collections
import contextlib
import time
from dataclasses import dataclass

from load.outages import Outages
from load.stage import PATHS, WELL, config
from load.swarm import Reply, Swarm
from load.watch import Sample, Watch
from load.witness import Witness
from rig.proxy import Proxy
from rig.upstream import Upstream
from rig.wait import wait_until

LOOK_EVERY = 0.2
SETTLED = ("successes", "failures", "ignored", "stale_results")
COUNTED = (
    *("rejected", "fallback_cache_hit", "fallback_respond", "probes", "opened", "half_opened", "closed"),
    *SETTLED,
)


@dataclass(frozen=True)
class Entry:
    """One of Envoy's access log; `says` is the filter state."""

    asked: str
    time: float
    milliseconds: int
    circuit: str
    status: int
    details: str
    says: str | None

    @property
    def kind(self):
        """What the client got: "upstream", or "replaced" where that had failed; "rejected", "cache" or "respond"."""
        if self.says in (None, "probe"):
            return "upstream"
        if self.details == "circuit_breaker_upstream_failed":
            return "replaced"
        return self.says.removeprefix("fallback:")

    def was_admitted(self):
        return self.kind in ("upstream", "replaced")


@dataclass(frozen=True)
class Run:
    scenario: object
    begun: float
    replies: list[Reply]
    witnessed: list[Reply]
    entries: list[Entry]
    pairs: list[tuple[Reply, Entry]]
    samples: list[Sample]
    outages: list[tuple[float, float]]
    transitions: dict[str, list]
    metrics: dict[str, collections.Counter]
    circuits: dict[str, dict]
    untracked: int
    log: str


def run(scenario, open_policy, directory, tell):
    with (
        Upstream() as upstream,
        Proxy(config(upstream, open_policy), directory / "envoy", wasm_log_level="info") as proxy,
    ):
        upstream.does(WELL)
        with Swarm(scenario, proxy, directory / "locust") as swarm, Witness(proxy) as witness:
            swarm.wait_for_start()
            begun, watch, outages = time.time(), Watch(proxy), Outages(upstream, scenario)
            while swarm.is_running():
                outages.keep_on()
                watch.look()
                witness.ask()
                tell(time.time() - begun, watch)
                time.sleep(LOOK_EVERY)
            replies = swarm.replies() + witness.replies
        watch.look()
        entries = logged(proxy, sum(each.of in PATHS for each in replies))
        return Run(
            scenario=scenario,
            begun=begun,
            replies=replies,
            witnessed=witness.replies,
            entries=entries,
            pairs=paired(replies, entries),
            samples=watch.samples,
            outages=[tuple(each) for each in outages.times],
            transitions={circuit: watch.transitions(circuit) for circuit in PATHS},
            metrics=settled(proxy, len(entries)),
            circuits=proxy.circuits(),
            untracked=proxy.stat("wasmcustom.circuit_breaker.untracked"),
            log=proxy.log(),
        )


def logged(proxy, count):
    """The access log, once it has so many lines; whether it gets them is for the criteria to say."""
    with contextlib.suppress(AssertionError):
        wait_until(lambda: len(proxy.access_log()) >= count, timeout=5, every=0.5)
    circuits = {path: circuit for circuit, path in PATHS.items()}
    return [
        Entry(
            each["asked"],
            float(each["time"]),
            each["milliseconds"],
            circuits[each["path"]],
            each["status"],
            each["details"],
            each["circuit_breaker"],
        )
        for each in proxy.access_log()
    ]


def paired(replies, entries):
    """What a client got, and what Envoy says of it."""
    by_name = {each.asked: each for each in entries}
    return [(each, by_name[each.asked]) for each in replies if each.asked in by_name]


def settled(proxy, total):
    """The metrics once all requests are among them: what is counted at a sync is there after the next."""

    def metrics():
        return {
            circuit: collections.Counter({each: proxy.metric(each, circuit) for each in COUNTED}) for circuit in PATHS
        }

    def counted():
        return sum(counts[each] for counts in metrics().values() for each in ("rejected", *SETTLED))

    with contextlib.suppress(AssertionError):
        wait_until(lambda: counted() == total, timeout=5, every=0.1)
    return metrics()
