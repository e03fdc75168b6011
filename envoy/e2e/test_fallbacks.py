"""What answers in place of an upstream whose circuit is open."""

import pytest

from e2e.words import assert_rejected, trip, wait_for_state
from rig.config import add_route_by_filter_state, bootstrap, cluster, example, plugin
from rig.upstream import Upstream
from rig.wait import wait_until


@pytest.fixture
def backup():
    with Upstream() as upstream:
        upstream.does("status/203")
        yield upstream


def rerouting(upstream, backup):
    config = bootstrap(
        cluster("backend", upstream),
        cluster("backup", backup),
        plugin=plugin(opens_for="20s", fallback=[{"reroute": {"circuit": "backup"}}]),
    )
    add_route_by_filter_state(config, "backup")
    return config


def test_another_cluster_takes_the_request_by_filter_state(run, upstream, backup):
    proxy = run(rerouting(upstream, backup))
    trip(proxy)

    assert proxy.get("/rerouted").status_code == 203

    [entry] = proxy.logged("/rerouted")
    assert (entry["cluster"], entry["circuit_breaker"]) == ("backup", "fallback:reroute")
    assert upstream.calls == 5
    wait_until(lambda: proxy.metric("successes", "backup") == 1)
    assert proxy.metric("fallback_reroute") == 1


def test_another_cluster_takes_the_request_by_headers_that_no_client_can_set(run, upstream, backup):
    proxy = run(example("backup.yaml", backend=upstream, backup=backup))
    assert proxy.get("/", headers={"x-circuit-breaker-route": "backup"}).status_code == 200
    trip(proxy)

    assert proxy.get("/rerouted").status_code == 203

    assert proxy.logged("/rerouted")[0]["cluster"] == "backup"


def test_a_backup_that_fails_too_is_left_alone(run, upstream, backup):
    proxy = run(rerouting(upstream, backup))
    trip(proxy)
    backup.does("status/500")
    for _ in range(5):
        assert proxy.get().status_code == 500
    wait_for_state(proxy, "open", "backup")

    assert_rejected(proxy.get())
    assert backup.calls == 5


def test_a_fixed_answer_takes_the_place_of_a_rejection(start, upstream):
    respond = {"status": 200, "json": {"answer": "temporarily unavailable"}}
    proxy = start(cluster("backend", upstream), plugin=plugin(opens_for="20s", fallback=[{"respond": respond}]))
    trip(proxy)

    answer = proxy.get("/answered")

    assert (answer.status_code, answer.json()) == (200, respond["json"])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-circuit-breaker"] == "open"
    assert answer.headers["x-circuit-breaker-fallback"] == "respond"
    assert "retry-after" not in answer.headers
    [entry] = proxy.logged("/answered")
    assert (entry["circuit_breaker"], entry["details"]) == ("fallback:respond", "circuit_breaker_open")


@pytest.mark.parametrize("failing", ["status/503", "close", "hang", "refused"])
def test_a_fixed_answer_takes_the_place_of_a_failure(start, upstream, failing):
    fallback = [{"respond": {"body": "sorry"}, "on": ["failed", "rejected"]}]
    proxy = start(cluster("backend", upstream), plugin=plugin(opens_for="20s", fallback=fallback), timeout="0.5s")
    if failing == "refused":
        upstream.refuse()
    else:
        upstream.does(failing)

    for _ in range(6):
        answer = proxy.get("/failing")
        assert (answer.status_code, answer.text) == (200, "sorry")
        assert answer.headers["x-circuit-breaker-fallback"] == "respond"

    assert wait_for_state(proxy, "open")["reason"] == "5 consecutive failures"
    wait_until(lambda: len(proxy.logged("/failing")) == 6)
    details = [each["details"] for each in proxy.logged("/failing")]
    assert details == 5 * ["circuit_breaker_upstream_failed"] + ["circuit_breaker_open"]


def test_what_broke_off_after_its_headers_is_not_replaced(start, upstream):
    fallback = [{"respond": {"body": "sorry"}, "on": ["failed"]}]
    proxy = start(cluster("backend", upstream), plugin=plugin(fallback=fallback))
    upstream.does("truncate")

    with pytest.raises(Exception, match="incomplete|closed"):
        proxy.get("/broken")

    wait_until(lambda: proxy.metric("failures") == 1)
