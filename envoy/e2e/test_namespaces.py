"""Two plugins of one vm_id, each in a namespace of its own, guard clusters of the same names: neither sees the other's circuits."""

import httpx
import pytest

from rig.config import STATUS_PATH, add_listener, bootstrap, cluster, plugin
from rig.wait import wait_until

CLUSTERS = ("backend", "spare")
# What either trips at; the other's would not.
THRESHOLDS = {"proxy": 3, "other": 5}
ASKED = 4


def in_namespace(listener):
    """The window is another too, which within one namespace would be a conflict."""
    count = THRESHOLDS[listener]
    made = plugin("20s", trip={"failures": {"count": count, "window": f"{10 * count}s"}})
    return made | {"namespace": listener, "status": {"path": STATUS_PATH, "everywhere": True}}


@pytest.fixture
def proxy(run, upstream):
    config = bootstrap(*(cluster(name, upstream) for name in CLUSTERS), plugin=in_namespace("proxy"))
    add_listener(config, "other", in_namespace("other"))
    return run(config)


@pytest.fixture
def ask(proxy):
    def ask(listener, circuit, path="/"):
        # A new connection each, so that both workers take some.
        return httpx.get(f"http://127.0.0.1:{proxy.ports[listener]}{path}", headers={"host": circuit})

    return ask


@pytest.fixture
def status(ask):
    def status(listener, circuit):
        return ask(listener, circuit, f"{STATUS_PATH}/{circuit}").raise_for_status().json()["circuit_breaker"]

    return status


def test_each_opens_its_own_circuit_and_lets_the_others_requests_pass(proxy, upstream, ask, status):
    broken = {"proxy": "backend", "other": "spare"}
    for listener, circuit in broken.items():
        for _ in range(THRESHOLDS[listener]):
            assert ask(listener, circuit, "/status/503").text == "503 from the upstream\n"
        wait_until(lambda listener=listener, circuit=circuit: status(listener, circuit)["state"] == "open")

    for listener in broken:
        for circuit in CLUSTERS:
            replies = [ask(listener, circuit) for _ in range(ASKED)]
            told = [(each.status_code, each.headers.get("x-circuit-breaker")) for each in replies]
            assert told == ASKED * [(503, "open") if broken[listener] == circuit else (200, None)]

    assert upstream.calls == sum(THRESHOLDS.values()) + 2 * ASKED
    for listener, circuit in broken.items():
        [well] = set(CLUSTERS) - {circuit}
        count = THRESHOLDS[listener]
        assert seen(status(listener, circuit)) == ("open", 1, count, count, f"{count} failures within {10 * count}s")
        wait_until(lambda listener=listener, well=well: seen(status(listener, well)) == ("closed", 0, ASKED, 0, None))
        # Envoy's counters know clusters, and no namespaces: a name's are of both together.
        sums = {"opened": 1, "failures": count, "rejected": ASKED, "successes": ASKED, "stale_results": 0, "ignored": 0}
        wait_until(lambda circuit=circuit, sums=sums: {each: proxy.metric(each, circuit) for each in sums} == sums)
    for each in ("untracked", "policy_conflicts", "bad_records"):
        assert proxy.stat(f"wasmcustom.circuit_breaker.{each}") == 0


def seen(circuit):
    return tuple(circuit[each] for each in ("state", "generation", "requests", "failures", "reason"))
