"""What fusebox counted is what its clients and its upstream counted, to the last request."""

import collections

from rig.config import cluster, plugin
from rig.crowd import Crowd
from rig.wait import wait_until

CLIENTS, REQUESTS_EACH = 20, 500


def test_ten_thousand_requests_are_counted_exactly(start, upstream):
    policy = plugin(opens_for="20ms", open={"max_duration": "20ms"}, trip={"consecutive_failures": 5})
    proxy = start(cluster("backend", upstream), plugin=policy)
    # Half of the time it is down: the circuit opens and closes all the while, in times that are short beside what
    # even ten thousand rejections take.
    upstream.does("flap/0.05/status/503")

    sent = CLIENTS * REQUESTS_EACH

    with Crowd(proxy.port, CLIENTS, "/", REQUESTS_EACH) as crowd:
        wait_until(lambda: sum(crowd.replies.values()) == sent, timeout=60)

    replies = crowd.replies
    rejected = replies["open"] + replies["half-open"]
    assert rejected > 100 and replies[200] > 100 and replies[503] > 5, replies

    def counted():
        names = ("rejected", "successes", "failures", "ignored", "stale_results", "opened", "half_opened", "closed")
        return collections.Counter({name: proxy.metric(name) for name in names})

    def is_all_counted():
        of_upstream = counted()
        answered = sum(of_upstream[name] for name in ("successes", "failures", "stale_results"))
        return answered == replies[200] + replies[503] and of_upstream["rejected"] >= rejected

    wait_until(is_all_counted)
    metrics = counted()
    assert metrics["rejected"] == rejected
    assert upstream.calls == replies[200] + replies[503] == sent - rejected
    assert metrics["ignored"] == 0
    # Those that came too late for their generation count as nothing else.
    assert metrics["successes"] <= replies[200] and metrics["failures"] <= replies[503]
    assert metrics["opened"] == metrics["half_opened"] + 1 or metrics["opened"] == metrics["half_opened"]
    status = proxy.circuit()
    assert (status["rejected"], status["requests_total"], status["failures_total"]) == (
        rejected,
        metrics["successes"] + metrics["failures"],
        metrics["failures"],
    )
    assert proxy.stat("wasmcustom.circuit_breaker.untracked") == 0
    log = [line for line in proxy.log().splitlines() if "state change" in line]
    assert sum(" to=open " in line for line in log) == metrics["opened"]
    assert sum(" to=closed " in line for line in log) == metrics["closed"]
    by_filter_state = collections.Counter(each["circuit_breaker"] for each in proxy.access_log())
    assert by_filter_state["rejected"] == rejected and by_filter_state["probe"] == proxy.metric("probes")
