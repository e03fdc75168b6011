"""An outage, told by containers and the files as they are shipped: an open circuit waits for its 30 s."""

import json

import httpx
import pytest

from e2e.words import assert_rejected, trip, wait_for_state
from rig.wait import wait_until


def test_an_outage_from_the_first_failure_to_the_recovery(stack, proxy, upstream):
    assert proxy.get("/before").text == "200 from the upstream\n"

    upstream.does("status/503")
    for _ in range(5):
        assert proxy.get("/broken").text == "503 from the upstream\n"
    assert_rejected(proxy.get("/rejected"))
    assert proxy.circuit()["reason"] == "5 consecutive failures"
    assert upstream.calls_to("/rejected") == 0
    wait_until(lambda: proxy.metric("state") == 1 and proxy.metric("rejected") == 1)

    upstream.does("status/200")
    wait_for_state(proxy, "half-open", timeout=40)
    assert proxy.get("/probe").status_code == 200
    assert proxy.circuit()["state"] == "closed"
    assert proxy.get("/after").status_code == 200
    assert upstream.calls == 8

    log = stack.log("envoy")
    assert "circuit breaker state change circuit=backend from=closed to=open" in log
    logged = wait_until(lambda: access_log(stack, "/after") and access_log(stack, "/rejected"))
    assert (logged["details"], logged["circuit_breaker"]) == ("circuit_breaker_open", "rejected")


def access_log(stack, path):
    """The newest entry for the path, if there is one."""
    entries = [json.loads(line) for line in stack.log("envoy").splitlines() if line.startswith("{")]
    return next((each for each in reversed(entries) if each["path"] == path), None)


def test_an_upstream_that_refuses_connections_opens_the_circuit_too(proxy, upstream):
    upstream.refuse()
    try:
        for _ in range(5):
            assert proxy.get().headers.get("x-circuit-breaker") is None
        assert_rejected(proxy.get())
    finally:
        upstream.listen()


def test_nothing_is_published_but_on_loopback(stack):
    published = [
        binding
        for container in stack.containers()
        for bindings in container["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    ]

    assert published
    assert {each["HostIp"] for each in published} == {"127.0.0.1"}


def test_the_proxy_serves_no_status(proxy):
    assert proxy.get("/-/circuit-breakers").text == "200 from the upstream\n"


def test_prometheus_follows_the_circuit_and_knows_the_rules(stack, proxy):
    url = stack.url("upstream", 9090)

    def get(path, **parameters):
        return httpx.get(f"{url}/api/v1/{path}", params=parameters).raise_for_status().json()["data"]

    trip(proxy)

    rules = [rule["name"] for group in get("rules")["groups"] for rule in group["rules"]]
    assert "CircuitBreakerOpen" in rules
    # As often as prometheus.yaml says, that is every 15 s.
    found = wait_until(lambda: [each for each in states(get) if each["value"][1] == "1"], timeout=40)
    assert [each["metric"]["circuit"] for each in found] == ["backend"]


def states(get):
    return get("query", query="circuit_breaker_state")["result"]


def test_grafana_shows_the_dashboard(stack):
    if "grafana" not in stack.services:
        pytest.skip("Grafana's image cannot be had here, and nothing stands in for it")
    url = stack.url("grafana", 3000)
    wait_until(lambda: answers(f"{url}/api/health"), timeout=60)

    dashboard = httpx.get(f"{url}/api/dashboards/uid/fusebox-circuits").raise_for_status().json()

    assert dashboard["dashboard"]["title"] == "Circuit breakers"
    assert dashboard["meta"]["provisioned"] is True


def answers(url):
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
