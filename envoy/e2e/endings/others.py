"""Envoy or another filter answers, or the filter itself: the upstream never heard of it."""

from e2e.endings.client import an_ordinary_call, read
from e2e.endings.details import before
from e2e.endings.ending import HTTP2, ending

NONE_MAY_WAIT = {"thresholds": [{"max_pending_requests": 0}]}
NO_REQUESTS = {"thresholds": [{"max_requests": 0}]}


@ending(503, before("overflow"), "UO", cluster={"circuit_breakers": NONE_MAY_WAIT})
def overflow(client):
    client.get("/")


@ending(503, before("overflow"), "UO", row="overflow", cluster={"circuit_breakers": NO_REQUESTS, **HTTP2})
def overflow_over_http2(client):
    client.get("/")


@ending(503, "fault_filter_abort", "FI", filters=["abort"])
def fault_abort(client):
    client.get("/")


@ending(429, "local_rate_limited", "RL", filters=["limit"], given=an_ordinary_call)
def rate_limited(client):
    client.get("/")


@ending(401, "lua_response", filters=["unauthorized"])
def denied(client):
    client.get("/")


@ending(403, "rbac_access_denied_matched_policy[none]", row="denied", filters=["forbidden"])
def denied_by_rbac(client):
    client.get("/")


@ending(413, "request_payload_too_large", filters=["buffer"])
def too_large(client):
    client.send("POST", "/", content=b"more than ten bytes")


@ending(503, "fault_filter_abort", "FI", filters=["earlier_abort"])
def earlier_filter(client):
    client.get("/")


@ending(400, "missing_host_header")
def malformed(client):
    with client.proxy.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        read(connection, until=b"400 Bad Request")


@ending(431, "http1.headers_too_large", "DPE", row="malformed")
def malformed_by_size(client):
    with client.sends("GET /", "x-padding: " + 100_000 * "x") as connection:
        read(connection, until=b"431 Request Header Fields Too Large")


@ending(404, "route_not_found", "NR", routes=[])
def no_route(client):
    client.get("/")


REDIRECT = {"match": {"prefix": "/"}, "redirect": {"path_redirect": "/elsewhere"}}
DIRECT = {"match": {"prefix": "/"}, "direct_response": {"status": 503}}


@ending(301, "direct_response", row="no_route", routes=[REDIRECT])
def redirect(client):
    client.get("/")


@ending(503, "direct_response", row="no_route", routes=[DIRECT])
def direct_response(client):
    client.get("/")


UNKNOWN = {"match": {"prefix": "/"}, "route": {"cluster_header": "x-cluster"}}


@ending(503, "cluster_not_found", "NC", row="no_route", routes=[UNKNOWN])
def unknown_cluster(client):
    client.get("/", {"x-cluster": "nowhere"})


OPENS = {"trip": {"consecutive_failures": 1}, "open": {"duration": "60s"}}


@ending(
    *(503, "circuit_breaker_open"),
    policy=OPENS,
    given=lambda client: client.get("/status/503"),
    also={"rejected": 1},
)
def own_rejection(client):
    client.get("/")
