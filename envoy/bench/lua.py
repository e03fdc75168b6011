"""The Lua breaker has to be one: it would be no wonder if it cost less."""

from bench import filters
from bench.claims import NotSo
from bench.envoys import start
from bench.subjects import Load, Subject
from bench.upstream import FAILING, ROOT
from rig.wait import wait_until

ROW = "a Lua breaker that opens for a second"
SHIPPED, SHORT = "OPEN_SECONDS = 30\n", "OPEN_SECONDS = 1\n"


def check(origin, directory):
    """It opens, rejects, opens for longer when a probe fails, and closes when one succeeds."""
    expect(SHIPPED in filters.BREAKER, f"it says {SHIPPED!r}")
    subject = Subject([Load(ROW, ROW)], [filters.lua(filters.BREAKER.replace(SHIPPED, SHORT))])
    with start(subject.config(origin), 1, directory / "lua") as proxy:

        def rejects(path=ROOT):
            return proxy.get(path).headers.get("x-circuit-breaker") == "open"

        expect([rejects(FAILING) for _ in range(6)] == [False] * 5 + [True], "it opens after five failures")
        wait_until(lambda: not rejects(FAILING))
        expect(rejects(), "a failed probe opens it again")
        wait_until(lambda: not rejects())
        expect(not any(rejects() for _ in range(3)), "a successful probe closes it")


def expect(claim, text):
    if not claim:
        raise NotSo(f"{ROW}: not so: {text}")
