"""The client sets the time that there is: less than an upstream can be blamed for."""

from e2e.endings.client import an_ordinary_call
from e2e.endings.ending import HTTP2, ending


@ending(504, "response_timeout", "UT")
def client_deadline(client):
    client.get("/hang", {"x-envoy-upstream-rq-timeout-ms": "200"})


@ending(504, "response_timeout", "UT", policy={"classify": {"min_deadline": "150ms"}})
def long_client_deadline(client):
    client.get("/hang", {"x-envoy-upstream-rq-timeout-ms": "200"})


@ending(504, "upstream_per_try_timeout", "UT", row="client_deadline")
def client_deadline_per_try(client):
    client.get("/hang", {"x-envoy-upstream-rq-per-try-timeout-ms": "200"})


@ending(504, "response_timeout", "UT", row="client_deadline")
def client_deadline_as_expected_by_a_proxy_before(client):
    client.get("/hang", {"x-envoy-expected-rq-timeout-ms": "200"})


@ending(504, "upstream_max_stream_duration_reached", "UMSDR", row="client_deadline")
def client_deadline_for_the_stream(client):
    client.get("/hang", {"x-envoy-upstream-stream-duration-ms": "200"})


@ending(504, "response_timeout", "UT", row="client_deadline", given=an_ordinary_call)
def client_deadline_after_an_ordinary_call(client):
    client.get("/hang", {"x-envoy-upstream-rq-timeout-ms": "200"})


@ending(504, row="client_deadline")
def client_deadline_kept_by_the_upstream(client):
    client.get("/status/504", {"x-envoy-upstream-rq-timeout-ms": "200"})


MAX = {"max_stream_duration": {"grpc_timeout_header_max": "0s"}}


@ending(200, "max_duration_timeout", route=MAX)
def grpc_client_deadline(client):
    call_with_deadline(client)


@ending(200, "response_timeout", "UT", row="grpc_client_deadline", route={"max_grpc_timeout": "0s"})
def grpc_client_deadline_as_response_timeout(client):
    call_with_deadline(client)


@ending(200, row="grpc_client_deadline", cluster=HTTP2)
def grpc_client_deadline_kept_by_the_upstream(client):
    call_with_deadline(client, "/delay/0.2/grpc/4")


@ending(0, "http2.remote_reset", "DR", row="grpc_client_deadline", cluster=HTTP2)
def grpc_client_deadline_kept_by_the_client(client):
    assert client.call("/hang", timeout=0.2) == "DEADLINE_EXCEEDED"


def call_with_deadline(client, path="/hang"):
    """By hand, without a library that ends the call itself."""
    headers = [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "200m")]
    with client.http2() as connection:
        connection.send("POST", path, headers)
        connection.read()
