"""What is claimed of a load, so that what is measured is what its row says: by how much counts of Envoy's grow.

A claim is a pattern of names, all that match taken together, and a function of what wrk reports.
"""

import math

from bench import wrk
from rig.wait import wait_until


class NotSo(Exception):
    """What was measured is something else than its row says."""


def counted(metric):
    return rf"^wasmcustom\.circuit_breaker\.circuit_\d+\.{metric}$"


def all_of_them(report):
    return report.requests


def twice_each(report):
    return 2 * report.requests


def none_of_them(report):
    return 0


def those_that_failed(report):
    return report.failed


def those_that_succeeded(report):
    return report.requests - report.failed


UPSTREAM = r"^cluster\.circuit_\d+\.upstream_rq_total$"
ANSWERED = {UPSTREAM: none_of_them}
PROXIED = {UPSTREAM: all_of_them}
JUDGED = PROXIED | {counted("successes"): those_that_succeeded, counted("failures"): those_that_failed}
REJECTED = ANSWERED | {counted("rejected"): all_of_them}
CACHED = ANSWERED | {counted("fallback_cache_hit"): all_of_them}
# Once for the request and once for the response.
SCRIPTED = PROXIED | {r"^http\.proxy\.lua\.executions$": twice_each}
CONTROLLED = PROXIED | {r"^http\.proxy\.admission_control\.rq_success$": all_of_them}


def counts(proxy, claims):
    return {pattern: sum(matching(proxy, pattern)) for pattern in claims}


def matching(proxy, pattern):
    lines = proxy.admin.get("/stats", params={"filter": pattern}).raise_for_status().text.splitlines()
    return [int(line.rpartition(":")[2]) for line in lines]


def check(proxy, subject, load, before, reports):
    for report in reports:
        check_replies(load, report)
    for pattern, claim in load.claims.items():
        check_count(proxy, load, pattern, before[pattern], [claim(report) for report in reports])
    used = sum(count > 0 for count in matching(proxy, UPSTREAM))
    if load.claims[UPSTREAM] is all_of_them and used != subject.clusters:
        raise NotSo(f"{load.row}: requests went to {used} clusters of {subject.clusters}")


def check_replies(load, report):
    if report.broken or not report.requests:
        raise NotSo(f"{load.row}: {report.requests} requests were answered, {report.broken} were not")
    mean = report.requests * load.failures
    deviation = math.sqrt(mean * (1 - load.failures))
    if abs(report.failed - mean) > 5 * deviation:
        raise NotSo(f"{load.row}: {report.failed} of {report.requests} failed, {mean:.0f} were to")


def check_count(proxy, load, pattern, before, claimed):
    expected = sum(claimed)
    # wrk leaves at its end without what is in flight.
    leeway = expected and 2 * wrk.CONNECTIONS * len(claimed)

    def grown():
        return sum(matching(proxy, pattern)) - before

    try:
        wait_until(lambda: abs(grown() - expected) <= leeway, timeout=2)
    except AssertionError:
        raise NotSo(f"{load.row}: {pattern} was to grow by {expected}, and did by {grown()}") from None
