"""What policies can say beyond the ordinary, and what happens where two of them say different things of one circuit."""

import email.utils
import time
from urllib.parse import quote

import httpx
import pytest

from e2e.circuits import Circuits
from e2e.listeners import Listeners
from e2e.words import assert_rejected, trip, wait_for_state
from rig.config import add_listener, bootstrap, cluster, plugin
from rig.crowd import Crowd
from rig.load import Load
from rig.wait import wait_until

CIRCUITS = Circuits()
CONFLICTS = "wasmcustom.circuit_breaker.policy_conflicts"
SHORT = "0.3s"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with CIRCUITS.served(tmp_path_factory.mktemp("policies")) as served:
        yield served


@pytest.fixture
def proxy(served):
    return served[0]


@pytest.fixture
def upstream(served):
    return served[1]


def counted_as(proxy, name, ask, answers):
    """For each answer the metric that it adds to."""
    metrics = ("successes", "failures", "ignored")

    def counts():
        return [proxy.metric(each, name) for each in metrics]

    def counted(answer):
        before = counts()
        ask(answer)
        [after] = wait_until(lambda: [now for now in [counts()] if now != before])
        [metric] = [metric for metric, was, now in zip(metrics, before, after, strict=True) if now != was]
        return metric

    return {answer: counted(answer) for answer in answers}


STATUSES = {"failure_statuses": ["5xx", 404, "450-459"], "ignore_statuses": [403, "507-508"]}
JUDGED = CIRCUITS.add("judged", trip={"consecutive_failures": 1000}, classify=STATUSES)


def test_the_policy_says_which_statuses_fail_and_which_are_ignored(proxy):
    fail, are_ignored = [404, 451, 500, 501, 503, 505], [403, 507, 508]
    succeed = [200, 301, 400, 429]

    def ask(status):
        proxy.get(f"/status/{status}", host=JUDGED)

    assert counted_as(proxy, JUDGED, ask, [*succeed, *fail, *are_ignored]) == {
        **dict.fromkeys(succeed, "successes"),
        **dict.fromkeys(fail, "failures"),
        **dict.fromkeys(are_ignored, "ignored"),
    }


CODES = {"failure_grpc_statuses": ["NOT_FOUND", 7, "UNAVAILABLE"]}
CALLED = CIRCUITS.add("called", http2=True, trip={"consecutive_failures": 1000}, classify=CODES)


def test_the_policy_says_which_statuses_of_grpc_fail_by_name_or_number(proxy):
    fail, succeed = [5, 7, 14], [0, 2, 4, 13]

    def call(code):
        headers = {"host": CALLED, "content-type": "application/grpc", "te": "trailers"}
        proxy.client.post(f"/grpc/{code}", headers=headers)

    assert counted_as(proxy, CALLED, call, [*succeed, *fail, 8]) == {
        **dict.fromkeys(succeed, "successes"),
        **dict.fromkeys(fail, "failures"),
        8: "ignored",
    }


STRICT = CIRCUITS.add("strict", classify={"min_deadline": "100ms"})
LENIENT = CIRCUITS.add("lenient", classify={"min_deadline": "1s"})


def test_the_policy_says_how_short_a_deadline_of_a_client_is_its_own_doing(proxy):
    for name in (STRICT, LENIENT):
        for _ in range(5):
            proxy.get("/hang", host=name, headers={"x-envoy-upstream-rq-timeout-ms": "150"})

    wait_for_state(proxy, "open", STRICT)
    wait_until(lambda: proxy.metric("ignored", LENIENT) == 5)
    assert proxy.circuit(LENIENT)["state"] == "closed"


def asks_for(name, wait, last="", before="", **open):
    """What the failure that trips asks for, and those before it, and the wait that comes of it."""
    CIRCUITS.add(name, opens_for="4s", open={"max_duration": "40s", **open})
    return pytest.param(name, last, before, wait, id=name)


@pytest.mark.parametrize(
    "name, last, before, wait",
    [
        asks_for("seconds", range(19, 21), "20"),
        asks_for("date", range(20, 31), "in 30 seconds"),
        asks_for("beyond", range(39, 41), "1000"),
        asks_for("less", range(3, 5), "1"),
        asks_for("nonsense", range(3, 5), "soon"),
        asks_for("earlier", range(3, 5), before="20"),
        asks_for("deaf", range(3, 5), "20", honor_retry_after=False),
    ],
)
def test_a_circuit_stays_open_for_as_long_as_the_failure_that_trips_it_asks(proxy, name, last, before, wait):
    date = email.utils.formatdate(time.time() + 30, usegmt=True)

    for asked in [before] * 4 + [last]:
        retry_after = date if asked == "in 30 seconds" else asked
        query = f"?retry-after={quote(retry_after)}" if asked else ""
        assert proxy.get(f"/status/503{query}", host=name).text == "503 from the upstream\n"

    wait_for_state(proxy, "open", name)
    assert_rejected(proxy.get(host=name), circuit=name, retry_after=wait)


PAYMENTS = CIRCUITS.add("payments", opens_for=SHORT, half_open={"methods": ["GET"]})


def test_only_requests_of_the_methods_named_become_probes(proxy, upstream):
    trip(proxy, host=PAYMENTS)
    wait_for_state(proxy, "half-open", PAYMENTS)

    def pay():
        return proxy.client.post("/pay", headers={"host": PAYMENTS})

    for _ in range(5):
        assert_rejected(pay(), circuit=PAYMENTS, state="half-open", retry_after=[1])
    assert upstream.calls_to("/pay") == 0
    assert proxy.get("/probe", host=PAYMENTS).status_code == 200

    wait_for_state(proxy, "closed", PAYMENTS)
    assert proxy.logged("/probe")[0]["circuit_breaker"] == "probe"
    wait_until(lambda: pay().status_code == 200)


FIVE_BY_THREE = {"probes": 3, "successes": 5, "probe_timeout": "60s"}
PROBED = CIRCUITS.add("probed", opens_for=SHORT, half_open=FIVE_BY_THREE)


def test_three_probes_at_a_time_until_five_have_succeeded(proxy, upstream):
    trip(proxy, host=PROBED)
    wait_for_state(proxy, "half-open", PROBED)
    upstream.forget_calls()

    with Load(proxy.port, PROBED, 100, "/hold") as load:
        wait_until(lambda: upstream.in_flight == 3 and load.replies["half-open"] >= 20)
        upstream.release()
        wait_until(lambda: load.replies[200] == 3 and upstream.in_flight == 3)
        assert proxy.circuit(PROBED)["state"] == "half-open"
        asked = load.replies["half-open"]
        wait_until(lambda: load.replies["half-open"] >= asked + 20)
        assert (upstream.calls, upstream.max_in_flight) == (6, 3)
        upstream.release()
        wait_for_state(proxy, "closed", PROBED)

    assert [proxy.metric(each, PROBED) for each in ("opened", "closed")] == [1, 1]
    assert proxy.metric("probes", PROBED) in range(6, 9)


RELAPSING = CIRCUITS.add("relapsing", opens_for=SHORT, half_open=FIVE_BY_THREE)


def test_one_probe_that_fails_reopens_the_circuit_however_many_have_succeeded(proxy):
    trip(proxy, host=RELAPSING)
    wait_for_state(proxy, "half-open", RELAPSING)

    for _ in range(4):
        assert proxy.get(host=RELAPSING).status_code == 200
    assert proxy.circuit(RELAPSING)["state"] == "half-open"
    assert proxy.get("/status/503", host=RELAPSING).text == "503 from the upstream\n"

    wait_until(lambda: proxy.metric("opened", RELAPSING) == 2)
    assert proxy.metric("closed", RELAPSING) == 0


def windowed(window, status=True, **policy):
    """Three failures within the window trip, whatever succeeds in between."""
    made = plugin(opens_for="20s", trip={"failures": {"count": 3, "window": window}}, **policy)
    return made if status else {each: made[each] for each in made if each != "status"}


@pytest.mark.parametrize("window, conflicts", [("10s", False), ("20s", True)])
def test_two_policies_for_one_circuit_are_told_and_the_circuit_is_shared_all_the_same(
    run, upstream, window, conflicts
):
    config = bootstrap(cluster("backend", upstream), plugin=windowed("10s"))
    add_listener(config, "other", windowed(window, status=False))
    proxy = run(config)
    one, other = (f"http://127.0.0.1:{proxy.ports[each]}" for each in ("proxy", "other"))

    for url in (one, other) * 4:
        # New connections, so that both workers take some.
        httpx.get(f"{url}/status/500")

    for url in (one, other):
        wait_until(lambda url=url: httpx.get(url).headers.get("x-circuit-breaker") == "open")
    assert bool(proxy.stat(CONFLICTS)) == conflicts
    assert proxy.metric("opened") == 1


def test_a_configuration_that_still_drains_leaves_the_shape_of_the_newer_alone(run, upstream, tmp_path):
    listeners = Listeners(bootstrap(cluster("backend", upstream), plugin=windowed("10s")), tmp_path)
    proxy = run(listeners.config)
    with Crowd(proxy.port, 1, "/hold/503", requests_each=1) as old:
        wait_until(lambda: upstream.in_flight == 1)
        assert proxy.stat(CONFLICTS) == 0
        listeners.update(windowed("20s"))
        wait_until(lambda: proxy.stat("listener_manager.listener_in_place_updated") == 2)
        fails_anew(proxy, 1)

        upstream.release()
        wait_until(lambda: old.replies == {503: 1})

    wait_until(lambda: proxy.metric("failures") == 2)
    wait_until(lambda: proxy.stat(CONFLICTS) > 0)
    fails_anew(proxy, 3)
    assert wait_for_state(proxy, "open")["reason"] == "3 failures within 20s"


def fails_anew(proxy, count):
    """On a new connection: the old ones stay with the old configuration."""
    assert httpx.get(f"{proxy.url}/status/500").status_code == 500
    wait_until(lambda: proxy.metric("failures") == count)
