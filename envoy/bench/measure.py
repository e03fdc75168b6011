"""One load on one Envoy, and what it cost."""

import time
from dataclasses import dataclass

from bench import claims, wrk
from bench.upstream import FAILING
from rig import usage
from rig.wait import wait_until

MICROSECONDS = 1e6
FAILURES_THAT_OPEN = 5
# In seconds.
ALL_WORKERS_KNOW = 0.1
FIRST_REQUESTS = 5


@dataclass(frozen=True)
class Sample:
    """CPU time of Envoy per request and percentiles of the latency, in microseconds."""

    cpu: float
    p50: int
    p99: int
    requests: int


def measure(proxy, subject, load, workers, warm_up, seconds):
    if load.opens_first:
        open_circuit(proxy, subject.hosts[0], load.path)
    before = claims.counts(proxy, load.claims)
    reports = warmed_up(proxy, subject, load, workers, warm_up)
    begun = usage.cpu_seconds(proxy.pid)
    report = wrk.run(proxy.url, seconds, load.path, subject.hosts)
    used = usage.cpu_seconds(proxy.pid) - begun
    claims.check(proxy, subject, load, before, [*reports, report])
    return Sample(used * MICROSECONDS / report.requests, report.p50, report.p99, report.requests)


def warmed_up(proxy, subject, load, workers, seconds):
    """The first requests to a cluster cost more: on each worker there is a connection and a circuit to be made."""
    reports = []
    while sum(report.requests for report in reports) < FIRST_REQUESTS * subject.clusters * workers:
        reports.append(wrk.run(proxy.url, seconds, load.path, subject.hosts))
    return reports


def open_circuit(proxy, host, path):
    for _ in range(FAILURES_THAT_OPEN):
        proxy.get(FAILING, host=host)
    wait_until(lambda: "x-circuit-breaker" in proxy.get(path, host=host).headers)
    time.sleep(ALL_WORKERS_KNOW)
