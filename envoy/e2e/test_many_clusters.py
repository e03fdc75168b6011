"""A thousand clusters: each has a circuit of its own, or those that need one most have."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from e2e.test_cache_cost import MIB, memory
from e2e.words import assert_rejected, trip, wait_for_state
from rig.config import cluster, plugin
from rig.wait import wait_until

COUNT = 1000


def start_with(start, upstream, **fields):
    begun = time.monotonic()
    proxy = start(*(cluster(name, upstream) for name in names()), plugin=plugin("20s") | fields)
    print(f"{time.monotonic() - begun:.1f} s to start with {COUNT} clusters")
    return proxy


def names():
    return [f"service-{number}" for number in range(COUNT)]


def of_each(proxy, metric):
    """By cluster, where it is not 0."""
    prefix, suffix = "wasmcustom.circuit_breaker.", f".{metric}"
    pattern = f"^{re.escape(prefix)}.+{re.escape(suffix)}$"
    lines = proxy.admin.get("/stats", params={"filter": pattern}).text.splitlines()
    counts = (line.rpartition(": ") for line in lines)
    return {name.removeprefix(prefix).removesuffix(suffix): int(count) for name, _, count in counts if count != "0"}


def ask_all(proxy):
    """By clients on both workers."""

    def ask(numbers):
        with httpx.Client(base_url=proxy.url, timeout=30) as client:
            return [client.get("/", headers={"host": f"service-{number}"}).status_code for number in numbers]

    with ThreadPoolExecutor(2) as pool:
        replies = pool.map(ask, (range(0, COUNT, 2), range(1, COUNT, 2)))
        assert {status for each in replies for status in each} == {200}


def test_each_of_a_thousand_clusters_has_a_circuit(start, upstream):
    proxy = start_with(start, upstream)
    before, _ = memory(proxy)

    ask_all(proxy)

    wait_until(lambda: len(proxy.circuits()) == COUNT)
    after, _ = memory(proxy)
    print(f"{(after - before) / MIB:.1f} MiB for {COUNT} circuits")
    assert after - before < 64 * MIB
    assert proxy.stat("wasmcustom.circuit_breaker.untracked") == 0
    trip(proxy, host="service-777")
    wait_for_state(proxy, "open", "service-777")
    assert_rejected(proxy.get(host="service-777"), circuit="service-777")
    assert [each["state"] for name, each in proxy.circuits().items() if name != "service-777"] == ["closed"] * (COUNT - 1)
    assert upstream.calls == COUNT + 5
    wait_until(lambda: of_each(proxy, "successes") == dict.fromkeys(names(), 1))
    assert of_each(proxy, "failures") == {"service-777": 5}
    wait_until(lambda: of_each(proxy, "rejected") == {"service-777": 1})


def test_beyond_max_circuits_requests_pass_unguarded_and_open_circuits_keep_their_places(start, upstream):
    proxy = start_with(start, upstream, max_circuits=50)
    trip(proxy, host="service-7")
    wait_for_state(proxy, "open", "service-7")

    # All but one, which is rejected.
    for number in range(8, COUNT):
        assert proxy.get(host=f"service-{number}").status_code == 200

    assert len(proxy.circuits()) == 50
    assert proxy.circuits()["service-7"]["state"] == "open"
    assert_rejected(proxy.get(host="service-7"), circuit="service-7")
    untracked = proxy.stat("wasmcustom.circuit_breaker.untracked")
    assert untracked > 0
    assert upstream.calls == 5 + COUNT - 8
    # Guarded or not, each counts once.
    wait_until(lambda: sum(of_each(proxy, "successes").values()) + untracked == COUNT - 8)
    assert of_each(proxy, "failures") == {"service-7": 5}
    wait_until(lambda: of_each(proxy, "rejected") == {"service-7": 1})
    assert not of_each(proxy, "stale_results")
