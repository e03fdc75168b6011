"""Requests that are told apart by their bodies: a rejected one waits for its own."""

import contextlib
import time

import httpx
import pytest

from e2e.words import trip
from rig.config import add_route_by_filter_state, bootstrap, cluster, connection_manager, plugin, wasm
from rig.upstream import Upstream
from rig.version import since
from rig.wait import wait_until

SORRY = {"respond": {"body": "sorry"}}


def by_body(upstream, *others, then=SORRY, body_wait="1s", is_allowed=True):
    cache = {"methods": ["POST"], "request_body": True, "body_wait": body_wait}
    config = bootstrap(
        cluster("backend", upstream),
        *others,
        plugin=plugin(opens_for="20s", fallback=[{"cache": cache}, then]),
    )
    wasm(config)["allow_on_headers_stop_iteration"] = is_allowed
    return config


def ask(proxy, question, **options):
    return proxy.client.post("/ask", content=question, **options)


def store(proxy, question):
    assert ask(proxy, question).status_code == 200
    wait_until(lambda: proxy.metric("successes") == 1)


def fallback(reply):
    return reply.headers.get("x-circuit-breaker-fallback")


def pieces(*all_but_last, last):
    yield from all_but_last
    yield last


def test_the_same_question_gets_the_same_answer_and_another_the_next_fallback(run, upstream):
    proxy = run(by_body(upstream))
    upstream.does("status/200?x-answer=one")
    store(proxy, "one")
    trip(proxy)

    again = ask(proxy, "one")
    in_pieces = ask(proxy, pieces(b"o", b"n", last=b"e"))
    other = ask(proxy, "two")

    assert (again.headers["x-answer"], fallback(again)) == ("one", "cache")
    assert (in_pieces.headers["x-answer"], fallback(in_pieces)) == ("one", "cache")
    assert (other.text, fallback(other)) == ("sorry", "respond")
    with httpx.Client(base_url=proxy.url, http1=False, http2=True) as client:
        assert fallback(client.post("/ask", content=pieces(b"on", last=b"e"))) == "cache"


def test_without_the_plugins_option_the_next_fallback_answers_and_the_log_says_why(run, upstream):
    proxy = run(by_body(upstream, is_allowed=False, body_wait="200ms"))
    store(proxy, "one")
    trip(proxy)

    assert fallback(ask(proxy, "one")) == "respond"
    wait_until(lambda: "waited in vain" in proxy.log())


def test_a_client_that_stops_sending_is_answered_when_the_wait_is_over(run, upstream):
    proxy = run(by_body(upstream, body_wait="300ms"))
    trip(proxy)

    with proxy.connect() as connection:
        connection.settimeout(10)
        connection.sendall(b"POST /ask HTTP/1.1\r\nhost: backend\r\ncontent-length: 10\r\n\r\nhalf")
        begun = time.monotonic()
        head = connection.recv(4096)

    assert b"x-circuit-breaker-fallback: respond" in head
    assert 0.25 < time.monotonic() - begun < 5


@pytest.mark.parametrize("length", [100_000, 2_000_000])
def test_what_the_buffer_cannot_hold_goes_to_the_next_fallback(run, upstream, length):
    config = by_body(upstream)
    for listener in config["static_resources"]["listeners"]:
        listener["per_connection_buffer_limit_bytes"] = 32_768
    proxy = run(config)
    trip(proxy)

    for question in (b"x" * length, pieces(*(b"x" * 10_000 for _ in range(length // 10_000)), last=b"y")):
        reply = ask(proxy, question)
        assert (reply.status_code, reply.text, fallback(reply)) == (200, "sorry", "respond")
    assert "failed" not in proxy.log()


def rerouting(upstream, backup):
    then = {"reroute": {"circuit": "backup"}}
    config = by_body(upstream, cluster("backup", backup), then=then, body_wait="300ms")
    add_route_by_filter_state(config, "backup")
    [host] = [each for each in connection_manager(config, "proxy")["route_config"]["virtual_hosts"] if "*" in each["domains"]]
    for each in host["routes"]:
        # Envoy keeps the body for that.
        each["route"]["retry_policy"] = {"retry_on": "5xx", "num_retries": 1}
    return config


@since("1.37", "a request that has waited in vain keeps its route")
def test_another_cluster_gets_the_whole_of_a_request_that_has_waited(run, upstream):
    with Upstream() as backup:
        proxy = run(rerouting(upstream, backup))
        trip(proxy)
        backup.does("repeat")

        in_time = ask(proxy, pieces(b"o", b"n", last=b"e"), headers={"content-length": "3"})
        late = ask(proxy, once_the_wait_is_over(proxy), headers={"content-length": "3"})

        assert (in_time.text, late.text) == ("one", "one")
        wait_until(lambda: proxy.metric("successes", "backup") == 2)


def once_the_wait_is_over(proxy):
    wait_until(lambda: proxy.metric("fallback_reroute") == 2)
    yield b"on"
    yield b"e"


def test_no_part_of_a_body_becomes_a_request_of_its_own(run, upstream):
    """Envoy would send what it holds of a body twice where its route keeps it for retries."""
    with Upstream() as backup:
        proxy = run(rerouting(upstream, backup), concurrency=1)
        trip(proxy)
        hidden = b"GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n"
        head = b"POST /ask HTTP/1.1\r\nhost: backend\r\ncontent-length: %d\r\n\r\n" % (2 * len(hidden))

        with proxy.connect() as connection:
            connection.settimeout(10)
            connection.sendall(head + b"x" * len(hidden))
            answer = connection.recv(4096)
            # What is left is to a connection that is being closed.
            with contextlib.suppress(OSError):
                connection.sendall(hidden)

        assert b"503 Service Unavailable" in answer
        assert proxy.get("/next").status_code == 200
        assert (backup.calls_to("/hidden"), backup.calls_to("/next")) == (0, 1)
