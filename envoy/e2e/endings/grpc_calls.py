"""gRPC says in trailers how a call ended."""

from e2e.endings.details import after, before
from e2e.endings.ending import HTTP2, ending


@ending(200, cluster=HTTP2)
def grpc_ok(client):
    assert client.call("/grpc/0") == "OK"


@ending(200, cluster=HTTP2)
def grpc_not_found(client):
    assert client.call("/grpc/5") == "NOT_FOUND"


@ending(200, cluster=HTTP2)
def grpc_unavailable(client):
    assert client.call("/grpc/14") == "UNAVAILABLE"


@ending(200, cluster=HTTP2)
def grpc_trailers_only(client):
    assert client.call("/grpc-trailers-only/14") == "UNAVAILABLE"


@ending(200, cluster=HTTP2)
def grpc_without_status(client):
    assert client.call("/grpc-without-status") == "UNKNOWN"


@ending(200, before("remote_reset"), "UR", cluster=HTTP2)
def grpc_reset(client):
    assert client.call("/reset") == "UNAVAILABLE"


@ending(200, after("remote_reset"), "UR", cluster=HTTP2)
def grpc_reset_mid(client):
    assert client.call("/grpc-reset-midway") != "OK"


@ending(200, "response_timeout", "UT", cluster=HTTP2, route={"timeout": "0.2s"})
def grpc_route_timeout(client):
    assert client.call("/hang") == "UNAVAILABLE"


@ending(200, cluster=HTTP2)
def grpc_resource_exhausted(client):
    assert client.call("/grpc/8") == "RESOURCE_EXHAUSTED"
