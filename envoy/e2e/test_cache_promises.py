"""What the cache promises whatever its budget is, and whatever stands before it."""

import base64
import contextlib
import hashlib
import hmac
import json

from e2e.test_cache_cost import KIB, MIB, memory
from e2e.test_caching import caching, store
from e2e.words import assert_rejected, trip, wait_for_state
from rig.config import cluster, plugin
from rig.wait import wait_until

SECRET = b"said to nobody but the tests"


def test_the_smallest_budget_keeps_a_reply(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=caching() | {"cache": {"max_bytes": "1MiB"}})
    store(proxy, "/question")
    trip(proxy)

    assert proxy.get("/question").status_code == 200


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(user):
    parts = [encoded(json.dumps(part).encode()) for part in ({"alg": "HS256"}, {"iss": "tests", "sub": user})]
    return ".".join([*parts, encoded(hmac.digest(SECRET, ".".join(parts).encode(), hashlib.sha256))])


# All of it is Envoy's default, but for whom to trust and the name of the header.
AUTHENTICATION = {
    "name": "envoy.filters.http.jwt_authn",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {
            "tests": {
                "issuer": "tests",
                "local_jwks": {
                    "inline_string": json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "k": encoded(SECRET)}]})
                },
                "claim_to_headers": [{"header_name": "x-user", "claim_name": "sub"}],
            }
        },
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "tests"}}],
    },
}


def test_no_reply_crosses_users_whose_tokens_are_checked_before(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=caching(), earlier_filters=[AUTHENTICATION])
    anna, bert = ({"authorization": f"Bearer {token(user)}"} for user in ("anna", "bert"))
    assert proxy.get("/me").status_code == 401
    upstream.does("echo")
    store(proxy, "/me", headers=anna)
    for _ in range(5):
        assert proxy.get("/status/503", headers=anna).status_code == 503
    wait_for_state(proxy, "open")

    assert_rejected(proxy.get("/me", headers=bert))


STREAMS = 400


def growth(proxy, upstream):
    """What is resident beyond what was before, while so many replies have begun, each with long headers."""
    head = f"HTTP/1.1 200 OK\r\nx-long: {'x' * 50 * KIB}\r\ncontent-length: 1000\r\n\r\n"
    upstream.forget_calls()
    upstream.does(f"raw/{base64.urlsafe_b64encode(head.encode()).decode()}")
    before, _ = memory(proxy)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(proxy.connect()) for _ in range(STREAMS)]
        for number, connection in enumerate(connections):
            connection.sendall(b"GET /%d HTTP/1.1\r\nhost: lean\r\n\r\n" % number)
        for connection in connections:
            left = len(head)
            while left > 0:
                left -= len(connection.recv(MIB))
        after, _ = memory(proxy)
    wait_until(lambda: proxy.stat("http.proxy.downstream_cx_active") == 0)
    return after - before


def test_copies_in_flight_are_bounded_with_their_headers(start, upstream):
    plain = start(cluster("backend", upstream), plugin=plugin())
    cached = start(
        cluster("backend", upstream),
        plugin=caching({"max_body_bytes": "1KiB"}) | {"cache": {"max_bytes": "8MiB"}},
    )

    # All headers together take 20 MiB, a copy of them as much again; what Envoy itself takes wavers by some MiB.
    assert growth(cached, upstream) - growth(plain, upstream) < 12 * MIB
