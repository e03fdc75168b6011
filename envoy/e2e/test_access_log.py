"""What the access log of envoy.yaml says of requests that the circuit breaker had a hand in, and of others."""

import pytest

from e2e.words import trip, wait_for_state
from rig.config import add_route_by_filter_state, bootstrap, cluster, plugin
from rig.proxy import Proxy
from rig.upstream import Upstream
from rig.wait import wait_until

OPEN = {"open": {"duration": "60s"}}
POLICIES = {
    "well": {},
    "failing": {},
    "rejecting": OPEN,
    "caching": OPEN | {"fallback": [{"cache": {}}]},
    "responding": OPEN | {"fallback": [{"respond": {"status": 203, "body": "sorry"}}]},
    "rerouting": OPEN | {"fallback": [{"reroute": {"circuit": "well"}}]},
    "replacing": {"fallback": [{"respond": {"body": "sorry"}, "on": ["failed"]}]},
    "probing": {"open": {"duration": "100ms"}},
    "watching": OPEN | {"mode": "shadow"},
}
PATHS = {name: f"/{name}" for name in POLICIES} | {"failing": "/status/503", "replacing": "/status/500"}


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """The entry for one request to each circuit, the last that it gets."""
    with Upstream() as upstream:
        config = bootstrap(*(cluster(name, upstream) for name in POLICIES), plugin=plugin() | {"circuits": POLICIES})
        add_route_by_filter_state(config, "well")
        with Proxy(config, tmp_path_factory.mktemp("access-log") / "envoy") as proxy:
            proxy.get(PATHS["caching"], host="caching")
            wait_until(lambda: proxy.metric("successes", "caching") == 1)
            tripped = POLICIES.keys() - {"well", "failing", "replacing"}
            for name in tripped:
                trip(proxy, host=name)
            wait_for_state(proxy, "half-open", "probing")
            for name, path in PATHS.items():
                proxy.get(path, host=name)

            wait_until(lambda: len(proxy.access_log()) == 1 + 5 * len(tripped) + len(PATHS))
            yield dict(zip(PATHS, proxy.access_log()[-len(PATHS) :], strict=True))
            print(proxy.log())


WAS_OPEN, HAD_FAILED = "circuit_breaker_open", "circuit_breaker_upstream_failed"
NOBODY = None


@pytest.mark.parametrize(
    "name, says, status, details, answered_by",
    [
        ("well", None, 200, "via_upstream", "well"),
        ("failing", None, 503, "via_upstream", "failing"),
        ("rejecting", "rejected", 503, WAS_OPEN, NOBODY),
        ("caching", "fallback:cache", 200, WAS_OPEN, NOBODY),
        ("responding", "fallback:respond", 203, WAS_OPEN, NOBODY),
        ("rerouting", "fallback:reroute", 200, "via_upstream", "well"),
        ("replacing", "fallback:respond", 200, HAD_FAILED, "replacing"),
        ("probing", "probe", 200, "via_upstream", "probing"),
        ("watching", "would_reject", 200, "via_upstream", "watching"),
    ],
)
def test_the_log_tells_what_became_of_the_request(logged, name, says, status, details, answered_by):
    entry = logged[name]

    assert (entry["circuit_breaker"], entry["status"], entry["details"]) == (says, status, details)
    if answered_by is NOBODY:
        assert (entry["cluster"], entry["upstream"]) == (name, None)
    else:
        assert entry["cluster"] == answered_by
        assert entry["upstream"].startswith("127.0.0.1:")


def test_the_log_tells_when_response_headers_came_if_they_did(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin())
    proxy.get("/answered")
    upstream.refuse()
    proxy.get("/refused")

    [answered], [refused] = proxy.logged("/answered"), proxy.logged("/refused")

    assert 0 <= answered["response_milliseconds"] <= answered["milliseconds"]
    assert (refused["response_milliseconds"], refused["status"]) == (None, 503)
