"""A webhook hears of each transition once, and one that does not listen delays nobody."""

import json
import time

import httpx
import pytest

from e2e.words import trip, wait_for_state
from rig.config import cluster, plugin
from rig.crowd import Crowd
from rig.wait import wait_until

FAILED = "wasmcustom.circuit_breaker.webhook_failed"


def telling(webhook, **policy):
    return plugin(**policy) | {"events": {"webhook": webhook}}


def told(alerts):
    return [json.loads(each) for each in alerts.recorded]


@pytest.fixture
def alerts(second_upstream):
    return second_upstream


def test_what_is_told_is_what_the_status_says(start, upstream, alerts):
    webhook = {"cluster": "alerts", "path": "/record"}
    clusters = [cluster("backend", upstream), cluster("alerts", alerts)]
    proxy = start(*clusters, plugin=telling(webhook, opens_for="20s"))
    trip(proxy)

    [event] = wait_until(lambda: told(alerts))

    status = wait_for_state(proxy, "open")
    assert event.pop("timestamp") == pytest.approx(status["opened_at"], abs=0.1)
    assert event == {
        "event": "state_change",
        "circuit": "backend",
        "mode": "enforce",
        "from": "closed",
        "to": "open",
        "reason": "5 consecutive failures",
        "generation": 1,
    }


def test_the_request_names_the_host_and_what_it_carries(start, upstream, alerts):
    webhook = {"cluster": "alerts", "path": "/record/head?a=b", "authority": "alerts.local:8080"}
    clusters = [cluster("backend", upstream), cluster("alerts", alerts)]
    proxy = start(*clusters, plugin=telling(webhook, opens_for="20s"))
    trip(proxy)

    [head] = wait_until(lambda: alerts.recorded)

    assert head.startswith("POST /record/head?a=b HTTP/1.1\r\n")
    for line in ("host: alerts.local:8080", "content-type: application/json"):
        assert f"\r\n{line}\r\n" in f"{head}\r\n"


def test_each_transition_is_told_once_whichever_worker_it_falls_on(start, upstream, alerts):
    webhook = {"cluster": "alerts", "path": "/record"}
    clusters = [cluster("backend", upstream), cluster("alerts", alerts)]
    proxy = start(*clusters, plugin=telling(webhook, opens_for="100ms", open={"multiplier": 1}))
    upstream.does("status/503")

    # Clients on both workers at once: whoever finds the wait over, the others find it too.
    with Crowd(proxy.port, 20, "/"):
        wait_until(lambda: proxy.metric("opened") >= 10)
        upstream.does("status/200")
        wait_for_state(proxy, "closed")

    changes = [proxy.metric(metric) for metric in ("opened", "half_opened", "closed")]
    events = wait_until(lambda: len(alerts.recorded) >= sum(changes) and told(alerts))
    assert sorted(each["generation"] for each in events) == list(range(1, sum(changes) + 1))
    for to, count in zip(("open", "half-open", "closed"), changes):
        assert [each["to"] for each in events].count(to) == count
    time.sleep(0.5)
    assert len(alerts.recorded) == sum(changes)
    assert proxy.stat(FAILED) == 0
    assert min(proxy.connections_of_worker(worker) for worker in (0, 1)) > 0


def test_what_one_worker_tells_comes_in_its_order(start, upstream, alerts):
    """Each answer takes so long that the transitions behind it pile up."""
    webhook = {"cluster": "alerts", "path": "/delay/0.2/record"}
    clusters = [cluster("backend", upstream), cluster("alerts", alerts)]
    proxy = start(*clusters, plugin=telling(webhook, opens_for="50ms", open={"multiplier": 1}), concurrency=1)
    upstream.does("status/503")
    wait_until(lambda: proxy.get() and proxy.metric("opened") >= 5)

    events = wait_until(lambda: len(alerts.recorded) >= 8 and told(alerts))

    generations = [each["generation"] for each in events]
    assert generations == list(range(1, len(generations) + 1))
    assert alerts.max_in_flight == 1


UNHEARD = {
    "down": {"cluster": "alerts"},
    "slow": {"cluster": "alerts", "path": "/hang"},
    "unwilling": {"cluster": "alerts", "path": "/status/500"},
    "missing": {"cluster": "nowhere"},
    "without hosts": {"cluster": "empty"},
}


@pytest.mark.parametrize("target", UNHEARD)
def test_a_target_that_does_not_hear_costs_a_count_and_delays_nobody(start, upstream, alerts, target):
    if target == "down":
        alerts.refuse()
    clusters = [cluster(name, upstream) for name in ("backend", "other")]
    clusters += [cluster("alerts", alerts), cluster("empty")]
    proxy = start(*clusters, plugin=telling(UNHEARD[target], opens_for="20s"))
    proxy.get(host="other")

    trip(proxy)
    begun = time.monotonic()
    durations = []
    while time.monotonic() - begun < 0.8:
        for host, status in {"other": 200, "backend": 503}.items():
            sent = time.monotonic()
            assert proxy.get(host=host).status_code == status
            durations.append(time.monotonic() - sent)

    # The slow target holds its call for a second.
    assert sorted(durations)[len(durations) * 9 // 10] < 0.1
    wait_until(lambda: proxy.stat(FAILED) == 1)
    assert proxy.metric("opened") == 1
    wait_for_state(proxy, "open")


def test_a_target_that_is_back_hears_what_comes_next(start, upstream, alerts):
    alerts.refuse()
    webhook = {"cluster": "alerts", "path": "/record"}
    clusters = [cluster("backend", upstream), cluster("alerts", alerts)]
    proxy = start(*clusters, plugin=telling(webhook, opens_for="1s"))
    with httpx.Client(base_url=proxy.url) as client:
        for _ in range(5):
            client.get("/status/503")
        wait_until(lambda: proxy.stat(FAILED) == 1)
        alerts.listen()
        wait_until(lambda: client.get("/").status_code == 200)

    events = wait_until(lambda: len(alerts.recorded) == 2 and told(alerts))
    assert [each["to"] for each in events] == ["half-open", "closed"]
