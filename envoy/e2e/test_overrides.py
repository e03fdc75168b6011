"""An operator forces states, through the status endpoint."""

import contextlib
import hashlib

import httpx
import pytest

from e2e.words import assert_rejected, trip, wait_for_state
from rig.config import cluster, plugin
from rig.wait import wait_until

TOKEN = "open sesame"


@pytest.fixture
def proxy(start, upstream):
    configuration = plugin(opens_for="20s")
    configuration["status"]["control_token_sha256"] = hashlib.sha256(TOKEN.encode()).hexdigest()
    return start(cluster("backend", upstream), plugin=configuration)


def order(proxy, method, circuit="backend", token=TOKEN, **query):
    url = f"{proxy.status_url}/{circuit}/override"
    return proxy.admin.request(method, url, params=query, headers={"authorization": f"Bearer {token}"})


def ask_every_worker(proxy):
    """Connections take turns on the workers, as long as they are open."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=proxy.url, timeout=30)) for _ in range(4)]
        return [client.get("/") for client in clients]


def test_a_circuit_that_is_forced_open_rejects_on_every_worker_until_that_is_ended(proxy, upstream):
    assert proxy.get().status_code == 200
    calls = upstream.calls

    forced = order(proxy, "PUT", state="open", reason="database restore", **{"for": "1m"})

    shown = forced.raise_for_status().json()["circuit_breaker"]
    assert shown["override"]["reason"] == "database restore"
    assert 58 < shown["override"]["until"] - forced.json()["timestamp"] <= 60
    wait_until(lambda: all(reply.status_code == 503 for reply in ask_every_worker(proxy)))
    assert_rejected(proxy.get(), retry_after=range(50, 61))
    assert proxy.circuit()["reason"] == "override: database restore"
    assert 'from=closed to=open reason="override: database restore" generation=1 open_for=1m' in proxy.log()

    before = upstream.calls
    order(proxy, "DELETE").raise_for_status()
    wait_until(lambda: proxy.get().status_code == 200)
    assert wait_for_state(proxy, "closed")["override"] is None
    assert before - calls < 4 and upstream.calls > before


def test_a_circuit_that_is_forced_closed_does_not_trip_and_counts_afresh_afterwards(proxy):
    trip(proxy)
    assert_rejected(proxy.get())

    order(proxy, "PUT", state="closed", reason="we know", **{"for": "2s"}).raise_for_status()

    wait_until(lambda: all(reply.status_code == 200 for reply in ask_every_worker(proxy)))
    for _ in range(10):
        assert proxy.get("/status/503").text == "503 from the upstream\n"
    wait_until(lambda: proxy.circuit()["override"] is None)
    wait_until(lambda: 'from=closed to=closed reason="override over"' in proxy.log())
    assert proxy.circuit()["state"] == "closed"
    trip(proxy)
    wait_for_state(proxy, "open")


def test_nobody_without_the_token_forces_anything(proxy):
    refused = order(proxy, "PUT", token="a guess", state="open", reason="mischief", **{"for": "1m"})

    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert proxy.get().status_code == 200
    assert "a guess" not in proxy.log()


def test_without_a_token_there_are_no_overrides(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin())

    refused = order(proxy, "PUT", state="open", reason="mischief", **{"for": "1m"})

    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


def test_one_word_is_for_all_circuits(start, upstream, second_upstream):
    configuration = plugin(opens_for="20s")
    configuration["status"]["control_token_sha256"] = hashlib.sha256(TOKEN.encode()).hexdigest()
    proxy = start(cluster("red", upstream), cluster("blue", second_upstream), plugin=configuration)
    assert [proxy.get(host=host).status_code for host in ("red", "blue")] == [200, 200]

    forced = order(proxy, "PUT", circuit="*", state="open", reason="drill", **{"for": "1m"}).raise_for_status()

    assert {each["name"]: each["override"]["reason"] for each in forced.json()["circuit_breakers"]} == {
        "red": "drill",
        "blue": "drill",
    }
    wait_until(lambda: all(proxy.get(host=host).status_code == 503 for host in ("red", "blue")))
