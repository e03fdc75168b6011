"""Every load on every Envoy in turn, and all of that again: what disturbs the machine for a while disturbs them all.

Each Envoy is started afresh each time, since where things come to lie in memory makes one faster than the next.
"""

import time
from dataclasses import dataclass, field

from bench.envoys import start
from bench.measure import Sample, measure
from bench.subjects import SUBJECTS
from rig import usage

WORKERS = (1, 2)
REST = 0.2


@dataclass(frozen=True)
class Start:
    """Of an Envoy: seconds until it was ready, those of CPU time by then and in one of rest; bytes after its loads."""

    ready: float
    cpu: float
    idle: float
    memory: int


def by_workers():
    return {workers: {} for workers in WORKERS}


@dataclass
class Round:
    """By number of workers: samples by row, and starts by the name of the subject."""

    samples: dict[int, dict[str, Sample]] = field(default_factory=by_workers)
    starts: dict[int, dict[str, Start]] = field(default_factory=by_workers)


def run(origin, directory, rounds, warm_up, seconds, tell):
    done = []
    for number in range(rounds):
        done.append(Round())
        for workers in WORKERS:
            for position, subject in enumerate(SUBJECTS):
                place = directory / f"{number}-{workers}-{position}"
                begun = time.monotonic()
                with start(subject.config(origin), workers, place) as proxy:
                    ready, cpu = time.monotonic() - begun, usage.cpu_seconds(proxy.pid)
                    time.sleep(REST)
                    idle = (usage.cpu_seconds(proxy.pid) - cpu) / REST
                    for load in subject.loads:
                        sample = measure(proxy, subject, load, workers, warm_up, seconds)
                        done[-1].samples[workers][load.row] = sample
                        tell(number, workers, load, sample)
                    done[-1].starts[workers][subject.name] = Start(ready, cpu, idle, usage.memory(proxy.pid))
    return done
