"""What a request may cost at most, and whether it does."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.subjects import CACHED_REPLY, CIRCUITS_1000, CLOSED, EMPTY, LUA, MANY_FAIL, OPENED, PLAIN


@dataclass(frozen=True)
class Target:
    """What `of` gives for the rows by name is to be at most so many times what `base` does."""

    text: str
    limit: float
    of: Callable
    base: Callable


def added(name):
    return lambda rows: rows[name].added


def relative(name):
    return lambda rows: rows[name].cpu_ratio


def on_one_cluster(name):
    """CPU time without what many clusters cost by themselves."""
    return lambda rows: rows[PLAIN].cpu + rows[name].added


def no_filter(rows):
    return 1


TARGETS = [
    Target("closed: added CPU time, to that of the filter that does nothing", 1.75, added(CLOSED), added(EMPTY)),
    Target("closed: added CPU time, to that of the Lua breaker", 1, added(CLOSED), added(LUA)),
    Target("1,000 circuits: CPU time, to one's", 1.1, on_one_cluster(CIRCUITS_1000), on_one_cluster(CLOSED)),
    Target("30 % failures: added CPU time, to that without failures", 2, added(MANY_FAIL), added(CLOSED)),
    Target("rejected: CPU time, to that of a proxied request", 0.5, relative(OPENED), no_filter),
    Target("cached reply: CPU time, to that of the same reply proxied", 0.7, relative(CACHED_REPLY), no_filter),
]


@dataclass(frozen=True)
class Result:
    workers: int
    text: str
    limit: float
    measured: float
    holds: bool


def results(rows):
    return [judge(target, workers, by_name) for target in TARGETS for workers, by_name in rows.items()]


def judge(target, workers, rows):
    value, base = target.of(rows), target.base(rows)
    # Not by their ratio: noise can make a base negative.
    return Result(workers, target.text, target.limit, value / base, holds=value <= target.limit * base)
