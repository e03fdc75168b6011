"""The upstream, which fails and recovers when its scenario says so."""

import time

from load.scenarios import REFUSES
from load.stage import WELL


class Outages:
    """`times` is when each began and ended, in unix seconds, as far as it has."""

    def __init__(self, upstream, scenario):
        self.times = []
        self._upstream = upstream
        begun = time.monotonic()
        self._due = []
        for outage in scenario.outages:
            self._due.append((begun + outage.begins * scenario.seconds, outage))
            self._due.append((begun + outage.ends * scenario.seconds, None))

    def keep_on(self):
        """Does what is due by now."""
        while self._due and self._due[0][0] <= time.monotonic():
            _, outage = self._due.pop(0)
            if outage:
                self.times.append([time.time()])
                self._begin(outage.kind)
            else:
                self._end()
                self.times[-1].append(time.time())

    def _begin(self, kind):
        if kind == REFUSES:
            self._upstream.refuse()
        else:
            self._upstream.does(kind)

    def _end(self):
        self._upstream.listen()
        self._upstream.does(WELL)
