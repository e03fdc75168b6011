"""The client ends the call, or never completes its request."""

from e2e.endings.client import read
from e2e.endings.details import LEFT
from e2e.endings.ending import ending


@ending(0, LEFT, "DC")
def client_leaves(client):
    with client.sends("GET /hang"):
        client.wait_until_under_way()


@ending(0, LEFT, "DC", row="client_leaves")
def client_leaves_over_http2(client):
    with client.http2() as connection:
        connection.send("GET", "/hang")
        client.wait_until_under_way()


@ending(200, LEFT, "DC")
def client_leaves_mid_body(client):
    with client.sends("GET /stall") as connection:
        read(connection, until=b"half of it")


@ending(200, LEFT, "DC", row="client_leaves_mid_body")
def client_leaves_an_endless_body(client):
    with client.sends("GET /events/inf") as connection:
        read(connection, until=b"something happened")


@ending(0, LEFT, "DC")
def client_leaves_mid_upload(client):
    with client.sends("POST /status/200", "content-length: 1000", body=b"a part of it"):
        client.wait_until_under_way()


@ending(0, "http2.remote_reset", "DR")
def client_resets_stream(client):
    with client.http2() as connection:
        stream = connection.send("GET", "/hang")
        client.wait_until_under_way()
        connection.reset(stream)


@ending(408, "stream_idle_timeout", "SI", route={"idle_timeout": "0.2s"})
def stalled_upload(client):
    with client.sends("POST /status/200", "content-length: 1000", body=b"a part of it") as connection:
        read(connection, until=b"408 Request Timeout")


@ending(400, "http1.codec_error", "DPE")
def bad_chunk(client):
    with client.sends("POST /status/200", "transfer-encoding: chunked", body=b"no length\r\n") as connection:
        read(connection, until=b"400 Bad Request")
