"""The upstream answers, and its answer arrives."""

from e2e.endings.client import read
from e2e.endings.details import LEFT, after
from e2e.endings.ending import HTTP2, ending
from rig.config import protocol
from rig.wait import wait_until


@ending(200)
def answered_200(client):
    client.get("/status/200")


@ending(404)
def answered_404(client):
    client.get("/status/404")


@ending(204)
def answered_204(client):
    client.get("/status/204")


@ending(304)
def answered_304(client):
    client.get("/status/304")


@ending(200)
def head(client):
    client.send("HEAD", "/status/200")


@ending(200)
def continue_100(client):
    with client.sends("POST /status/200", "expect: 100-continue", "content-length: 4") as connection:
        read(connection, until=b"100 Continue\r\n\r\n")
        connection.sendall(b"body")
        read(connection, until=b"200 from the upstream\n")


@ending(200)
def early_hints_103(client):
    with client.sends("GET /early-hints") as connection:
        received = read(connection, until=b"200 from the upstream\n")
        assert b" 103 " in received


UPGRADE = ("connection: upgrade", "upgrade: websocket")


@ending(101, after("connection_termination"), "UC")
def upgraded_101(client):
    with client.sends("GET /upgrade/close", *UPGRADE) as connection:
        read(connection)


@ending(101, LEFT, "DC", row="upgraded_101")
def upgraded_101_until_the_client_closes(client):
    with client.sends("GET /upgrade", *UPGRADE) as connection:
        read(connection, until=b"\r\n\r\n")


@ending(200, "websocket_handshake_unsuccessful")
def upgrade_refused(client):
    with client.sends("GET /status/200", *UPGRADE) as connection:
        read(connection, until=b"200 OK")


@ending(200)
def early_answer(client):
    with client.sends("POST /early", "content-length: 1000", body=b"a part of it") as connection:
        read(connection, until=b"200 from the upstream\n")


@ending(200)
def close_delimited(client):
    assert client.get("/until-closed").text == "200 from the upstream\n"


@ending(200, cluster=protocol(http_protocol_options={"enable_trailers": True}))
def trailers(client):
    client.get("/trailers?x-checksum=0")


@ending(200, row="trailers", cluster=HTTP2)
def trailers_over_http2(client):
    client.get("/trailers?x-checksum=0")


@ending(200, cluster=HTTP2)
def http2_200(client):
    client.get("/status/200")


@ending(200, attempts=2, route={"retry_policy": {"retry_on": "5xx"}})
def retried_then_200(client):
    client.get("/first/1/status/503")


HEDGED = {
    "retry_policy": {"retry_on": "5xx", "per_try_timeout": "0.2s"},
    "hedge_policy": {"hedge_on_per_try_timeout": True},
}


@ending(200, attempts=2, route=HEDGED)
def hedged_200(client):
    client.get("/first/1/hang")


@ending(200, route={"request_mirror_policies": [{"cluster": "copies"}]})
def mirrored_500(client):
    client.get("/mirrored")
    wait_until(lambda: client.proxy.stat("cluster.copies.upstream_rq_500") == 1)


@ending(200, requests=2, route={"internal_redirect_policy": {}})
def redirected_200(client):
    client.get("/status/302?location=http://redirected-200/status/200")


@ending(500)
def answered_500(client):
    client.get("/status/500")


@ending(503, cluster=HTTP2)
def http2_503(client):
    client.get("/status/503")


@ending(503, flags="URX", attempts=2, route={"retry_policy": {"retry_on": "5xx"}})
def retries_exhausted(client):
    client.get("/status/503")


@ending(429)
def answered_429(client):
    client.get("/status/429")


@ending(501, row="answered_429")
def answered_501(client):
    client.get("/status/501")


@ending(505, row="answered_429")
def answered_505(client):
    client.get("/status/505")


@ending(503)
def rejected_further_on(client):
    client.get("/status/503?x-circuit-breaker=open")
