"""An outage from beginning to end, as its clients and its operator see it."""

import httpx

from e2e.words import assert_rejected, trip, wait_for_state
from rig.config import bootstrap, cluster, connection_manager, plugin
from rig.wait import wait_until


def test_while_all_is_well_requests_and_replies_pass_untouched(start, run, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin())
    without = bootstrap(cluster("backend", upstream))
    filters = connection_manager(without, "proxy")["http_filters"]
    filters[:] = [each for each in filters if each["name"] != "fusebox"]
    bare = run(without)

    guarded, plain = (each.get("/echo", host="backend") for each in (proxy, bare))

    assert guarded.status_code == 200
    assert without_ids(guarded.text) == without_ids(plain.text)
    assert guarded.headers.keys() == plain.headers.keys()
    circuit = proxy.circuit()
    assert (circuit["state"], circuit["is_healthy"], circuit["fail_count"]) == ("closed", True, 0)
    assert proxy.metric("state") == 0
    assert proxy.logged("/echo")[0]["circuit_breaker"] is None


def without_ids(head):
    return [line for line in head.splitlines() if not line.startswith("x-request-id:")]


def test_five_failures_open_the_circuit_and_then_the_upstream_is_left_alone(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin(opens_for="20s"))

    trip(proxy)

    circuit = proxy.circuit()
    assert (circuit["state"], circuit["is_healthy"]) == ("open", False)
    assert circuit["reason"] == "5 consecutive failures"
    assert circuit["retry_after"] in range(1, 21)
    wait_until(lambda: proxy.metric("state") == 1)
    wait_until(lambda: proxy.metric("opened") == 1)
    assert "circuit breaker state change circuit=backend from=closed to=open" in proxy.log()

    # A request that got through would hang now: the answers come, so they come from Envoy.
    upstream.does("hang")
    for _ in range(10):
        assert_rejected(proxy.get("/rejected"), retry_after=range(1, 21))
    assert upstream.calls == 5
    wait_until(lambda: proxy.metric("rejected") == 10)
    logged = proxy.logged("/rejected")[0]
    assert logged["details"] == "circuit_breaker_open"
    assert logged["circuit_breaker"] == "rejected"


def test_the_circuit_recovers_by_itself_through_one_probe(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin(opens_for="2s"))
    trip(proxy)
    opened = proxy.circuit()
    assert_rejected(proxy.get(), retry_after=range(1, 3))

    half_open = wait_for_state(proxy, "half-open")
    assert half_open["is_healthy"] is False
    assert upstream.calls == 5, "the passage of time alone sends nothing"

    assert proxy.get("/probe").status_code == 200
    assert upstream.calls_to("/probe") == 1
    closed = proxy.circuit()
    assert (closed["state"], closed["fail_count"]) == ("closed", 0)
    assert closed["generation"] == opened["generation"] + 2
    assert proxy.logged("/probe")[0]["circuit_breaker"] == "probe"
    transitions = [proxy.metric(each) for each in ("opened", "half_opened", "closed", "probes", "state")]
    assert transitions == [1, 1, 1, 1, 0]

    assert proxy.get("/after").status_code == 200
    assert proxy.logged("/after")[0]["circuit_breaker"] is None
    wait_until(lambda: proxy.metric("successes") >= 1)


def test_a_failed_probe_opens_the_circuit_again_for_longer(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin(opens_for="1s", open={"multiplier": 20}))
    trip(proxy)
    wait_for_state(proxy, "half-open")

    assert proxy.get("/status/503").text == "503 from the upstream\n"

    assert_rejected(proxy.get(), retry_after=range(10, 21))
    wait_until(lambda: proxy.metric("opened") == 2)
    assert upstream.calls == 6


def test_http2_clients_get_the_same_answers(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin(opens_for="20s"))
    trip(proxy)

    with httpx.Client(base_url=proxy.url, http1=False, http2=True) as client:
        rejected = client.get("/")

    assert rejected.http_version == "HTTP/2"
    assert_rejected(rejected)
