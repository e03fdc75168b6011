"""A client that asks ten times a second, and a line for each half second of what it got."""

import itertools
import time

PERIOD = 0.1
REQUESTS_A_LINE = 5
WIDTH = 26


class StoryFailed(Exception):
    pass


class Traffic:
    def __init__(self, proxy, upstream):
        self._proxy, self._upstream = proxy, upstream
        self._begun = time.monotonic()
        print(f"{'':8}  {'the client got':{WIDTH}}  {'circuit':9}  calls upstream", end="")

    def until(self, condition, at_most):
        """Asks until the state of the circuit is as wanted."""
        deadline = time.monotonic() + at_most
        line = []
        while True:
            state = self._proxy.circuit()["state"]
            enough = condition(state)
            if line and (enough or len(line) == REQUESTS_A_LINE):
                self._print(line, state)
                line = []
            if enough:
                return
            if time.monotonic() > deadline:
                raise StoryFailed(f"after {at_most} s the circuit is still {state}")
            line.append(describe(self._proxy.get(), state))
            time.sleep(PERIOD)

    def keep_on(self, seconds):
        end = time.monotonic() + seconds
        self.until(lambda _: time.monotonic() > end, seconds + 30)

    def _print(self, replies, state):
        got = ", ".join(f"{len(list(same))} x {reply}" for reply, same in itertools.groupby(replies))
        print(f"{time.monotonic() - self._begun:6.1f} s  {got:{WIDTH}}  {state:9}  {self._upstream.calls}")


def describe(reply, state_before):
    if "x-circuit-breaker" in reply.headers:
        return f"{reply.status_code} rejected by Envoy"
    probe = " (the probe)" if state_before == "half-open" else ""
    return f"{reply.status_code}{probe}"
