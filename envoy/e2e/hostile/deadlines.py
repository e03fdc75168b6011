"""Deadlines of their own, far shorter than the upstream takes."""

from e2e.hostile.kind import KINDS, kind

LATE = "/delay/0.3"
GRPC = ("content-type: application/grpc", "te: trailers")
RETRIES = ("x-envoy-retry-on: 5xx", "x-envoy-max-retries: 1")
EXPECTED = "respect_expected_rq_timeout"
SUPPRESS = "suppress_envoy_headers"


@kind("response_timeout")
def sets_a_timeout(target):
    target.ask(LATE, "x-envoy-upstream-rq-timeout-ms: 50")


@kind("response_timeout", router={EXPECTED: True})
def says_what_timeout_it_expects(target):
    target.ask(LATE, "x-envoy-expected-rq-timeout-ms: 50")


@kind("response_timeout", router={EXPECTED: False})
def sets_a_timeout_and_says_another(target):
    """Only the router may say what timeout is in force; where it is told not to, the client's word stands there."""
    target.ask(LATE, "x-envoy-upstream-rq-timeout-ms: 50", "x-envoy-expected-rq-timeout-ms: 5000")


@kind("response_timeout")
def sets_a_timeout_that_is_answered_204(target):
    target.ask(LATE, "x-envoy-upstream-rq-timeout-ms: 50", "x-envoy-upstream-rq-timeout-alt-response: 1")


@kind("upstream_per_try_timeout")
def sets_a_timeout_per_try(target):
    target.ask(LATE, "x-envoy-upstream-rq-per-try-timeout-ms: 50")


@kind("upstream_per_try_timeout")
def sets_a_timeout_per_try_and_retries(target):
    target.ask(LATE, "x-envoy-upstream-rq-per-try-timeout-ms: 30", *RETRIES)


@kind("upstream_per_try_timeout", "response_timeout")
def sets_a_timeout_per_try_and_one_for_all(target):
    """Envoy leaves the last try no more than what is left of all."""
    timeouts = ("x-envoy-upstream-rq-timeout-ms: 150", "x-envoy-upstream-rq-per-try-timeout-ms: 40")
    target.ask(LATE, *timeouts, "x-envoy-retry-on: 5xx", "x-envoy-max-retries: 9")


@kind("response_timeout")
def sets_a_timeout_and_hedges(target):
    timeouts = ("x-envoy-upstream-rq-timeout-ms: 80", "x-envoy-upstream-rq-per-try-timeout-ms: 30")
    target.ask(LATE, "x-envoy-hedge-on-per-try-timeout: true", *timeouts, *RETRIES)


@kind("upstream_max_stream_duration_reached")
def sets_a_duration(target):
    target.ask(LATE, "x-envoy-upstream-stream-duration-ms: 50")


@kind("response_timeout")
def sets_a_timeout_in_odd_writing(target):
    target.ask(LATE, "x-envoy-upstream-rq-timeout-ms:   +0000000000000000000000050")


# Two ways to have Envoy keep the deadlines of gRPC.
DURATION = {"max_stream_duration": {"grpc_timeout_header_max": "0s"}}
TIMEOUT = {"max_grpc_timeout": "0s"}


def calls(timeout, *lines):
    return lambda target: target.ask(LATE, *lines, f"grpc-timeout: {timeout}", method="POST")


for name, timeout in {"": "50m", "_of_many_digits": "0000000050m"}.items():
    needs = {"http2": True, "route": DURATION}
    kind("max_duration_timeout", name=f"sets_a_grpc_timeout{name}", **needs)(calls(timeout, *GRPC))
    needs = {"http2": True, "route": TIMEOUT}
    kind("response_timeout", name=f"sets_a_grpc_timeout_for_the_route{name}", **needs)(calls(timeout, *GRPC))

# Envoy keeps to it for pages too, and takes what is none by the book.
WRITINGS = {
    "millis": "50m",
    "micros": "50000u",
    "many_digits": "0000000050m",
    "a_sign": "+50m",
    "a_space": "50 m",
}
for name, timeout in WRITINGS.items():
    kind("max_duration_timeout", name=f"sets_a_grpc_timeout_for_a_page_in_{name}", route=DURATION)(calls(timeout))


@kind("via_upstream", http2=True)
def sets_a_grpc_timeout_that_the_server_keeps(target):
    target.ask("/grpc-late/0.3", *GRPC, "grpc-timeout: 50m", method="POST")


DEADLINES = list(KINDS)
