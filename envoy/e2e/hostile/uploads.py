"""Uploads that take long, stall or break. The upstream has no part in that: it waits for the rest."""

import socket
import time

from e2e.hostile.deadlines import DURATION, GRPC
from e2e.hostile.kind import kind, read_to_the_end
from e2e.hostile.readers import SHORT

LENGTH, CHUNKED = "content-length: 6", "transfer-encoding: chunked"
IDLE = {"idle_timeout": SHORT}
LONGEST = {"max_stream_duration": {"max_stream_duration": SHORT}}


@kind("via_upstream")
def uploads_slowly(target):
    """A byte now and then, for longer than a call may take that is not slow."""
    with target.connect() as connection:
        connection.sendall(target.head("/", "connection: close", LENGTH, method="POST"))
        for byte in b"slowly":
            time.sleep(0.06)
            connection.sendall(bytes([byte]))
        read_to_the_end(connection)


def stalls(*lines, path="/", body=b"x"):
    return lambda target: target.ask(path, *lines, method="POST", body=body)


def stalls_grpc(*lines):
    return stalls(*GRPC, CHUNKED, *lines, path="/grpc/0", body=b"")


OWN_DURATION = "x-envoy-upstream-stream-duration-ms: 100"
OWN_TIMEOUTS = ("x-envoy-upstream-rq-timeout-ms: 50", "x-envoy-upstream-rq-per-try-timeout-ms: 50")
PER_TRY = {"retry_policy": {"per_try_timeout": "0.1s", "per_try_idle_timeout": "0.1s"}}

STALLED = [
    ("until_the_idle_timeout", "stream_idle_timeout", IDLE, stalls(LENGTH)),
    ("in_chunks", "stream_idle_timeout", IDLE, stalls(CHUNKED, body=b"6\r\nx")),
    ("before_it_begins", "stream_idle_timeout", IDLE, stalls(LENGTH, "expect: 100-continue", body=b"")),
    ("until_the_longest_duration", "max_duration_timeout", LONGEST, stalls(LENGTH)),
    ("until_the_requests_timeout", "request_overall_timeout", {}, stalls(LENGTH)),
    ("under_its_own_duration", "upstream_max_stream_duration_reached", {}, stalls(LENGTH, OWN_DURATION)),
    ("under_its_own_timeouts", "stream_idle_timeout", IDLE, stalls(LENGTH, *OWN_TIMEOUTS)),
    ("under_timeouts_per_try", "stream_idle_timeout", IDLE | PER_TRY, stalls(LENGTH)),
]
for name, says, route, attempt in STALLED:
    kind(says, name=f"stalls_its_upload_{name}", route=route)(attempt)

# Envoy's answer to these is 408 as well, but in the form of gRPC: 200 with a grpc-status.
STALLED_GRPC = [
    ("until_the_idle_timeout", "stream_idle_timeout", IDLE, stalls_grpc()),
    ("until_the_longest_duration", "max_duration_timeout", LONGEST, stalls_grpc()),
    ("until_the_requests_timeout", "request_overall_timeout", {}, stalls_grpc()),
    ("under_its_own_duration", "upstream_max_stream_duration_reached", {}, stalls_grpc(OWN_DURATION)),
    ("under_its_own_deadline", "max_duration_timeout", DURATION, stalls_grpc("grpc-timeout: 100m")),
    ("under_a_long_deadline", "max_duration_timeout", LONGEST | IDLE, stalls_grpc("grpc-timeout: 9S")),
]
for name, says, route, attempt in STALLED_GRPC:
    kind(says, "stream_idle_timeout", name=f"stalls_its_grpc_call_{name}", route=route, http2=True)(attempt)


@kind("http1.codec_error")
def sends_a_bad_chunk_size(target):
    target.ask("/", CHUNKED, method="POST", body=b"5\r\nhello\r\nxyz\r\n")


@kind("downstream_remote_disconnect")
def sends_too_little(target):
    with target.connect() as connection:
        connection.sendall(target.head("/", LENGTH, method="POST") + b"xxx")
        connection.shutdown(socket.SHUT_WR)
        read_to_the_end(connection)


@kind("via_upstream", "http1.codec_error")
def sends_too_much(target):
    """What is too much begins the next request, and is none."""
    with target.connect() as connection:
        connection.sendall(target.head("/", LENGTH, method="POST") + b"\0" * 60)
        read_to_the_end(connection)
