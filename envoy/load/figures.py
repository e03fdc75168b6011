"""How long replies took, in milliseconds: by Locust's clock, and by Envoy's."""

from dataclasses import dataclass

KINDS = ("upstream", "rejected", "cache", "respond", "replaced")


@dataclass(frozen=True)
class Latency:
    count: int
    p50: float
    p95: float
    p99: float
    longest: float


def latency(values):
    ordered = sorted(values)

    def percentile(share):
        return ordered[min(len(ordered) - 1, len(ordered) * share // 100)]

    return Latency(len(ordered), percentile(50), percentile(95), percentile(99), ordered[-1]) if ordered else None


def latencies(run):
    """By kind: as the users saw it, and as Envoy did."""
    found = {}
    users = [(reply, entry) for reply, entry in run.pairs if reply.user is not None]
    for kind in KINDS:
        pairs = [(reply.milliseconds, entry.milliseconds) for reply, entry in users if entry.kind == kind]
        found[kind] = tuple(latency(values) for values in zip(*pairs, strict=True)) or (None, None)
    return found


def witnessed(run):
    """How long rejections took, as the witness saw it."""
    return latency(each.milliseconds for each in run.witnessed if each.kind == "rejected")
