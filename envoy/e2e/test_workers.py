"""Each worker of Envoy is a thread with a filter of its own; circuits are theirs together."""

import time

import httpx

from e2e.words import assert_rejected, wait_for_state
from rig.config import cluster, plugin
from rig.wait import wait_until


def test_a_trip_in_one_worker_is_obeyed_by_the_other(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin(opens_for="20s"))
    with httpx.Client(base_url=proxy.url) as one, httpx.Client(base_url=proxy.url) as other:
        one.get("/")
        other.get("/")
        assert [proxy.connections_of_worker(worker) for worker in (0, 1)] == [1, 1]

        for _ in range(5):
            one.get("/status/503")
        tripped = time.monotonic()
        rejected = wait_until(lambda: [each for each in [other.get("/")] if each.status_code == 503], timeout=2)

        # 25 ms and the delay of a busy machine.
        assert time.monotonic() - tripped < 0.5
        assert_rejected(*rejected)


def test_recovery_in_one_worker_is_obeyed_by_the_other(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin())
    with httpx.Client(base_url=proxy.url) as one, httpx.Client(base_url=proxy.url) as other:
        for _ in range(5):
            one.get("/status/503")
        wait_until(lambda: other.get("/").status_code == 503)
        wait_for_state(proxy, "half-open")

        assert one.get("/").status_code == 200

        wait_until(lambda: other.get("/").status_code == 200, timeout=2)
        wait_until(lambda: proxy.metric("closed") == 1)


def test_failures_in_both_workers_count_together(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin(opens_for="20s"))
    with httpx.Client(base_url=proxy.url) as one, httpx.Client(base_url=proxy.url) as other:
        for client in (one, other, one, other, one):
            assert client.get("/status/503").text == "503 from the upstream\n"

    wait_for_state(proxy, "open")
