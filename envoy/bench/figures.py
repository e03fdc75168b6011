"""What the rounds say together: medians over them of what was found in each."""

import statistics
from dataclasses import dataclass

from bench.rounds import WORKERS
from bench.subjects import CLOSED, EMPTY, PLAIN, SUBJECTS

LOADS = [load for subject in SUBJECTS for load in subject.loads]
MIB = 1 << 20


@dataclass(frozen=True)
class Row:
    """Microseconds, and what they are relative to the same load without a filter in the same round.

    `added` is by how much more CPU time that is, `spread` the middle half of it over the rounds, and `added_ratio` how
    many times as much as the filter that does nothing adds.
    """

    cpu: float
    cpu_ratio: float
    added: float
    spread: tuple[float, float]
    added_ratio: float
    p50: float
    p50_ratio: float
    p99: float
    p99_ratio: float


@dataclass(frozen=True)
class Footprint:
    """Of a module, beyond no filter, with one worker: milliseconds to start, of CPU time for that and for each second
    of rest, and MiB; and MiB for one worker more.
    """

    ready: float
    cpu: float
    idle: float
    memory: float
    another_worker: float


def rows(rounds):
    """By number of workers and name."""
    return {workers: {load.row: row(rounds, workers, load) for load in LOADS} for workers in WORKERS}


def row(rounds, workers, load):
    samples = [each.samples[workers] for each in rounds]
    pairs = [(each[load.row], each[load.reference]) for each in samples]

    def median(name):
        return statistics.median(getattr(own, name) for own, _ in pairs)

    def ratio(name):
        return statistics.median(getattr(own, name) / getattr(reference, name) for own, reference in pairs)

    added = added_cpu(samples, load.row, load.reference)
    return Row(
        cpu=median("cpu"),
        cpu_ratio=ratio("cpu"),
        added=statistics.median(added),
        spread=middle_half(added),
        added_ratio=statistics.median(added) / statistics.median(added_cpu(samples, EMPTY, PLAIN)),
        p50=median("p50"),
        p50_ratio=ratio("p50"),
        p99=median("p99"),
        p99_ratio=ratio("p99"),
    )


def added_cpu(samples, name, reference):
    return [each[name].cpu - each[reference].cpu for each in samples]


def middle_half(values):
    if len(values) == 1:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, method="inclusive")
    return first, third


def footprint(rounds, name):
    def beyond_plain(value):
        return statistics.median(value(each.starts, name) - value(each.starts, PLAIN) for each in rounds)

    return Footprint(
        ready=1000 * beyond_plain(lambda starts, name: starts[1][name].ready),
        cpu=1000 * beyond_plain(lambda starts, name: starts[1][name].cpu),
        idle=1000 * beyond_plain(lambda starts, name: starts[1][name].idle),
        memory=beyond_plain(lambda starts, name: starts[1][name].memory) / MIB,
        another_worker=beyond_plain(lambda starts, name: starts[2][name].memory - starts[1][name].memory) / MIB,
    )


def footprints(rounds):
    return {name: footprint(rounds, name) for name in (EMPTY, CLOSED)}
