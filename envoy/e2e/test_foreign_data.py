"""Another filter of the same vm_id writes what it likes where fusebox keeps its circuits: that is no data, and no harm."""

import os

import pytest

from e2e.words import trip, wait_for_state
from rig.config import add_listener, bootstrap, cluster, plugin, wasm
from rig.crowd import Crowd
from rig.vandal import vandal
from rig.wait import wait_until

KEYS = [
    *("index", "pulse", "circuit/0", "circuit/1", "history/0", "worker/0", "worker/1", "worker/2"),
    *("cache/1/geometry", *(f"cache/1/set/{number}" for number in range(64))),
    *(f"cache/1/{unit}/{number}" for unit in (1, 2, 4, 8) for number in range(16)),
]
GARBAGE = {
    "nothing": b"",
    "text": b"not yours",
    "zeros": bytes(100),
    "ones": b"\xff" * 5000,
    "a_version_and_noise": b"\x01" + os.urandom(200),
}
WORKERS = 2
BAD_RECORDS = "wasmcustom.circuit_breaker.bad_records"


@pytest.fixture(params=GARBAGE.values(), ids=GARBAGE)
def garbage(request):
    return request.param


@pytest.fixture
def proxy(run, upstream, tmp_path, garbage):
    cached = [{"cache": {"refresh_after": "0s"}}, {"respond": {"body": "sorry"}}]
    config = bootstrap(cluster("backend", upstream), plugin=plugin(opens_for="0.5s", fallback=cached))
    add_listener(config, "vandal", plugin())
    module = tmp_path / "vandal.wasm"
    module.write_bytes(vandal({f"fusebox/1/default/{key}": garbage for key in KEYS}))
    wasm(config, "vandal")["vm_config"]["code"] = {"local": {"filename": str(module)}}
    return run(config, concurrency=WORKERS)


def vandalise(proxy):
    """And see it counted."""
    before = proxy.stat(BAD_RECORDS)
    assert proxy.admin.get(f"http://127.0.0.1:{proxy.ports['vandal']}/").status_code == 200
    wait_until(lambda: proxy.get().status_code == 200 and proxy.stat(BAD_RECORDS) > before)


def works(proxy):
    """The whole of it: trips, answers from the cache, recovers."""
    wait_until(lambda: proxy.get("/kept").text == "200 from the upstream\n")
    wait_until(lambda: proxy.get("/status/503").headers.get("x-circuit-breaker") == "open")
    assert proxy.get("/kept").headers["x-circuit-breaker-fallback"] == "cache"
    wait_until(lambda: proxy.get().headers.get("x-circuit-breaker") is None)
    wait_until(lambda: proxy.metric("state") == 0)
    assert "failed" not in proxy.log()


def assert_nothing_was_lost_nor_counted_twice(proxy, upstream):
    """Of every request that clients sent, and the one that the other filter took."""
    # The log and the counters come late, each by itself: one alone may agree with the other too early.
    wait_until(lambda: counted(proxy) == len(proxy.access_log()) - 1 and upstream.calls == len(asked_upstream(proxy)))
    answered_here = [each["circuit_breaker"] for each in proxy.access_log() if is_answered_here(each)]
    assert proxy.metric("rejected") == len(answered_here)
    assert proxy.metric("fallback_cache_hit") == answered_here.count("fallback:cache")
    assert proxy.metric("fallback_respond") == answered_here.count("fallback:respond")
    # A worker finds its record lost by reading it, and what it admitted until then is of the circuit's former life.
    failed = sum(each["status"] == 503 for each in proxy.access_log())
    assert 0 <= failed - proxy.metric("failures") <= proxy.metric("stale_results") <= WORKERS
    assert proxy.metric("ignored") == 0


def is_answered_here(entry):
    return bool(entry["circuit_breaker"]) and entry["circuit_breaker"] != "probe"


def asked_upstream(proxy):
    return [each for each in proxy.access_log() if not is_answered_here(each)]


def counted(proxy):
    outcomes = ("successes", "failures", "ignored", "stale_results", "rejected")
    return sum(map(proxy.metric, outcomes)) + proxy.stat("wasmcustom.circuit_breaker.untracked")


def test_while_closed(proxy, upstream):
    works(proxy)

    vandalise(proxy)

    works(proxy)
    assert_nothing_was_lost_nor_counted_twice(proxy, upstream)


def test_while_open(proxy, upstream):
    trip(proxy)

    vandalise(proxy)

    works(proxy)
    assert_nothing_was_lost_nor_counted_twice(proxy, upstream)


def test_while_half_open_with_a_probe_out(proxy, upstream):
    trip(proxy)
    wait_for_state(proxy, "half-open")
    with Crowd(proxy.port, 1, "/hold", requests_each=1) as probe:
        wait_until(lambda: upstream.in_flight == 1)

        vandalise(proxy)

        upstream.release()
        wait_until(lambda: probe.replies == {200: 1})
    works(proxy)
    assert_nothing_was_lost_nor_counted_twice(proxy, upstream)


@pytest.mark.parametrize("garbage", [GARBAGE["text"]], ids=["text"])
def test_the_status_lists_the_circuit_again(proxy):
    trip(proxy)
    vandalise(proxy)

    works(proxy)

    assert "backend" in proxy.circuits()
