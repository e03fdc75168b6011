"""envoy/restricted.yaml allows the filter all that it needs, and nothing besides: each name left out stops something."""

import hashlib
import time

import httpx
import pytest

from e2e.listeners import Listeners
from e2e.test_cache_cost import KIB, memory
from e2e.words import assert_rejected, trip, wait_for_state
from rig.config import (
    STATUS_PATH,
    add_route_by_filter_state,
    bootstrap,
    cluster,
    connection_manager,
    example,
    plugin,
)
from rig.config import wasm as plugin_of
from rig.crowd import Crowd
from rig.proxy import Exited, Proxy
from rig.upstream import Upstream
from rig.version import since
from rig.wait import wait_until

OFTEN = 4800
TOKEN = "open sesame"
OPENS = {"open": {"duration": "0.5s", "multiplier": 1, "jitter": 0}}
LASTS = {"open": {"duration": "1m", "jitter": 0}}
BY_BODY = {"methods": ["POST"], "request_body": True}
ROUTE_HEADER = "x-circuit-breaker-route"
CIRCUITS = {
    "backend": OPENS,
    "quick": {**LASTS, "trip": {"consecutive_failures": 2}},
    "forced": {},
    "told": OPENS,
    "cached": {**LASTS, "fallback": [{"cache": {"refresh_after": "0s"}}]},
    "by_body": {**LASTS, "fallback": [{"cache": {**BY_BODY, "body_wait": "30s"}}]},
    "late": {**LASTS, "fallback": [{"cache": {**BY_BODY, "body_wait": "0.1s"}}, {"reroute": {"circuit": "backup"}}]},
    "by_state": {**LASTS, "fallback": [{"reroute": {"circuit": "backup"}}]},
    "by_header": {**LASTS, "fallback": [{"reroute": {"circuit": "backup", "headers": {ROUTE_HEADER: "backup"}}}]},
    "replaced": {"fallback": [{"respond": {"body": "sorry"}, "on": ["failed"]}]},
    "called": LASTS,
    "hung": {
        **LASTS,
        "classify": {"slow_after": "100ms"},
        "trip": {"slow_ratio": {"ratio": 0.5, "minimum_requests": 1}},
    },
}


def configuration(upstream, backup, alerts, hook="/record"):
    webhook = {"cluster": "alerts", "path": hook, "timeout": "1m"}
    policies = plugin() | {"circuits": CIRCUITS, "events": {"webhook": webhook}}
    policies["status"]["control_token_sha256"] = hashlib.sha256(TOKEN.encode()).hexdigest()
    clusters = [cluster(name, upstream, http2=name == "called") for name in CIRCUITS]
    clusters += [cluster("backup", backup), cluster("alerts", alerts)]
    config = bootstrap(*clusters, plugin=policies, file="restricted.yaml")
    plugin_of(config)["allow_on_headers_stop_iteration"] = True
    manager = connection_manager(config, "proxy")
    manager["http_protocol_options"] = {"enable_trailers": True}
    for host in manager["route_config"]["virtual_hosts"]:
        host["routes"][0]["response_headers_to_add"] = [{"header": {"key": "x-added", "value": "once"}}]
        match = {"prefix": "/", "headers": [{"name": ROUTE_HEADER, "string_match": {"exact": "backup"}}]}
        host["routes"].insert(0, {"match": match, "route": {"cluster": "backup"}})
    add_route_by_filter_state(config, "backup")
    return config


def allowed(config):
    return plugin_of(config)["capability_restriction_config"]["allowed_capabilities"]


class Stage:
    def __init__(self, config, directory, upstream, alerts, patience=5):
        self.upstream, self.alerts, self._patience = upstream, alerts, patience
        self.proxy = Proxy(config, directory / "envoy")
        # What does not work may hang.
        self.proxy.client = httpx.Client(base_url=self.proxy.url, timeout=2)

    def soon(self, condition):
        return wait_until(condition, self._patience)


FEATURES = {}


def feature(function):
    FEATURES[function.__name__] = function
    return function


@feature
def trips_and_recovers(stage):
    trip(stage.proxy)
    [rejected] = stage.soon(lambda: [each for each in [stage.proxy.get("/rejected")] if "retry-after" in each.headers])
    assert_rejected(rejected, retry_after=[1])
    stage.soon(lambda: stage.proxy.get().status_code == 200)
    assert stage.proxy.get().text == "200 from the upstream\n"


@feature
def takes_its_configuration(stage):
    for _ in range(2):
        stage.proxy.get("/status/503", host="quick")
    assert_rejected(stage.proxy.get(host="quick"), circuit="quick", retry_after=range(50, 61))


@feature
def tells_the_access_log(stage):
    trips_and_recovers(stage)
    assert stage.proxy.logged("/rejected")[-1]["circuit_breaker"] == "rejected"


@feature
def logs_transitions(stage):
    trips_and_recovers(stage)
    assert "circuit breaker state change circuit=backend from=closed to=open" in stage.proxy.log()


@feature
def logs_failures_at_debug(stage):
    stage.proxy.get("/status/503", host="forced")
    stage.soon(lambda: "circuit breaker failure cluster=forced status=503" in stage.proxy.log())


@feature
def counts(stage):
    before = stage.proxy.metric("opened"), stage.proxy.metric("successes")
    trips_and_recovers(stage)
    stage.soon(lambda: (stage.proxy.metric("opened"), stage.proxy.metric("successes")) > before)


@feature
def shows_the_state_as_a_gauge(stage):
    takes_its_configuration(stage)
    stage.soon(lambda: stage.proxy.metric("state", "quick") == 1)


@feature
def shows_totals_in_the_status(stage):
    takes_its_configuration(stage)
    stage.soon(lambda: stage.proxy.circuit("quick")["failures_total"] >= 2)


@feature
def shows_times_in_the_status(stage):
    takes_its_configuration(stage)
    assert abs(stage.proxy.circuit("quick")["opened_at"] - time.time()) < 60


@feature
def obeys_overrides(stage):
    url = f"{stage.proxy.status_url}/forced/override?state=open&for=1s&reason=test"
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert stage.proxy.admin.put(url, headers=headers).status_code == 200
    stage.soon(lambda: stage.proxy.get(host="forced").status_code == 503)
    stage.soon(lambda: stage.proxy.get(host="forced").status_code == 200)


@feature
def tells_a_webhook_one_after_the_other(stage):
    stage.alerts.forget_calls()
    trip(stage.proxy, host="told")
    stage.soon(lambda: stage.proxy.get(host="told").status_code == 200)
    stage.soon(lambda: sum('"told"' in each for each in stage.alerts.recorded) >= 3)


@feature
def answers_from_the_cache_as_the_upstream_did(stage):
    first = stage.proxy.get("/kept", host="cached")
    stage.soon(lambda: stage.proxy.circuit("cached")["requests_total"] or stage.proxy.metric("successes", "cached"))
    trip_for_good(stage, "cached")
    again = stage.proxy.get("/kept", host="cached")
    assert (again.status_code, again.text) == (200, first.text)
    assert again.headers.get_list("x-added") == first.headers.get_list("x-added") == ["once"]


@feature
def tells_requests_apart_by_their_bodies(stage):
    answers = {"one": None, "two": None}
    for question in answers:
        stage.upstream.does(f"status/200?x-answer={question}")
        answers[question] = stage.proxy.client.post("/ask", content=question, headers={"host": "by_body"})
    stage.soon(lambda: stage.proxy.metric("successes", "by_body") >= 2)
    trip_for_good(stage, "by_body")
    for question in answers:
        again = stage.proxy.client.post("/ask", content=question, headers={"host": "by_body"})
        assert (again.status_code, again.headers["x-answer"]) == (200, question)


@feature
def knows_a_body_by_its_trailers(stage):
    trip_for_good(stage, "by_body")
    chunks = b"1\r\nx\r\n0\r\nx-trailer: x\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nhost: by_body\r\ntransfer-encoding: chunked\r\n\r\n"
    stage.soon(lambda: b"\r\nx-circuit-breaker: open\r\n" in answer_to(stage, head + chunks))


@feature
def waits_for_a_body_no_longer_than_told(stage):
    trip_for_good(stage, "late")
    head = b"POST /early HTTP/1.1\r\nhost: late\r\ncontent-length: 1\r\n\r\n"
    # By the backup, whose route adds nothing.
    stage.soon(lambda: b"x-added" not in answer_to(stage, head))


def answer_to(stage, request):
    """The other worker, where the connection may come to, can take a moment to hear that the circuit is open."""
    with stage.proxy.connect() as connection:
        connection.settimeout(2)
        connection.sendall(request)
        return connection.recv(4096)


@feature
def reroutes_by_filter_state(stage):
    trip_for_good(stage, "by_state")
    assert stage.proxy.get(host="by_state").status_code == 203


@feature
def reroutes_by_headers(stage):
    trip_for_good(stage, "by_header")
    assert stage.proxy.get(host="by_header").status_code == 203


@feature
def replaces_failures(stage):
    assert stage.proxy.get("/status/503", host="replaced").text == "sorry"


@feature
def judges_grpc_by_its_trailers(stage):
    headers = {"host": "called", "content-type": "application/grpc", "te": "trailers"}
    for _ in range(5):
        stage.proxy.client.post("/grpc/0", headers=headers)
    stage.soon(lambda: stage.proxy.metric("successes", "called") == 5)
    for _ in range(5):
        stage.proxy.client.post("/grpc/14", headers=headers)
    stage.soon(lambda: stage.proxy.circuit("called")["state"] == "open")


@feature
def trips_on_what_hangs(stage):
    with stage.proxy.connect() as connection:
        connection.sendall(b"GET /hang HTTP/1.1\r\nhost: hung\r\n\r\n")
        stage.soon(lambda: stage.proxy.circuit("hung")["state"] == "open")


@feature
def keeps_no_memory_of_requests(stage):
    ask_often(stage)
    before, _ = memory(stage.proxy)
    ask_often(stage)
    ask_often(stage)
    after, _ = memory(stage.proxy)
    print(f"{(after - before) / KIB:.0f} KiB for {2 * OFTEN} requests")
    assert after - before < OFTEN * 200


def ask_often(stage):
    with Crowd(stage.proxy.port, 16, "/", OFTEN // 16) as crowd:
        wait_until(lambda: crowd.replies.total() == OFTEN, timeout=60)


def trip_for_good(stage, name):
    for _ in range(5):
        stage.proxy.get("/status/503", host=name)


def counts_what_a_webhook_is_never_told(config, directory):
    """By the time that the listeners which had it to tell are gone: after an update."""
    listeners = Listeners(config, directory)
    restart = ("--disable-hot-restart", "--drain-time-s", "1")
    with Proxy(config, directory / "envoy", restart=restart) as proxy:
        trip(proxy)
        wait_for_state(proxy, "open")
        listeners.update({"status": {"path": STATUS_PATH}})
        wait_until(lambda: proxy.stat("wasmcustom.circuit_breaker.webhook_failed") >= 1, timeout=4)


# What stops without it; or Envoy does not even start.
REFUSED = None
NEEDED = {
    "clock_time_get": REFUSED,
    "proxy_add_header_map_value": "answers_from_the_cache_as_the_upstream_did",
    "proxy_call_foreign_function": "reroutes_by_filter_state",
    "proxy_continue_stream": "waits_for_a_body_no_longer_than_told",
    "proxy_define_metric": "counts",
    "proxy_get_buffer_bytes": "takes_its_configuration",
    "proxy_get_current_time_nanoseconds": "shows_times_in_the_status",
    "proxy_get_header_map_pairs": "answers_from_the_cache_as_the_upstream_did",
    "proxy_get_header_map_value": "trips_and_recovers",
    "proxy_get_log_level": "logs_failures_at_debug",
    "proxy_get_metric": "shows_totals_in_the_status",
    "proxy_get_property": "trips_and_recovers",
    "proxy_get_shared_data": "trips_and_recovers",
    "proxy_http_call": "tells_a_webhook_one_after_the_other",
    "proxy_increment_metric": "counts",
    "proxy_log": REFUSED,
    "proxy_record_metric": "shows_the_state_as_a_gauge",
    "proxy_remove_header_map_value": "answers_from_the_cache_as_the_upstream_did",
    "proxy_replace_header_map_value": "reroutes_by_headers",
    "proxy_send_local_response": "trips_and_recovers",
    "proxy_set_effective_context": "waits_for_a_body_no_longer_than_told",
    "proxy_set_property": "tells_the_access_log",
    "proxy_set_shared_data": "trips_and_recovers",
    "proxy_set_tick_period_milliseconds": REFUSED,
    "proxy_on_configure": "trips_and_recovers",
    "proxy_on_context_create": REFUSED,
    "proxy_on_delete": "keeps_no_memory_of_requests",
    "proxy_on_done": "counts_what_a_webhook_is_never_told",
    "proxy_on_http_call_response": "tells_a_webhook_one_after_the_other",
    "proxy_on_log": "trips_and_recovers",
    "proxy_on_request_body": "tells_requests_apart_by_their_bodies",
    "proxy_on_request_headers": "trips_and_recovers",
    "proxy_on_request_trailers": "knows_a_body_by_its_trailers",
    "proxy_on_response_body": "answers_from_the_cache_as_the_upstream_did",
    "proxy_on_response_headers": "replaces_failures",
    "proxy_on_response_trailers": "judges_grpc_by_its_trailers",
    "proxy_on_tick": "trips_on_what_hangs",
}


@pytest.fixture(scope="module")
def servers():
    with Upstream() as upstream, Upstream() as backup, Upstream() as alerts:
        backup.does("status/203")
        yield upstream, backup, alerts


@pytest.fixture(scope="module")
def restricted(servers, tmp_path_factory):
    upstream, backup, alerts = servers
    stage = Stage(configuration(*servers), tmp_path_factory.mktemp("restricted"), upstream, alerts)
    yield stage
    stage.proxy.stop()
    print(stage.proxy.log())


LATE = since("1.37", "a request that has waited in vain keeps its route")
MARKS = {"waits_for_a_body_no_longer_than_told": [LATE]}


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, [])) for name in FEATURES])
def test_it_is_enough(restricted, name):
    restricted.upstream.does("status/200")

    FEATURES[name](restricted)


def test_it_is_enough_to_count_what_a_webhook_is_never_told(servers, tmp_path):
    counts_what_a_webhook_is_never_told(configuration(*servers, hook="/hang"), tmp_path)


@pytest.mark.parametrize("left_out", NEEDED)
def test_none_of_it_is_too_much(servers, tmp_path, left_out):
    upstream, backup, alerts = servers
    upstream.does("status/200")
    config = configuration(*servers, hook="/hang" if left_out == "proxy_on_done" else "/record")
    del allowed(config)[left_out]
    stops = NEEDED[left_out]
    if stops == counts_what_a_webhook_is_never_told.__name__:
        with pytest.raises(AssertionError):
            counts_what_a_webhook_is_never_told(config, tmp_path)
        return
    if stops is REFUSED:
        with pytest.raises(Exited):
            Proxy(config, tmp_path / "envoy")
        return

    stage = Stage(config, tmp_path, upstream, alerts, patience=1)
    try:
        with pytest.raises((AssertionError, httpx.HTTPError, OSError, KeyError)):
            FEATURES[stops](stage)
    finally:
        stage.proxy.stop()


def test_it_is_what_the_tests_know():
    assert allowed(example("restricted.yaml")).keys() == NEEDED.keys()
