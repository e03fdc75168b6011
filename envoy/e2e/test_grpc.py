import grpc
import pytest

from rig.config import cluster, plugin


@pytest.fixture
def proxy(start, upstream):
    return start(cluster("backend", upstream, http2=True), plugin=plugin(opens_for="20s"))


def call(proxy, path):
    """The status of a call and its message. Bytes go as they are: no protobuf compiler needed."""
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port}", options=[("grpc.enable_retries", 0)]) as channel:
        try:
            channel.unary_unary(path)(b"", timeout=20)
            return grpc.StatusCode.OK, ""
        except grpc.RpcError as error:
            return error.code(), error.details()


@pytest.mark.parametrize("path", ["/grpc/14", "/grpc-trailers-only/14", "/reset"])
def test_unavailable_trips_the_circuit_wherever_it_is_said(proxy, upstream, path):
    assert call(proxy, "/grpc/0") == (grpc.StatusCode.OK, "")

    for _ in range(5):
        status, message = call(proxy, path)
        assert (status, "circuit breaker" in message) in [(grpc.StatusCode.UNAVAILABLE, False)]

    assert proxy.circuit()["state"] == "open"
    detail = 'circuit breaker for upstream cluster "backend" is open; the service is temporarily unavailable'
    assert call(proxy, "/grpc/0") == (grpc.StatusCode.UNAVAILABLE, detail)
    assert upstream.calls == 6


def test_a_status_that_blames_the_caller_is_no_failure(proxy):
    for status in (3, 5, 7, 8, 12, 16):
        for _ in range(2):
            call(proxy, f"/grpc/{status}")

    assert proxy.circuit()["state"] == "closed"
    assert proxy.metric("failures") == 0
