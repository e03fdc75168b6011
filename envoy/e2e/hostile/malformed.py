"""Requests that are wrong in themselves, or strange: most never reach a circuit, but all are tried on one."""

import contextlib

from e2e.hostile.deadlines import DURATION, GRPC
from e2e.hostile.kind import kind, read_for_a_moment, read_to_the_end
from e2e.hostile.uploads import CHUNKED

UPGRADE = "connection: upgrade"


@kind("request_header_timeout")
def never_ends_its_headers(target):
    with target.connect() as connection:
        connection.sendall(target.head("/")[:-2])
        read_to_the_end(connection)


def sends(*lines, method="GET", path="/", body=b""):
    end = () if UPGRADE in lines else ("connection: close",)
    return raw(lambda target: target.head(path, *lines, *end, method=method) + body)


def raw(data):
    def attempt(target):
        with target.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data(target) if callable(data) else data)
            read_for_a_moment(connection)

    return attempt


GARBLED = {
    "a_bad_request_line": ("http1.codec_error", raw(b"I am no request\r\n\r\n")),
    "any_bytes": ("http1.codec_error", raw(bytes(range(256)) * 4)),
    "tls": ("http1.codec_error", raw(b"\x16\x03\x01\x00\xc2\x01\x00\x00\xbe\x03\x03" + b"x" * 180)),
    "an_unknown_version": ("low_version", raw(b"GET / HTTP/9.9\r\nhost: x\r\n\r\n")),
    "http_1_0": ("low_version", raw(b"GET / HTTP/1.0\r\n\r\n")),
    "http_0_9": ("low_version", raw(b"GET /\r\n\r\n")),
    "no_host": ("missing_host_header", raw(b"GET / HTTP/1.1\r\n\r\n")),
    "two_hosts": ("via_upstream", sends("host: other")),
    "a_bad_host": ("http.invalid_authority", raw(b"GET / HTTP/1.1\r\nhost: a b\xff\r\n\r\n")),
    "two_lengths": ("http1.codec_error", sends("content-length: 5", "content-length: 6", body=b"xxxxxx")),
    "a_length_and_chunks": (
        "http1.content_length_and_chunked_not_allowed",
        sends("content-length: 5", CHUNKED, method="POST", body=b"0\r\n\r\n"),
    ),
    "a_negative_length": ("http1.codec_error", sends("content-length: -1", method="POST")),
    "a_length_beyond_all": ("http1.codec_error", sends(f"content-length: {10**23}", method="POST")),
    "an_unknown_transfer_encoding": (
        "http1.invalid_transfer_encoding",
        sends("transfer-encoding: gzip, chunked", method="POST", body=b"0\r\n\r\n"),
    ),
    "nul_in_a_value": ("http1.invalid_characters", sends("x-bad: a\0b")),
    "nul_in_a_name": ("http1.invalid_characters", sends("x-b\0ad: a")),
    "a_space_in_a_name": ("http1.codec_error", sends("x bad: a")),
    "a_line_without_colon": ("http1.codec_error", sends("nothing")),
    "a_folded_line": ("via_upstream", sends("x-bad: a\r\n  b")),
    "a_bare_line_feed": ("via_upstream", sends("x-bad: a\nx-worse: b")),
    "headers_too_large": ("http1.headers_too_large", sends("x-large: " + "x" * 70000)),
    "too_many_headers": ("http1.too_many_headers", sends(*(f"x-{number}: x" for number in range(150)))),
    "a_long_path": ("via_upstream", sends(path="/" + "x" * 30000)),
    "a_path_that_is_no_utf8": ("http1.codec_error", sends(path="/\xff\xfe")),
    "a_path_with_bad_escapes": ("path_normalization_failed", sends(path="/%zz%00%ff/../..//")),
    "a_path_without_slash": ("http1.codec_error", sends(path="path")),
    "a_bad_absolute_url": ("http1.invalid_url", sends(path="http://elsewhere.example:99999/")),
    "an_unknown_method": ("http1.codec_error", sends(method="BREW")),
    "a_method_that_is_no_ascii": ("http1.codec_error", sends(method="G\xe9T")),
    "connect": ("route_not_found", raw(b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n")),
    "options_of_all": ("absolute_path_rejected", sends(method="OPTIONS", path="*")),
}

STRANGE = {
    "a_value_that_is_no_utf8": ("via_upstream", sends("x-bad: \xff\xfe")),
    "a_content_type_that_is_no_utf8": ("via_upstream", sends("content-type: \xff\xfe")),
    "trace": ("via_upstream", sends(method="TRACE")),
    "bad_timeouts": (
        "via_upstream",
        sends(
            "x-envoy-upstream-rq-timeout-ms: soon",
            "x-envoy-upstream-rq-per-try-timeout-ms: -1",
            "x-envoy-upstream-stream-duration-ms: 99999999999999999999",
            "x-envoy-expected-rq-timeout-ms: \xff",
            "x-envoy-max-retries: many",
            "x-envoy-retry-on: everything",
            "x-envoy-hedge-on-per-try-timeout: maybe",
            "grpc-timeout: soon",
        ),
    ),
    "timeouts_of_zero": (
        "via_upstream",
        sends("x-envoy-upstream-rq-timeout-ms: 0", "x-envoy-upstream-rq-per-try-timeout-ms: 0"),
    ),
    "words_of_the_proxy": (
        "via_upstream",
        sends("x-circuit-breaker: open", "x-envoy-overloaded: true", "retry-after: 100", "grpc-status: 14"),
    ),
    "grpc_to_a_server_of_pages": ("via_upstream", sends(*GRPC, method="POST")),
    "an_upgrade_to_nonsense": ("upgrade_failed", sends(UPGRADE, "upgrade: nonsense/7")),
    "an_upgrade_to_http2": ("via_upstream", sends(UPGRADE, "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__")),
    "an_upgrade_and_no_key": ("websocket_handshake_unsuccessful", sends(UPGRADE, "upgrade: websocket")),
    "an_upgrade_and_garbage": (
        "websocket_handshake_unsuccessful",
        sends(UPGRADE, "upgrade: websocket", body=b"\xff" * 1000),
    ),
    "garbage_after_an_upgrade": (
        "downstream_remote_disconnect",
        sends(UPGRADE, "upgrade: websocket", path="/upgrade", body=b"\xff" * 1000),
    ),
}
for name, (says, attempt) in (GARBLED | STRANGE).items():
    kind(says, name=f"sends_{name}")(attempt)


@kind("via_upstream", http2=True, route=DURATION)
def sends_a_bad_grpc_timeout(target):
    target.ask("/grpc/0", *GRPC, "grpc-timeout: soon", method="POST")
