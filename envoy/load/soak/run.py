"""The soak itself, and all that is known of it afterwards."""

import collections
import contextlib
import time
from dataclasses import dataclass

from load.soak import stage
from load.soak.cycle import Cycle
from load.soak.wrk import Wrk
from rig import usage
from rig.proxy import Proxy
from rig.wait import wait_until

LOOK_EVERY = 0.1
SAMPLE_EVERY = 1
# For the last cycle, and for the replies to what was sent.
PATIENCE = 60
METRICS = (
    *("rejected", "fallback_cache_hit", "fallback_cache_miss", "fallback_respond", "probes", "probe_timeouts"),
    *("successes", "failures", "ignored", "stale_results", "opened", "half_opened", "closed", "state"),
)
SETTLED = ("successes", "failures", "ignored", "stale_results")
WITHOUT_CLUSTER = ("untracked", "bad_records", "policy_conflicts", "shared_data_conflicts")


@dataclass(frozen=True)
class Sample:
    """Seconds since the beginning, requests so far, and bytes: resident, and allocated by Envoy itself.

    What leaks shows in the latter first, for Envoy keeps pages that it has freed, and takes them again.
    """

    time: float
    requests: int
    resident: int
    allocated: int


@dataclass(frozen=True)
class Run:
    """By circuit, `replies` is what wrk was given, `calls` what Envoy sent to the upstream, and `failed` how many of
    these did; `answered` is what the upstream itself has counted.
    """

    seconds: float
    cycles: int
    samples: list[Sample]
    replies: dict[str, collections.Counter]
    metrics: dict[str, collections.Counter]
    without_cluster: dict[str, int]
    requests: int
    calls: dict[str, int]
    failed: dict[str, int]
    answered: int
    active: int
    circuits: dict[str, dict]
    log: str


def run(most_requests, most_seconds, directory, tell):
    enough = directory / "enough"
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(
            Proxy(stage.upstream(), directory / "upstream", concurrency=1, wasm_log_level="warning")
        )
        proxy = stack.enter_context(Proxy(stage.config(upstream), directory / "envoy", wasm_log_level="info"))
        begun = time.monotonic()
        load = {
            circuit: stack.enter_context(
                Wrk(proxy.url, circuit, stage.PATHS.get(circuit, 1), enough, round(most_seconds) + PATIENCE)
            )
            for circuit in stage.CIRCUITS
        }
        samples, cycles = [], 0
        while not samples or (requests(proxy) < most_requests and time.monotonic() - begun < most_seconds):
            cycle = Cycle(upstream)
            cycles += 1
            while cycle.keep_on():
                if len(samples) * SAMPLE_EVERY <= time.monotonic() - begun:
                    samples.append(sample(proxy, time.monotonic() - begun))
                time.sleep(LOOK_EVERY)
            tell(cycles, samples)
        enough.touch()
        replies = {circuit: each.counts() for circuit, each in load.items()}
        seconds = time.monotonic() - begun
        wait_until_settled(proxy, sum(each.total() for each in replies.values()))
        return Run(
            seconds=seconds,
            cycles=cycles,
            samples=samples,
            replies=replies,
            metrics={circuit: metrics(proxy, circuit) for circuit in stage.CIRCUITS},
            without_cluster={each: proxy.stat(f"wasmcustom.circuit_breaker.{each}") for each in WITHOUT_CLUSTER},
            requests=requests(proxy),
            calls={circuit: proxy.stat(f"cluster.{circuit}.upstream_rq_total") for circuit in stage.CIRCUITS},
            failed={circuit: proxy.stat(f"cluster.{circuit}.upstream_rq_5xx") for circuit in stage.CIRCUITS},
            answered=requests(upstream),
            active=active(proxy),
            circuits={circuit: proxy.circuit(circuit) for circuit in stage.CIRCUITS},
            log=proxy.log(),
        )


def sample(proxy, seconds):
    allocated = int(proxy.admin.get("/memory").json()["allocated"])
    return Sample(seconds, requests(proxy), usage.memory(proxy.pid), allocated)


def requests(proxy):
    return proxy.stat("http.proxy.downstream_rq_total")


def active(proxy):
    """Requests that Envoy still works on, for clients or at the upstream."""
    clusters = (proxy.stat(f"cluster.{circuit}.upstream_rq_active") for circuit in stage.CIRCUITS)
    return proxy.stat("http.proxy.downstream_rq_active") + sum(clusters)


def metrics(proxy, circuit):
    return collections.Counter({each: proxy.metric(each, circuit) for each in METRICS})


def wait_until_settled(proxy, total):
    """What is counted at a sync is there after the next. Whether the counts are right is for the criteria to say."""

    def counted():
        return sum(metrics(proxy, circuit)[each] for circuit in stage.CIRCUITS for each in ("rejected", *SETTLED))

    with contextlib.suppress(AssertionError):
        wait_until(lambda: counted() == total, timeout=5, every=0.1)
