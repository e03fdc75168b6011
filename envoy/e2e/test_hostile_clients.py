"""Clients cannot trip a circuit, nor keep it open: only what the upstream does counts."""

import contextlib
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.hostile import KINDS, Target
from e2e.hostile.deadlines import DEADLINES, EXPECTED, GRPC, LATE, SUPPRESS
from e2e.hostile.http2 import GRPC as SAYS_GRPC
from e2e.hostile.http2 import connected
from e2e.hostile.kind import Kind
from e2e.words import wait_for_state
from rig.config import bootstrap, cluster, connection_manager, plugin
from rig.proxy import Proxy
from rig.upstream import Upstream
from rig.wait import wait_until

ATTEMPTS, CONNECTIONS = 30, 15
COUNT = re.compile(r"wasmcustom\.circuit_breaker\.(\w+)\.(\w+): (\d+)")
# How much of a reply is on its way to a client that does not read. For sockets it is SO_SNDBUF that says so.
BUFFER = 32 * 1024
SEND_BUFFER = {"level": 1, "name": 7, "int_value": BUFFER, "state": "STATE_PREBIND"}
# More than there will be.
RETRIES = {"thresholds": [{"max_retries": 1000}]}
ORDINARY = {EXPECTED: False, SUPPRESS: False}
RESPECTING = {EXPECTED: True, SUPPRESS: False}
SUPPRESSING = {EXPECTED: False, SUPPRESS: True}
# The default rules, and a touchy one for slow calls.
TRIP = {"consecutive_failures": 5, "failure_ratio": {}, "slow_ratio": {"ratio": 0.01, "minimum_requests": 1}}
TOUCHY = plugin("0.3s", trip=TRIP, half_open={"probe_timeout": "1s"}, classify={"slow_after": "300ms"})


def configuration(upstream, circuits, router, policy=TOUCHY):
    """A circuit for each name, and for each the kind of client that is to attack it."""
    # Who does not say where to gets to the first.
    clusters = [cluster("anyone", upstream)]
    for name, kind in circuits.items():
        made = cluster(name, upstream, http2=kind.http2, circuit_breakers=RETRIES)
        clusters.append(made | {"per_connection_buffer_limit_bytes": BUFFER})
    config = bootstrap(*clusters, plugin=policy)

    manager = connection_manager(config, "proxy")
    manager |= {
        # Only of a client within are timeouts accepted.
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]},
        "request_timeout": "0.7s",
        "request_headers_timeout": "0.2s",
        # How long a client is left that got an error.
        "delayed_close_timeout": "0.01s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        # As little in flight as for HTTP/1.
        "http2_protocol_options": {"initial_stream_window_size": 65535, "initial_connection_window_size": 65535},
    }
    manager["http_filters"][-1]["typed_config"] |= router
    for host in manager["route_config"]["virtual_hosts"]:
        if host["name"] in circuits:
            host["routes"][0]["route"] |= circuits[host["name"]].route
    for listener in config["static_resources"]["listeners"]:
        listener |= {"per_connection_buffer_limit_bytes": BUFFER, "socket_options": [SEND_BUFFER]}
    return config


def attack(proxy, *circuits, attempts=ATTEMPTS, connections=CONNECTIONS):
    """Given as (name, function). All attempts on one are made before those on the next."""
    targets = [(Target(proxy.port, name), function) for name, function in circuits]
    with ThreadPoolExecutor(connections) as pool:
        for done in [pool.submit(attempt, target) for target, attempt in targets for _ in range(attempts)]:
            done.result()


def requests_so_far(proxy):
    """Once all connections are gone."""
    wait_until(lambda: proxy.stat("http.proxy.downstream_cx_active") == 0)
    return proxy.stat("http.proxy.downstream_rq_total")


def details_of_all(proxy, after=0):
    """Once all requests are in the access log: their verdicts fell before."""
    requests = requests_so_far(proxy)
    logged = wait_until(lambda: [log for log in [proxy.access_log()] if len(log) == requests])[0]
    return {each["details"] for each in logged[after:]}


def counts(proxy):
    """Of all circuits."""
    lines = proxy.admin.get("/stats", params={"filter": r"^wasmcustom\.circuit_breaker\."}).text
    found = {(circuit, metric): int(value) for circuit, metric, value in COUNT.findall(lines)}
    return lambda circuit, metric: found.get((circuit, metric), 0)


def harm(proxy, circuits):
    """What counts against an upstream, for each circuit that has such."""
    count = counts(proxy)
    harms = {each: [count(each, metric) for metric in ("failures", "slow", "opened")] for each in circuits}
    return {circuit: counted for circuit, counted in harms.items() if any(counted)}


def good(target):
    assert target.ask("/").startswith(b"HTTP/1.1 200 ")


def good_call(target):
    assert target.ask("/grpc/0", *GRPC, method="POST").startswith(b"HTTP/1.1 200 ")


def heard(kinds, router):
    return [each for each in kinds if each.router.items() <= router.items()]


@pytest.fixture(scope="module")
def upstream():
    with Upstream() as upstream:
        yield upstream


# Its router listens to all that clients may say.
@pytest.fixture(scope="module")
def proxy(upstream, tmp_path_factory):
    config = configuration(upstream, {each.name: each for each in heard(KINDS, RESPECTING)}, RESPECTING)
    with Proxy(config, tmp_path_factory.mktemp("hostile") / "envoy") as proxy:
        yield proxy
        print(proxy.log())


@pytest.mark.parametrize("kind", [each for each in KINDS if each not in DEADLINES], ids=lambda kind: kind.name)
def test_a_client_trips_no_circuit_though_it(proxy, kind):
    before = requests_so_far(proxy)

    attack(proxy, (kind.name, kind.attempt))

    details = details_of_all(proxy, before)
    assert details <= kind.says and bool(details) == bool(kind.says)
    assert harm(proxy, [kind.name]) == {}
    good(Target(proxy.port, kind.name))
    assert proxy.circuit(kind.name)["state"] == "closed"


@pytest.mark.parametrize("router", [ORDINARY, RESPECTING, SUPPRESSING], ids=["ordinary", "respecting", "suppressing"])
def test_deadlines_of_clients_trip_no_circuit_whatever_it_has_seen_before(run, upstream, router):
    kinds = heard(DEADLINES, router)
    cold, warm = ({f"{each.name}_{temper}": each for each in kinds} for temper in ("cold", "warm"))
    # These have seen pages only, no calls.
    misled = {f"{each.name}_misled": each for each in kinds if each.http2}
    proxy = run(configuration(upstream, cold | warm | misled, router))

    attack(proxy, *((name, good_call if each.http2 else good) for name, each in warm.items()), attempts=6)
    attack(proxy, *((name, good) for name in misled), attempts=6)
    attack(proxy, *((name, each.attempt) for name, each in (cold | warm | misled).items()), connections=ATTEMPTS)

    details = details_of_all(proxy)
    assert harm(proxy, cold | warm | misled) == {}
    assert set() < details <= set().union({"via_upstream"}, *(each.says for each in kinds))


def test_short_deadlines_for_each_try_are_the_clients_however_long_all_tries_take(run, upstream):
    def tries_for_two_seconds(target):
        retries = ("x-envoy-retry-on: 5xx", "x-envoy-max-retries: 6")
        target.ask(LATE, "x-envoy-upstream-rq-per-try-timeout-ms: 200", *retries)

    trying = Kind("trying", tries_for_two_seconds, {"upstream_per_try_timeout"})
    proxy = run(configuration(upstream, {trying.name: trying}, ORDINARY, plugin()))

    attack(proxy, (trying.name, trying.attempt), attempts=10)

    assert details_of_all(proxy) == trying.says
    assert harm(proxy, [trying.name]) == {}


def waits(*lines, method="GET"):
    return lambda target: target.ask("/hang", *lines, method=method)


SHORT = "0.4s"
OPERATORS = {
    "of_the_route": {"timeout": SHORT},
    "of_each_try": {"retry_policy": {"per_try_timeout": SHORT}},
    "of_an_idle_stream": {"idle_timeout": SHORT},
    "of_the_stream": {"max_stream_duration": {"max_stream_duration": SHORT}},
}
PATIENT = [
    *(Kind(name, waits(), set(), route) for name, route in OPERATORS.items()),
    # Of the whole stream Envoy tells gRPC by a header like a client's: it cannot be told from one.
    *(
        Kind(f"{name}_for_grpc", waits(*GRPC, method="POST"), set(), route, True)
        for name, route in OPERATORS.items()
        if name != "of_the_stream"
    ),
    # An ordinary router does not hear this: the timeout is the route's.
    Kind("unheard", waits("x-envoy-expected-rq-timeout-ms: 50"), set(), OPERATORS["of_the_route"], router=ORDINARY),
]


@pytest.mark.parametrize("router", [ORDINARY, SUPPRESSING], ids=["ordinary", "suppressing"])
def test_short_timeouts_of_the_operators_trip_a_circuit_all_the_same(run, upstream, router):
    kinds = heard(PATIENT, router)
    proxy = run(configuration(upstream, {each.name: each for each in kinds}, router, plugin(opens_for="20s")))

    def calls_until_it_is_open(kind):
        """How many: one after the other, each once the last is settled."""
        target = Target(proxy.port, kind.name)
        for count in range(1, 10):
            kind.attempt(target)
            wait_until(lambda: proxy.metric("failures", kind.name) + proxy.metric("ignored", kind.name) == count)
            if proxy.metric("opened", kind.name):
                return count
        return None

    with ThreadPoolExecutor(len(kinds)) as pool:
        calls = dict(zip((each.name for each in kinds), pool.map(calls_until_it_is_open, kinds), strict=True))

    # Where Envoy does not tell the timeout in force, each worker has to see one short one first.
    untold = {name for name in calls if router is SUPPRESSING or name.startswith("of_the_stream")}
    assert {name: count for name, count in calls.items() if count not in (range(5, 8) if name in untold else [5])} == {}


def trip(proxy, circuits):
    attack(proxy, *((name, lambda target: target.ask("/status/503")) for name in circuits), attempts=5)
    for name in circuits:
        wait_for_state(proxy, "half-open", circuit=name)


def test_no_client_reopens_a_circuit_as_its_probe(proxy):
    kinds = heard(KINDS, RESPECTING)
    before = counts(proxy)
    trip(proxy, [each.name for each in kinds])

    attack(proxy, *((each.name, each.attempt) for each in kinds), attempts=1)
    details_of_all(proxy)
    after = counts(proxy)
    attack(proxy, *((each.name, lambda target: target.ask("/")) for each in kinds), attempts=1)

    harms = {"opened": 2, "probe_timeouts": 1, "slow": 1}
    assert [
        (each.name, metric)
        for each in kinds
        for metric, too_many in harms.items()
        if after(each.name, metric) - before(each.name, metric) >= too_many
    ] == []
    for each in kinds:
        wait_for_state(proxy, "closed", circuit=each.name)


@contextlib.contextmanager
def http1_upload(target, *lines):
    with target.connect() as connection:
        connection.sendall(target.head("/", *lines, method="POST") + b"1")
        yield


@contextlib.contextmanager
def http2_upload(target, *headers):
    with connected(target) as client:
        client.upload_in_part(*headers)
        yield


UPLOADS = {
    "of_a_length": lambda target: http1_upload(target, "content-length: 6"),
    "in_chunks": lambda target: http1_upload(target, "transfer-encoding: chunked"),
    "in_a_stream": http2_upload,
    "in_a_call": lambda target: http2_upload(target, SAYS_GRPC),
}


def test_a_probe_that_never_ends_its_upload_gives_its_place_back_when_its_lease_is_over(run, upstream):
    circuits = {name: Kind(name, None, set(), http2=name == "in_a_call") for name in UPLOADS}
    config = configuration(upstream, circuits, RESPECTING)
    connection_manager(config, "proxy")["request_timeout"] = "0s"
    proxy = run(config)
    targets = {name: Target(proxy.port, name) for name in UPLOADS}
    trip(proxy, circuits)

    with contextlib.ExitStack() as uploads:
        begun = time.monotonic()
        for name, upload in UPLOADS.items():
            uploads.enter_context(upload(targets[name]))
            wait_until(lambda name=name: proxy.metric("probes", name) == 1)
        for target in targets.values():
            assert b"x-circuit-breaker: half-open" in target.ask("/")

        for target in targets.values():
            wait_until(lambda target=target: target.ask("/").startswith(b"HTTP/1.1 200 "))

        assert 0.9 < time.monotonic() - begun < 5
    details_of_all(proxy)
    count = counts(proxy)
    met = {each: [count(each, metric) for metric in ("opened", "closed", "probe_timeouts", "slow")] for each in UPLOADS}
    assert met == {each: [1, 1, 0, 0] for each in UPLOADS}
