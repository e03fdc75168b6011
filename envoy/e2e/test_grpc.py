import grpc
import pytest

from e2e.words import wait_for_state
from rig.config import cluster, plugin


@pytest.fixture
def proxy(start, upstream):
    return start(cluster("backend", upstream, http2=True), plugin=plugin(opens_for="20s"))


@pytest.fixture
def call(proxy):
    """Calls a method, and returns status and message. Bytes go as they are: no protobuf compiler needed."""
    # One connection, so one worker: it counts resets exactly, of another's it knows a tick later.
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port}", options=[("grpc.enable_retries", 0)]) as channel:

        def call(path):
            try:
                channel.unary_unary(path)(b"", timeout=20)
                return grpc.StatusCode.OK, ""
            except grpc.RpcError as error:
                return error.code(), error.details()

        yield call


@pytest.mark.parametrize("path", ["/grpc/14", "/grpc-trailers-only/14", "/reset"])
def test_unavailable_trips_the_circuit_wherever_it_is_said(proxy, upstream, call, path):
    assert call("/grpc/0") == (grpc.StatusCode.OK, "")

    for _ in range(5):
        status, message = call(path)
        assert status == grpc.StatusCode.UNAVAILABLE
        assert "circuit breaker" not in message

    wait_for_state(proxy, "open")
    detail = 'circuit breaker for upstream cluster "backend" is open; the service is temporarily unavailable'
    assert call("/grpc/0") == (grpc.StatusCode.UNAVAILABLE, detail)
    assert upstream.calls == 6


def test_a_status_that_blames_the_caller_is_no_failure(proxy, call):
    for status in (3, 5, 7, 8, 12, 16):
        for _ in range(2):
            call(f"/grpc/{status}")

    assert proxy.circuit()["state"] == "closed"
    assert proxy.metric("failures") == 0
