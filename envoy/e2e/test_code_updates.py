"""Another policy, or another build of the module, takes over while traffic flows, and finds the circuits as they are."""

import hashlib

import httpx
import pytest

from e2e.listeners import Listeners, assert_serves_on
from e2e.words import assert_is_as_before, assert_rejected, get_anew, trip, wait_for_state
from rig import wasm
from rig.config import MODULE, bootstrap, cluster, plugin
from rig.crowd import Crowd
from rig.load import Load
from rig.wait import wait_until

TOKEN = "open sesame"


def configuration(opens_for="20s", **policy):
    made = plugin(opens_for=opens_for, **policy)
    made["status"]["control_token_sha256"] = hashlib.sha256(TOKEN.encode()).hexdigest()
    return made


@pytest.fixture
def listeners(upstream, tmp_path):
    return Listeners(bootstrap(cluster("backend", upstream), plugin=configuration()), tmp_path)


@pytest.fixture
def proxy(run, listeners):
    return run(listeners.config)


@pytest.fixture
def other_build(tmp_path):
    file = tmp_path / "other.wasm"
    file.write_bytes(wasm.with_another_hash(MODULE.read_bytes()))
    return file


@pytest.fixture(params=["policy", "code", "both"])
def update(request, proxy, listeners, other_build):
    """Brings the change about, and waits until it is in force for new connections."""

    def update(**policy):
        given = {"plugin": configuration(**policy)} if request.param != "code" else {}
        if request.param != "policy":
            given["module"] = other_build
        before = proxy.stat("listener_manager.listener_in_place_updated")
        listeners.update(**given)
        wait_until(lambda: proxy.stat("listener_manager.listener_in_place_updated") == before + 2)
        return given

    return update


def test_an_open_circuit_stays_open_with_other_thresholds_and_other_code(proxy, upstream, update):
    trip(proxy)
    before = proxy.circuit()

    update(trip={"consecutive_failures": 50, "failures": {"count": 3, "window": "60s"}})

    for _ in range(4):
        assert_rejected(get_anew(proxy))
    assert_rejected(proxy.get())
    assert_is_as_before(before, proxy.circuit())
    wait_until(lambda: proxy.metric("rejected") == 5)
    assert (upstream.calls, proxy.metric("opened")) == (5, 1)


def test_a_probe_of_before_an_update_closes_the_circuit_after_it(run, upstream, tmp_path, other_build):
    listeners = Listeners(bootstrap(cluster("backend", upstream), plugin=configuration("0.3s")), tmp_path)
    proxy = run(listeners.config)
    trip(proxy)
    wait_for_state(proxy, "half-open")
    with Crowd(proxy.port, 1, "/hold", requests_each=1) as probe:
        wait_until(lambda: upstream.in_flight == 1)

        listeners.update(configuration("0.4s", half_open={"probes": 1, "probe_timeout": "20s"}), other_build)
        wait_until(lambda: proxy.stat("listener_manager.listener_in_place_updated") == 2)

        # Its place is taken, whoever asks.
        for _ in range(4):
            assert_rejected(get_anew(proxy), state="half-open", retry_after=range(1, 31))
        upstream.release()
        wait_until(lambda: probe.replies == {200: 1})

    wait_for_state(proxy, "closed")
    wait_until(lambda: get_anew(proxy).status_code == 200)
    assert [proxy.metric(each) for each in ("opened", "half_opened", "closed", "probes")] == [1, 1, 1, 1]


def test_thresholds_count_on_from_what_there_is(proxy, update):
    for count in range(1, 5):
        assert get_anew(proxy, "/status/503").text == "503 from the upstream\n"
        wait_until(lambda count=count: proxy.circuit()["fail_count"] == count)

    given = update(trip={"consecutive_failures": 6})

    for _ in range(2 if "plugin" in given else 1):
        assert proxy.circuit()["state"] == "closed"
        assert get_anew(proxy, "/status/503").text == "503 from the upstream\n"
    wait_for_state(proxy, "open")


def test_an_override_survives(proxy, upstream, update):
    assert proxy.get().status_code == 200
    url = f"{proxy.status_url}/backend/override"
    order = {"state": "open", "for": "1m", "reason": "drill"}
    authorization = {"authorization": f"Bearer {TOKEN}"}
    proxy.admin.put(url, params=order, headers=authorization).raise_for_status()
    before = proxy.circuit()["override"]

    update(opens_for="21s")

    assert_rejected(get_anew(proxy), retry_after=range(50, 61))
    assert proxy.circuit()["override"] == before
    assert upstream.calls == 1
    httpx.delete(url, headers=authorization).raise_for_status()
    wait_until(lambda: get_anew(proxy).status_code == 200)


@pytest.fixture
def broken_build(tmp_path):
    file = tmp_path / "broken.wasm"
    file.write_bytes(MODULE.read_bytes()[:1000])
    return file


def test_code_that_does_not_load_is_refused_and_the_old_keeps_rejecting(proxy, listeners, broken_build):
    trip(proxy)

    listeners.update(module=broken_build)

    wait_until(lambda: proxy.stat("listener_manager.lds.update_rejected") == 1)
    assert_rejected(get_anew(proxy))
    wait_for_state(proxy, "open")


def test_while_code_that_does_not_load_is_refused_the_old_serves_and_counts_every_request(
    proxy, upstream, listeners, broken_build
):
    assert_serves_on(proxy, upstream, lambda: listeners.update(module=broken_build))


def test_no_request_is_lost_to_updates_under_load(proxy, upstream, listeners, other_build):
    with Load(proxy.port, "backend", 150) as load:
        for number, module in enumerate([other_build, MODULE, other_build], 1):
            wait_until(lambda number=number: load.replies[200] >= 50 * number)
            listeners.update(configuration(f"{20 + number}s"), module)
            wait_until(lambda number=number: proxy.stat("listener_manager.listener_in_place_updated") == 2 * number)
        load.end()

    assert load.replies == {200: load.sent}
    wait_until(lambda: proxy.metric("successes") == load.sent)
    assert (upstream.calls, proxy.metric("failures")) == (load.sent, 0)
