"""An upstream that hangs fails nobody until the timeouts come; its circuit trips long before."""

import contextlib
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.circuits import Circuits
from e2e.words import trip, wait_for_state
from rig.load import Load
from rig.wait import wait_until

CIRCUITS = Circuits()
RATE = 50
SLOW_AFTER = 0.2
# Met by the fifth slow call, where there are no others.
FIVE = {"slow_ratio": {"ratio": 0.5, "minimum_requests": 5, "window": "10s"}}
NEVER = {"slow_ratio": {"ratio": 1, "minimum_requests": 1000, "window": "10s"}}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with CIRCUITS.served(tmp_path_factory.mktemp("slow")) as served:
        yield served


@pytest.fixture
def proxy(served):
    return served[0]


@pytest.fixture
def upstream(served):
    yield served[1]
    served[1].does("status/200")


def circuit(name, rules, slow_after=f"{SLOW_AFTER}s", client_disconnect="ignore", **policy):
    classify = {"slow_after": slow_after, "client_disconnect": client_disconnect}
    return CIRCUITS.add(name, trip=rules, classify=classify, **policy)


HALF = {"slow_ratio": {"ratio": 0.5, "minimum_requests": 20, "window": "2s"}}
LOADED = circuit("loaded", HALF, slow_after="500ms", opens_for="2s")


def test_an_upstream_that_begins_to_hang_is_left_alone_within_two_seconds(proxy, upstream):
    with Load(proxy.port, LOADED, RATE) as load:
        wait_until(lambda: load.replies[200] >= 2.5 * RATE)
        began = time.monotonic()
        upstream.does("hang")
        took = load.first("open", since=began) - began
        opened = proxy.circuit(LOADED)
        upstream.does("status/200")
        recovered = time.monotonic()
        wait_for_state(proxy, "closed", LOADED)
        load.first(200, since=recovered)

    print(f"open {took:.2f} s after the upstream began to hang")
    assert took < 2
    assert opened["state"] == "open"
    slow, calls = figures(opened["reason"], window="2s")
    assert slow >= calls / 2 and calls >= 20
    assert opened["slow"] == slow
    assert [proxy.metric(each, LOADED) for each in ("failures", "opened", "closed")] == [0, 1, 1]


COLD = circuit("cold", {"slow_ratio": {}}, slow_after="500ms")


def test_an_upstream_that_hangs_from_the_start_is_left_alone_within_two_seconds(proxy):
    began = time.monotonic()
    with Load(proxy.port, COLD, RATE, "/hang") as load:
        took = load.first("open", since=began) - began

    print(f"open {took:.2f} s after the first call")
    assert took < 2
    assert figures(proxy.circuit(COLD)["reason"], window="10s") == (20, 20)


def figures(reason, window):
    said = re.fullmatch(rf"(\d+) of (\d+) requests were slow within {window}", reason)
    return int(said[1]), int(said[2])


LATE = circuit("late", FIVE)


def test_calls_that_succeed_slowly_trip_the_circuit(proxy):
    statuses = ask_at_once(proxy, LATE, ["/delay/0.4"] * 5)

    assert statuses == [200] * 5
    assert wait_for_state(proxy, "open", LATE)["reason"] == "5 of 5 requests were slow within 10s"
    assert [proxy.metric(each, LATE) for each in ("slow", "failures")] == [5, 0]


STREAMING = circuit("streaming", FIVE)


def test_a_stream_that_begins_in_time_is_not_slow(proxy):
    began = time.monotonic()
    statuses = ask_at_once(proxy, STREAMING, ["/events/0.5"] * 10)

    assert time.monotonic() - began > 2 * SLOW_AFTER
    assert statuses == [200] * 10
    wait_until(lambda: proxy.metric("successes", STREAMING) == 10)
    assert proxy.circuit(STREAMING)["state"] == "closed"
    assert proxy.metric("slow", STREAMING) == 0


def ask_at_once(proxy, host, paths):
    with asking(proxy, host, paths) as statuses:
        return list(statuses)


@contextlib.contextmanager
def asking(proxy, host, paths):
    """Clients who ask, each on a connection of its own; what is given are the statuses they will get."""
    with ThreadPoolExecutor(len(paths)) as clients:
        yield clients.map(lambda path: proxy.get(path, host=host).status_code, paths)


@contextlib.contextmanager
def waiting(proxy, host, clients=1):
    """Clients of an upstream that hangs, who leave at the end of the block."""
    with contextlib.ExitStack() as connections:
        for _ in range(clients):
            client = connections.enter_context(proxy.connect())
            client.sendall(f"GET /hang HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        yield


COUNTED = circuit("counted", NEVER, route={"timeout": "0.8s"})


def test_each_slow_call_counts_once_whatever_becomes_of_it(proxy):
    endings = {"/delay/0.4": 200, "/delay/0.4/status/404": 404, "/delay/0.4/status/503": 503, "/hang": 504}

    with asking(proxy, COUNTED, [*endings] * 3) as statuses:
        with waiting(proxy, COUNTED, clients=3):
            wait_until(lambda: proxy.metric("slow", COUNTED) == 15)
        assert list(statuses) == [*endings.values()] * 3

    wait_until(lambda: [proxy.metric(each, COUNTED) for each in ("successes", "failures", "ignored")] == [6, 6, 3])
    assert proxy.metric("slow", COUNTED) == proxy.circuit(COUNTED)["slow"] == 15


def each_way(name, rules, **policy):
    """What a client that leaves counts as makes no difference to these."""
    ways = ("ignore", "slow")
    names = [circuit(f"{name}_{way}", rules, client_disconnect=way, **policy) for way in ways]
    return pytest.mark.parametrize("name", names, ids=ways)


@each_way("impatient", FIVE)
def test_clients_that_give_up_waiting_trip_the_circuit_and_those_that_leave_sooner_do_not(proxy, upstream, name):
    for count in range(1, 11):
        with waiting(proxy, name):
            wait_until(lambda count=count: upstream.in_flight == 1)
        wait_until(lambda count=count: proxy.metric("ignored", name) == count)
    assert (proxy.circuit(name)["state"], proxy.metric("slow", name)) == ("closed", 0)

    for count in range(1, 6):
        with waiting(proxy, name):
            wait_until(lambda count=count: proxy.metric("slow", name) == count)
    assert wait_for_state(proxy, "open", name)["reason"] == "5 of 5 requests were slow within 10s"
    assert proxy.metric("failures", name) == 0


SHORT = "0.3s"


@each_way("probed", {"consecutive_failures": 5, **FIVE}, opens_for=SHORT, open={"multiplier": 20})
def test_a_probe_that_takes_too_long_fails_at_once_where_slow_calls_trip(proxy, name):
    trip(proxy, host=name)
    wait_for_state(proxy, "half-open", name)

    with waiting(proxy, name):
        wait_until(lambda: proxy.metric("opened", name) == 2)

    assert proxy.circuit(name)["reason"] == "probe was slow"
    assert proxy.metric("probe_timeouts", name) == 0


@each_way("lenient", {"consecutive_failures": 5}, opens_for=SHORT)
def test_a_probe_whose_client_gives_up_is_none_where_slow_calls_do_not_trip(proxy, name):
    trip(proxy, host=name)
    wait_for_state(proxy, "half-open", name)

    with waiting(proxy, name):
        wait_until(lambda: proxy.metric("probes", name) == 1)
        time.sleep(2 * SLOW_AFTER)

    wait_until(lambda: proxy.get(host=name).status_code == 200)
    wait_for_state(proxy, "closed", name)
    assert [proxy.metric(each, name) for each in ("opened", "probes")] == [1, 2]
