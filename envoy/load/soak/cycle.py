"""Outages that come round again and again: each circuit is down for a while, at other times than the next, and all are
closed again when a cycle ends."""

import time

from load.soak.stage import ANSWERING, CACHED, LONGEST_WAIT, PLAIN, runtime_key

# In seconds of the cycle.
DOWN = {PLAIN: (1, 4), CACHED: (2, 5), ANSWERING: (3, 6)}
# The last of them closes within the longest wait, and what a busy machine takes beyond that.
SECONDS = 6 + LONGEST_WAIT + 3


class Cycle:
    def __init__(self, upstream):
        self._upstream = upstream
        self._begun = time.monotonic()
        failing = [(begins, circuit, 100) for circuit, (begins, _) in DOWN.items()]
        well = [(ends, circuit, 0) for circuit, (_, ends) in DOWN.items()]
        self._due = sorted(failing + well)

    def keep_on(self):
        """Does what is due by now; false when it is over."""
        elapsed = time.monotonic() - self._begun
        while self._due and self._due[0][0] <= elapsed:
            _, circuit, percentage = self._due.pop(0)
            self._upstream.set_runtime(**{runtime_key(circuit): percentage})
        return elapsed < SECONDS
