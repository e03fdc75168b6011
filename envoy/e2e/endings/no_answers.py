"""The upstream cannot be reached, or does not answer, or not to the end."""

from e2e.endings.client import read
from e2e.endings.details import after, before
from e2e.endings.ending import HTTP2, ending

TLS = {
    "name": "tls",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"},
}


@ending(503, before("remote_connection_failure|delayed_connect_error:_Connection_refused"), "UF", at="refusing")
def refused(client):
    client.get("/")


@ending(
    503,
    "upstream_reset_before_response_started{remote_connection_failure|TLS_error:",
    "UF",
    cluster={"transport_socket": TLS},
)
def tls_failed(client):
    client.get("/")


@ending(503, before("connection_timeout"), "UF", at="full", cluster={"connect_timeout": "0.2s"})
def connect_timeout(client):
    client.get("/")


@ending(503, "no_healthy_upstream", "UH", at=None)
def no_hosts(client):
    client.get("/")


@ending(503, before("connection_termination"), "UC")
def closed(client):
    client.get("/close")


@ending(503, before("connection_termination"), "UC")
def reset(client):
    client.get("/reset")


@ending(503, before("remote_reset"), "UR", cluster=HTTP2)
def http2_reset(client):
    client.get("/reset")


@ending(503, before("remote_refused_stream_reset"), "UR", cluster=HTTP2)
def http2_refused_stream(client):
    client.get("/refuse-stream")


@ending(502, before("protocol_error"), "UPE")
def garbage(client):
    client.get("/garbage")


@ending(502, before("protocol_error"), "UPE")
def headers_too_large(client):
    client.get("/large-headers/100")


@ending(200, after("protocol_error"), "UPE")
def truncated(client):
    client.get_in_part("/truncate")


@ending(200, after("protocol_error"), "UPE", row="truncated")
def truncated_by_reset(client):
    be_reset_mid_body(client)


@ending(200, after("protocol_error"), "UPE")
def truncated_chunks(client):
    client.get_in_part("/truncate-chunks")


@ending(200, after("connection_termination"), "UC", cluster=HTTP2)
def http2_truncated(client):
    client.get_in_part("/truncate")


@ending(200, after("remote_reset"), "UR", cluster=HTTP2)
def http2_reset_mid_body(client):
    be_reset_mid_body(client)


def be_reset_mid_body(client):
    with client.sends("GET /reset-midway") as connection:
        read(connection, until=b"half of it")
        client.upstream.release()
        read(connection)
