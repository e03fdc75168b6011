"""What is the upstream's fault, and what is not."""

import pytest

from e2e.words import assert_rejected, get_whatever_comes, wait_for_state
from rig.config import cluster, plugin
from rig.crowd import Crowd
from rig.wait import wait_until

FAULT = {
    "name": "envoy.filters.http.fault",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "abort": {"http_status": 503, "percentage": {"numerator": 100}},
    },
}


@pytest.mark.parametrize(
    "behaviour, flags",
    [
        ("status/500", "-"),
        ("status/503", "-"),
        ("reset", "UC"),
        ("close", "UC"),
        ("garbage", "UPE"),
        ("truncate", "UPE"),
        ("hang", "UT"),
        ("delay/3", "UT"),
    ],
)
def test_an_upstream_that_fails_like_this_trips_its_circuit(start, upstream, behaviour, flags):
    proxy = start(cluster("backend", upstream), plugin=plugin(opens_for="20s"), timeout="0.5s")
    upstream.does(behaviour)

    for _ in range(5):
        get_whatever_comes(proxy, "/failing")

    assert wait_for_state(proxy, "open")["reason"] == "5 consecutive failures"
    assert {each["flags"] for each in proxy.logged("/failing")} == {flags}
    assert_rejected(proxy.get())
    assert upstream.calls == 5


def test_an_upstream_that_refuses_connections_trips_its_circuit(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin())
    upstream.refuse()

    for _ in range(5):
        assert "connection failure" in proxy.get("/refused").text

    assert_rejected(proxy.get())
    assert {each["flags"] for each in proxy.logged("/refused")} == {"UF"}
    upstream.listen()
    wait_until(lambda: proxy.get().status_code == 200)


def test_a_cluster_without_hosts_trips_its_circuit(start):
    proxy = start(cluster("backend"), plugin=plugin(opens_for="20s"))

    for _ in range(5):
        assert proxy.get("/nobody").text == "no healthy upstream"

    assert_rejected(proxy.get())
    assert proxy.logged("/nobody")[0]["flags"] == "UH"


@pytest.mark.parametrize("status", [400, 401, 404, 429, 501])
def test_an_answer_that_blames_the_request_is_no_failure(start, upstream, status):
    proxy = start(cluster("backend", upstream), plugin=plugin())

    for _ in range(10):
        assert proxy.get(f"/status/{status}").status_code == status

    assert_no_failures(proxy)


def test_envoys_own_limit_on_requests_is_no_failure(start, upstream):
    limits = {"thresholds": [{"max_requests": 1}]}
    proxy = start(cluster("backend", upstream, circuit_breakers=limits), plugin=plugin(), concurrency=1)

    with Crowd(proxy.port, 1, "/hold", requests_each=1):
        wait_until(lambda: upstream.in_flight == 1)
        for _ in range(10):
            assert "overflow" in proxy.get("/overflow").text
        upstream.release()

    assert proxy.logged("/overflow")[0]["flags"] == "UO"
    assert_no_failures(proxy)


def test_an_injected_fault_is_no_failure(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin(), later_filters=[FAULT])

    for _ in range(10):
        assert proxy.get().text == "fault filter abort"

    assert upstream.calls == 0
    assert_no_failures(proxy)


def test_a_client_that_leaves_is_no_failure(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin())

    for count in range(1, 11):
        with proxy.connect() as leaving:
            leaving.sendall(b"GET /hang HTTP/1.1\r\nhost: backend\r\n\r\n")
            wait_until(lambda: upstream.calls == count)
    wait_until(lambda: len(proxy.logged("/hang")) == 10)

    assert {each["flags"] for each in proxy.logged("/hang")} == {"DC"}
    assert_no_failures(proxy)


def test_a_failure_that_a_circuit_breaker_further_on_reports_is_no_failure(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin())
    upstream.does("status/503?x-circuit-breaker=open")

    for _ in range(10):
        assert proxy.get().text == "503 from the upstream\n"

    assert_no_failures(proxy)


def assert_no_failures(proxy):
    circuit = proxy.circuit()
    assert (circuit["state"], circuit["fail_count"], circuit["failures"]) == ("closed", 0, 0)
    assert (proxy.metric("failures"), proxy.metric("opened")) == (0, 0)
