"""An upstream that goes down in every way there is, under load: nothing lost, nothing stuck, nothing counted twice."""

import bisect
import collections
import contextlib
import datetime

import pytest

from e2e.words import wait_for_state
from rig.config import cluster, plugin
from rig.crowd import Crowd
from rig.load import Load
from rig.upstream import Upstream
from rig.wait import wait_until

RATE = 150
# Seconds: some rejections apart at this rate.
AROUND = 0.05
COUNTED = ("successes", "failures", "ignored", "stale_results", "rejected")


@pytest.fixture
def upstream():
    """One whose process may be killed: it comes again on the same port."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def proxy(start, upstream):
    policy = plugin("0.3s", open={"multiplier": 1}, half_open={"probe_timeout": "1s"})
    return start(cluster("backend", upstream, connect_timeout="0.5s"), plugin=policy, timeout="0.5s")


def killed(upstream):
    upstream.kill()
    return upstream.start_again


def behaving(*behaviours):
    def begin(upstream):
        upstream.does(behaviours[0])
        return lambda: upstream.does("status/200")

    return begin


OUTAGES = {
    "killed": killed,
    "hanging": behaving("hang"),
    "resetting": behaving("reset"),
    "truncating": behaving("truncate"),
    "flapping": behaving("flap/0.15/reset"),
    "slow_to_fail": behaving("delay/0.2/status/503"),
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_under_load_nothing_is_lost_nor_stuck_nor_counted_twice(proxy, upstream, outage):
    with Load(proxy.port, "backend", RATE) as load:
        wait_until(lambda: load.replies[200] >= 50)
        end = outage(upstream)
        wait_until(lambda: proxy.metric("opened") >= 2)
        before = load.replies[200]
        end()
        well = load.sent
        wait_until(lambda: load.sent >= well + RATE)
        wait_for_state(proxy, "closed")
        load.end()

    assert_all_is_counted(proxy, load)
    # One that was killed knows only of those after, and those before found nobody.
    heard_of = load.replies[200] - before if outage is killed else load.sent - proxy.metric("rejected")
    assert upstream.calls == heard_of
    assert_nothing_is_stuck(proxy)


def assert_all_is_counted(proxy, load):
    def counted():
        return collections.Counter({each: proxy.metric(each) for each in COUNTED})

    wait_until(lambda: counted().total() == load.sent)
    counts = counted()
    assert counts["rejected"] == load.replies["open"] + load.replies["half-open"] > 0
    good = load.replies[200]
    late_good, late_bad = good - counts["successes"], load.sent - counts["rejected"] - good - counts["failures"]
    assert min(late_good, late_bad) >= counts["ignored"] == 0
    assert late_good + late_bad == counts["stale_results"] <= overtaken(proxy, load)
    status = proxy.circuit()
    assert (status["rejected"], status["failures_total"]) == (counts["rejected"], counts["failures"])
    opened, half_opened, closed = (proxy.metric(each) for each in ("opened", "half_opened", "closed"))
    assert opened == half_opened and 1 <= closed <= half_opened
    assert proxy.stat("wasmcustom.circuit_breaker.untracked") == 0


def overtaken(proxy, load):
    """How many were admitted while closed and had others rejected around them: their verdicts may have come too late."""
    wait_until(lambda: len(proxy.access_log()) == load.sent)
    lives = [(each["circuit_breaker"], *life(each)) for each in proxy.access_log()]
    rejections = sorted(begun for what, begun, _ in lives if what == "rejected")

    def is_overtaken(begun, ended):
        first = bisect.bisect(rejections, begun - AROUND)
        return first < len(rejections) and rejections[first] <= ended + AROUND

    return sum(is_overtaken(begun, ended) for what, begun, ended in lives if what is None)


def life(logged):
    begun = datetime.datetime.fromisoformat(logged["time"]).timestamp()
    return begun, begun + logged["milliseconds"] / 1000


def assert_nothing_is_stuck(proxy):
    circuit = proxy.circuit()
    assert (circuit["state"], circuit["probes"], circuit["fail_count"]) == ("closed", [], 0)
    assert proxy.metric("state") == 0
    assert proxy.get().status_code == 200


def test_crowds_that_leave_take_no_place_with_them(proxy, upstream):
    """Of the probes too: each crowd asks while the circuit is half-open, and is gone before it is answered."""
    upstream.does("hang")
    with Crowd(proxy.port, 5, "/", requests_each=1):
        wait_until(lambda: proxy.metric("opened") == 1)

    for _ in range(3):
        wait_for_state(proxy, "half-open")
        before = proxy.metric("probes")
        with contextlib.ExitStack() as crowd:
            for _ in range(40):
                client = crowd.enter_context(proxy.connect())
                client.sendall(b"GET /hang HTTP/1.1\r\nhost: backend\r\n\r\n")
            wait_until(lambda before=before: proxy.metric("probes") > before and upstream.in_flight > 0)
        wait_until(lambda: upstream.in_flight == 0)

    upstream.does("status/200")
    wait_until(lambda: proxy.get().status_code == 200)
    wait_for_state(proxy, "closed")
    assert_nothing_is_stuck(proxy)
    # Each counts once, as what it was; some left before the upstream heard of them.
    settled = ("failures", "ignored", "stale_results")

    def admitted():
        return [each for each in proxy.access_log() if each["circuit_breaker"] != "rejected" and each["status"] != 200]

    wait_until(lambda: sum(proxy.metric(each) for each in settled) == len(admitted()))
    assert 3 <= upstream.calls_to("/hang") <= len(admitted()) - 5
    assert proxy.metric("failures") == 5
