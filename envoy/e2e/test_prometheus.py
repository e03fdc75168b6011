"""The rules and the dashboard that are shipped, with a real Prometheus that scrapes a real Envoy."""

import contextlib
import math
import re
import subprocess

import pytest

from e2e.words import trip, wait_for_state
from rig import dashboard
from rig.config import add_route_by_filter_state, bootstrap, cluster, plugin
from rig.prometheus import PROMETHEUS_DIRECTORY, Prometheus, expressions
from rig.proxy import Proxy
from rig.upstream import Upstream
from rig.wait import wait_until

LONG, SHORT = {"open": {"duration": "60s"}}, {"open": {"duration": "100ms"}}
POLICIES = {
    "closed": {"classify": {"slow_after": "50ms"}},
    "open": LONG,
    "half-open": SHORT | {"half_open": {"probe_timeout": "60s"}},
    "hanging": SHORT | {"half_open": {"probe_timeout": "100ms"}},
    "recovered": SHORT,
    "recovering": {"open": {"duration": "2s"}},
    "answered": LONG | {"fallback": [{"cache": {}}, {"respond": {"body": "sorry"}}]},
    "rerouted": LONG | {"fallback": [{"reroute": {"circuit": "closed"}}]},
    "shadow": LONG | {"mode": "shadow"},
}

# What stays 0 as long as all is well with the filter.
QUIET = re.compile("untracked|bad_records|_conflicts|webhook_failed|vm_reload|stale_results")
NAMES = re.compile(r"\b(?:envoy|circuit_breaker|circuit:circuit_breaker)_[a-z_0-9:]+")


@pytest.fixture(scope="module")
def outage(tmp_path_factory):
    """An Envoy in the middle of it, and a Prometheus that has seen it come."""
    directory = tmp_path_factory.mktemp("prometheus")
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        clusters = [cluster(name, upstream) for name in POLICIES]
        config = bootstrap(*clusters, plugin=plugin() | {"circuits": POLICIES})
        add_route_by_filter_state(config, "closed")
        proxy = stack.enter_context(Proxy(config, directory / "envoy"))
        watcher = stack.enter_context(Prometheus(proxy, directory / "prometheus"))
        # Growth shows between two samples: each circuit must have been seen at 0.
        wait_until(lambda: watcher.values("circuit_breaker_state").keys() == POLICIES.keys())
        for connection in break_down(proxy):
            stack.enter_context(connection)
        yield proxy, watcher
        print(proxy.log(), watcher.log())


@pytest.fixture
def proxy(outage):
    return outage[0]


@pytest.fixture
def prometheus(outage):
    return outage[1]


def break_down(proxy):
    """Makes everything happen at least once that is counted. The connections returned hold probes."""
    for path in ("/", "/delay/0.1", "/status/429", "/status/503"):
        proxy.get(path, host="closed")
    proxy.get("/known", host="answered")
    wait_until(lambda: proxy.metric("successes", "answered") == 1)
    for name in POLICIES.keys() - {"closed", "recovering"}:
        trip(proxy, host=name)

    for name, path in {"open": "/", "rerouted": "/", "shadow": "/", "answered": "/known"}.items():
        proxy.get(path, host=name)
    proxy.get("/unknown", host="answered")
    wait_for_state(proxy, "half-open", "recovered")
    wait_until(lambda: proxy.get(host="recovered").status_code == 200)
    held = [probe(proxy, "half-open", "/hold"), probe(proxy, "hanging", "/hang")]
    wait_until(lambda: proxy.metric("probe_timeouts", "hanging") == 1)
    return held


def probe(proxy, name, path):
    wait_for_state(proxy, "half-open", name)
    connection = proxy.connect()
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: {name}\r\n\r\n".encode())
    wait_until(lambda: proxy.metric("probes", name) == 1)
    return connection


@pytest.mark.parametrize("command", ["check config prometheus.yaml", "test rules rules_test.yaml"])
def test_promtool_is_content_with(command):
    command = ["promtool", *command.split()]
    run = subprocess.run(command, cwd=PROMETHEUS_DIRECTORY, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_state_of_each_circuit_arrives_under_its_name(prometheus):
    expected = {"closed": 0, "open": 1, "half-open": 2, "shadow": 1}

    wait_until(lambda: expected.items() <= prometheus.values("circuit_breaker_state").items())


def test_an_alert_fires_while_a_circuit_is_open_and_resolves_when_it_closes(proxy, prometheus):
    trip(proxy, host="recovering")
    wait_until(lambda: proxy.get(host="recovering").headers.get("x-circuit-breaker") == "open")

    wait_until(lambda: {"open", "recovering"} <= prometheus.firing("CircuitBreakerOpen"))
    assert not {"closed", "shadow"} & prometheus.firing("CircuitBreakerOpen")

    wait_until(lambda: proxy.get(host="recovering").status_code == 200)
    wait_until(lambda: "recovering" not in prometheus.firing("CircuitBreakerOpen"))
    assert "open" in prometheus.firing("CircuitBreakerOpen")


@pytest.mark.parametrize("query", dashboard.queries().values(), ids=dashboard.queries().keys())
def test_the_dashboard_has_something_to_show(prometheus, query):
    least = 0 if QUIET.search(query) else 1e-9

    wait_until(lambda: any(value >= least for _, value in prometheus.query(query)))


@pytest.mark.parametrize("rule", expressions())
def test_a_rule_can_be_evaluated(prometheus, rule):
    is_alert = ":" not in rule

    wait_until(lambda: any(math.isfinite(value) for _, value in prometheus.query(expressions()[rule])) or is_alert)


def test_what_rules_and_dashboard_ask_for_is_there(prometheus):
    asked = set(NAMES.findall(" ".join([*expressions().values(), *dashboard.queries().values()])))

    wait_until(lambda: asked <= prometheus.metrics())


def test_the_dashboard_leaves_no_metric_out(prometheus):
    shown = set(NAMES.findall(" ".join(dashboard.queries().values())))
    there = {name for name in prometheus.metrics() if name.startswith("circuit_breaker_")}

    assert there <= shown
