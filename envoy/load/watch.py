"""What can be seen of Envoy meanwhile: its circuits' transitions, and its memory."""

import time
from dataclasses import dataclass

from load.stage import PATHS
from rig import usage


@dataclass(frozen=True)
class Sample:
    time: float
    memory: int


class Watch:
    def __init__(self, proxy):
        self.samples = []
        self.states = {}
        self._proxy = proxy
        self._transitions = {circuit: {} for circuit in PATHS}

    def look(self):
        self.samples.append(Sample(time.time(), usage.memory(self._proxy.pid)))
        for circuit, by_generation in self._transitions.items():
            status = self._proxy.circuit(circuit)
            self.states[circuit] = status["state"]
            for each in status["transitions"]:
                by_generation[each["generation"]] = each

    def transitions(self, circuit):
        """All of them: the status keeps the last few only, longer than from one look to the next."""
        return [transition for _, transition in sorted(self._transitions[circuit].items())]
