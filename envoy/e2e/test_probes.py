"""However many clients over however many workers wait for the end of an outage, only the probes find out."""

import pytest

from e2e.words import assert_rejected, trip, wait_for_state
from rig.config import cluster, plugin
from rig.crowd import Crowd
from rig.wait import wait_until

CLIENTS = 200


@pytest.mark.parametrize("probes", [1, 3])
def test_of_200_clients_only_the_probes_reach_the_upstream(start, upstream, probes):
    half_open = {"probes": probes, "probe_timeout": "60s"}
    proxy = start(cluster("backend", upstream), plugin=plugin(opens_for="3s", half_open=half_open), timeout="60s")
    trip(proxy)
    upstream.forget_calls()

    with Crowd(proxy.port, CLIENTS, "/hold") as crowd:
        wait_until(lambda: upstream.in_flight == probes, timeout=60)
        # All of them ask several times while the probes are out.
        wait_until(lambda: crowd.replies["half-open"] >= 10 * CLIENTS, timeout=60)
        crowd.send_no_more()
        wait_until(lambda: crowd.waiting == probes)
        assert upstream.in_flight == probes
        upstream.release()

    assert crowd.replies[200] == probes
    assert upstream.calls == probes
    assert proxy.metric("probes") == probes
    assert all(proxy.connections_of_worker(worker) >= CLIENTS // 2 for worker in (0, 1))
    wait_for_state(proxy, "closed")


def test_a_probe_whose_client_left_gives_its_place_to_the_next(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin())
    trip(proxy)
    wait_for_state(proxy, "half-open")
    with proxy.connect() as leaving:
        leaving.sendall(b"GET /hang HTTP/1.1\r\nhost: backend\r\n\r\n")
        wait_until(lambda: upstream.calls_to("/hang") == 1)
        assert_rejected(proxy.get("/meanwhile"), state="half-open", retry_after=[1])

    wait_until(lambda: proxy.get().status_code == 200)

    wait_for_state(proxy, "closed")
    assert proxy.metric("opened") == 1
    assert proxy.logged("/meanwhile")[0]["details"] == "circuit_breaker_half_open"
