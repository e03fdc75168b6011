"""The last good reply, served while the circuit is open."""

import contextlib

import httpx
import pytest

from e2e.words import assert_rejected, trip, wait_for_state
from rig.config import bootstrap, cluster, connection_manager, plugin
from rig.wait import wait_until


def caching(cache=None, on=("rejected",), **policy):
    return plugin(opens_for="20s", fallback=[{"cache": cache or {}, "on": list(on)}], **policy)


def store(proxy, *paths, **options):
    """Each worker stores for itself, and all serve: one reply is enough, once it is stored."""
    for path in paths:
        assert proxy.get(path, **options).status_code == 200
    wait_until(lambda: proxy.metric("successes") >= len(paths))


def test_the_last_good_reply_is_served_by_every_worker(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=caching())
    upstream.does("status/200?x-answer=42&content-type=text/plain")
    store(proxy, "/question")
    trip(proxy)
    calls = upstream.calls

    # Connections take turns on the workers, as long as they are open.
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(httpx.Client(base_url=proxy.url, timeout=30))
            reply = client.get("/question")
            assert (reply.status_code, reply.text) == (200, "200 from the upstream\n")
            assert reply.headers["x-answer"] == "42"
            assert reply.headers["x-circuit-breaker"] == "open"
            assert reply.headers["x-circuit-breaker-fallback"] == "cache"
            assert reply.headers["cache-status"].startswith("fusebox; hit; ttl=-")
            assert int(reply.headers["age"]) < 15

    assert upstream.calls == calls
    assert all(proxy.connections_of_worker(worker) for worker in (0, 1))
    assert {each["circuit_breaker"] for each in proxy.logged("/question")} == {None, "fallback:cache"}
    assert proxy.metric("fallback_cache_hit") == 4
    assert_rejected(proxy.get("/other"))
    assert proxy.metric("fallback_cache_miss") == 1
    head = proxy.client.head("/question")
    assert (head.status_code, head.content, head.headers["x-answer"]) == (200, b"", "42")


def test_a_failed_reply_is_replaced_by_the_last_good_one(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=caching(on=["failed", "rejected"]), timeout="0.5s")
    store(proxy, "/question")

    for behaviour in ("status/503", "hang", "close"):
        upstream.does(behaviour)
        reply = proxy.get("/question")
        assert (reply.status_code, reply.text) == (200, "200 from the upstream\n")
        assert reply.headers["cache-status"].endswith("detail=upstream-failed")
    wait_until(lambda: proxy.metric("failures") == 3)


@pytest.mark.parametrize("header", ["authorization", "cookie", "x-api-key"])
def test_what_was_said_to_one_user_is_said_to_no_other(start, upstream, header):
    proxy = start(cluster("backend", upstream), plugin=caching())
    store(proxy, "/me", headers={header: "anna"})
    trip(proxy)

    for user in ({header: "anna"}, {header: "bert"}, {}):
        assert_rejected(proxy.get("/me", headers=user))


def test_users_get_their_own_where_the_operator_keys_them(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=caching({"per_authorization": True}), concurrency=1)
    for user in ("anna", "bert"):
        upstream.does(f"status/200?x-user={user}")
        store(proxy, "/me", headers={"authorization": user})
    trip(proxy)

    for user in ("anna", "bert"):
        assert proxy.get("/me", headers={"authorization": user}).headers["x-user"] == user
    assert_rejected(proxy.get("/me", headers={"authorization": "carl"}))


def test_a_truncated_reply_is_not_kept(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=caching(trip={"consecutive_failures": 2}))
    with pytest.raises(Exception, match="incomplete|closed"):
        proxy.get("/truncate")
    assert proxy.get("/status/503").status_code == 503
    wait_for_state(proxy, "open")

    assert_rejected(proxy.get("/truncate"))


def test_what_routes_add_to_each_response_is_not_doubled_in_a_cached_one(run, upstream):
    config = bootstrap(cluster("backend", upstream), plugin=caching())
    for action in ("APPEND_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT"):
        header = {"key": f"x-{action.lower().replace('_', '-')}", "value": "1"}
        [host] = connection_manager(config, "proxy")["route_config"]["virtual_hosts"]
        host["routes"][0].setdefault("response_headers_to_add", []).append(
            {"header": header, "append_action": action}
        )
    proxy = run(config)
    upstream.does("status/200?x-same=1&x-same=2")
    first = proxy.get("/question")
    wait_until(lambda: proxy.metric("successes") == 1)
    trip(proxy)

    again = proxy.get("/question")

    assert again.headers["x-circuit-breaker-fallback"] == "cache"
    names = [name for name in first.headers if name.startswith("x-") and "envoy" not in name]
    assert len(names) == 4
    assert {name: again.headers.get_list(name) for name in names} == {
        name: first.headers.get_list(name) for name in names
    }
