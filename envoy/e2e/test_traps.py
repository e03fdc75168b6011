"""A worker whose filter traps loses its own requests, and nothing else: Envoy starts it afresh, and leases run out.

The module is the one that is shipped, but that a request with trailers traps it.
"""

import contextlib
import http.client
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from e2e.words import assert_rejected, wait_for_state
from rig import wasm
from rig.config import MODULE, bootstrap, cluster, connection_manager, plugin
from rig.config import wasm as plugin_of
from rig.wait import wait_until

OTHER, LASTING = {"host": "other"}, {"host": "lasting"}


@pytest.fixture
def proxy(run, upstream, tmp_path):
    configuration = plugin(opens_for="0.5s", open={"multiplier": 1}, half_open={"probe_timeout": "3s"})
    configuration["circuits"] = {"lasting": {"open": {"duration": "60s"}}}
    clusters = [cluster(name, upstream) for name in ("backend", "other", "lasting")]
    config = bootstrap(*clusters, plugin=configuration)
    module = tmp_path / "trapping.wasm"
    module.write_bytes(wasm.trapping_in(MODULE.read_bytes(), "proxy_on_request_trailers"))
    plugin_of(config)["vm_config"]["code"] = {"local": {"filename": str(module)}}
    connection_manager(config, "proxy")["http_protocol_options"] = {"enable_trailers": True}
    return run(config)


@pytest.fixture
def workers(proxy):
    """A client of each, and a bare connection: connections take turns, and each stays where it is."""
    with contextlib.ExitStack() as stack:

        def client():
            made = stack.enter_context(httpx.Client(base_url=proxy.url, timeout=30))
            assert made.get("/", headers=OTHER).status_code == 200
            return made

        def connection():
            made = stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", proxy.port)))
            assert ask(made) == b"200 from the upstream\n"
            return made

        on_each = [one_on_each_worker(proxy, open) for open in (client, connection)]
        # What a worker has not told of its successes dies with its filter.
        wait_until(lambda: proxy.metric("successes", "other") == 4)
        yield list(zip(*on_each, strict=True))


def ask(connection):
    connection.request("GET", "/", headers=OTHER)
    return connection.getresponse().read()


def one_on_each_worker(proxy, open):
    opened = {}
    for _ in range(2):
        before = proxy.connections_of_worker(0)
        made = open()
        opened["second" if proxy.connections_of_worker(0) == before else "first"] = made
    return opened["first"], opened["second"]


@contextlib.contextmanager
def holding(client, host="backend", path="/hold"):
    """A request in flight meanwhile; what is given is its reply to come."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(client.get, path, headers={"host": host})


def trap(proxy, connection, host="other"):
    connection.putrequest("POST", "/traps", skip_host=True)
    for header in (("host", host), ("transfer-encoding", "chunked")):
        connection.putheader(*header)
    connection.endheaders(b"1\r\nx\r\n0\r\nx-trailer: x\r\n\r\n")
    assert connection.getresponse().status == 503
    assert "proxy_on_request_trailers failed" in proxy.log()


def status_afterwards(proxy):
    """It may be the worker that trapped that is asked."""
    wait_until(lambda: proxy.admin.get(proxy.status_url).status_code == 200)
    return proxy.circuit()


def trip(client, host="backend"):
    for _ in range(5):
        assert client.get("/status/503", headers={"host": host}).text == "503 from the upstream\n"


def test_only_the_requests_that_were_with_it_are_lost(proxy, upstream, workers):
    (one, trapping), (other, working) = workers
    with holding(one) as lost, holding(other) as served:
        wait_until(lambda: upstream.in_flight == 2)

        trap(proxy, trapping)

        assert ask(working) == b"200 from the upstream\n"
        upstream.release()
        assert (lost.result().status_code, served.result().status_code) == (503, 200)
    wait_until(lambda: one.get("/").status_code == 200)

    # What was answered counts as that, what was lost as nothing: not against the upstream either.
    def served_and_counted():
        served = [each for each in proxy.access_log() if each["status"] == 200]
        return len(served), sum(proxy.metric("successes", each) for each in ("backend", "other"))

    wait_until(lambda: len(set(served_and_counted())) == 1)
    assert [proxy.metric(each) for each in ("failures", "ignored", "opened")] == [0, 0, 0]
    circuit = status_afterwards(proxy)
    assert (circuit["state"], circuit["fail_count"]) == ("closed", 0)


def test_an_open_circuit_is_open_for_the_filter_that_is_started_afresh(proxy, upstream, workers):
    (one, trapping), (other, _) = workers
    trip(other, host="lasting")
    trap(proxy, trapping)
    upstream.forget_calls()

    # A filter that has trapped answers without a body.
    rejected = wait_until(lambda: [reply for reply in [one.get("/", headers=LASTING)] if reply.content])

    for reply in (*rejected, other.get("/", headers=LASTING)):
        assert_rejected(reply, circuit="lasting", retry_after=range(1, 61))
    assert upstream.calls == 0


def test_a_probe_that_dies_with_its_worker_is_one_that_timed_out(proxy, upstream, workers):
    (one, trapping), (other, _) = workers
    trip(other)
    wait_for_state(proxy, "half-open")
    with holding(one) as lost:
        wait_until(lambda: proxy.metric("probes") == 1)

        trap(proxy, trapping)

        assert [each["stage"] for each in status_afterwards(proxy)["probes"]] == ["waiting"]
        assert_rejected(other.get("/"), state="half-open", retry_after=[1, 2, 3])
        wait_until(lambda: proxy.metric("opened") == 2)
        assert proxy.metric("probe_timeouts") == 1
        upstream.release()
        assert lost.result().status_code == 503

    for client in (one, other):
        wait_until(lambda client=client: client.get("/").status_code == 200)
    assert wait_for_state(proxy, "closed")["probes"] == []
    assert [proxy.metric(each) for each in ("opened", "half_opened", "closed", "probes")] == [2, 2, 1, 2]


def test_a_probe_that_traps_its_worker_gives_its_place_to_the_next_when_its_lease_is_over(proxy, workers):
    (_, trapping), (other, _) = workers
    trip(other)
    wait_for_state(proxy, "half-open")

    trap(proxy, trapping, host="backend")

    assert [each["stage"] for each in status_afterwards(proxy)["probes"]] == ["sending"]
    assert_rejected(other.get("/"), state="half-open", retry_after=[1, 2, 3])
    wait_until(lambda: other.get("/").status_code == 200)
    assert wait_for_state(proxy, "closed")["probes"] == []
    assert [proxy.metric(each) for each in ("opened", "closed", "probes", "probe_timeouts")] == [1, 1, 2, 0]
