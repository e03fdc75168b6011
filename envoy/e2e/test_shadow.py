"""Shadow mode: what would have been rejected passes, and is counted."""

from e2e.words import trip, wait_for_state
from rig.config import cluster, plugin
from rig.wait import wait_until


def test_what_would_be_rejected_passes_and_shows_how_often_that_would_have_been_wrong(start, upstream):
    policy = plugin(opens_for="20s", mode="shadow", fallback=[{"respond": {"body": "sorry"}, "on": ["rejected", "failed"]}])
    proxy = start(cluster("backend", upstream), plugin=policy)
    trip(proxy)
    wait_for_state(proxy, "open")

    replies = [proxy.get(f"/status/{status}") for status in (503, 200, 200, 404)]

    assert [reply.status_code for reply in replies] == [503, 200, 200, 404]
    assert not any(name.startswith("x-circuit-breaker") for reply in replies for name in reply.headers)
    wait_until(lambda: proxy.metric("would_reject_succeeded") == 3)
    assert (proxy.metric("would_reject"), proxy.metric("rejected")) == (4, 0)
    assert proxy.circuit()["mode"] == "shadow"
    assert {each["circuit_breaker"] for each in proxy.logged("/status/200")} == {"would_reject"}
    assert "mode=shadow" in next(line for line in proxy.log().splitlines() if "state change" in line)
