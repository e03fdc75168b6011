"""Another policy takes over while a circuit is half-open: from then on its number of probes counts, and of successes."""

import pytest

from e2e.listeners import Listeners
from e2e.words import assert_rejected, get_anew, trip, wait_for_state
from rig.config import bootstrap, cluster, plugin
from rig.crowd import Crowd
from rig.wait import wait_until

HALF_OPEN = range(1, 31)


def policy(probes, successes):
    half_open = {"probes": probes, "successes": successes, "probe_timeout": "20s"}
    return plugin("0.3s", open={"multiplier": 1}, half_open=half_open)


@pytest.fixture
def half_open(run, upstream, tmp_path):
    """A proxy with a circuit that has just become so, and the way to its next policy."""

    def half_open(before, **options):
        listeners = Listeners(bootstrap(cluster("backend", upstream), plugin=policy(*before)), tmp_path)
        proxy = run(listeners.config, **options)
        trip(proxy)
        wait_for_state(proxy, "half-open")
        upstream.forget_calls()

        def update(after):
            listeners.update(policy(*after))
            wait_until(lambda: proxy.stat("listener_manager.listener_in_place_updated") == 2)

        return proxy, update

    return half_open


def assert_all_counted(proxy, **expected):
    once = {"opened": 1, "half_opened": 1, "closed": 1, "failures": 5, "ignored": 0, "stale_results": 0}
    expected = once | expected
    wait_until(lambda: {each: proxy.metric(each) for each in expected} == expected)
    assert proxy.circuit()["probes"] == []


def test_more_probes_go_out_at_a_time_and_the_circuit_closes(half_open, upstream):
    proxy, update = half_open((1, 3))
    with Crowd(proxy.port, 1, "/hold", requests_each=1) as first:
        wait_until(lambda: upstream.in_flight == 1)
        assert_rejected(get_anew(proxy), state="half-open", retry_after=HALF_OPEN)

        update((3, 3))

        with Crowd(proxy.port, 2, "/hold", requests_each=1) as others:
            wait_until(lambda: upstream.in_flight == 3)
            assert_rejected(get_anew(proxy), state="half-open", retry_after=HALF_OPEN)
            upstream.release()
            wait_until(lambda: (first.replies, others.replies) == ({200: 1}, {200: 2}))

    wait_for_state(proxy, "closed")
    assert_all_counted(proxy, probes=3, successes=3, rejected=2)
    assert (upstream.calls, upstream.max_in_flight) == (3, 3)


def test_no_probe_goes_out_until_fewer_are_out_than_the_lower_number(half_open, upstream):
    proxy, update = half_open((3, 3))
    with Crowd(proxy.port, 2, "/hold", requests_each=1) as staying, proxy.connect() as leaving:
        leaving.sendall(b"GET /hold HTTP/1.1\r\nhost: backend\r\n\r\n")
        wait_until(lambda: upstream.in_flight == 3)

        update((1, 3))

        assert_rejected(get_anew(proxy), state="half-open", retry_after=HALF_OPEN)
        leaving.close()
        wait_until(lambda: proxy.metric("ignored") == 1 and upstream.in_flight == 2)
        # Two are out still, where one may be.
        for _ in range(3):
            assert_rejected(get_anew(proxy), state="half-open", retry_after=HALF_OPEN)
        upstream.release()
        wait_until(lambda: staying.replies == {200: 2})

    wait_until(lambda: proxy.metric("successes") == 2)
    assert proxy.circuit()["state"] == "half-open"
    with Crowd(proxy.port, 1, "/hold", requests_each=1) as last:
        wait_until(lambda: upstream.in_flight == 1)
        assert_rejected(get_anew(proxy), state="half-open", retry_after=HALF_OPEN)
        upstream.release()
        wait_until(lambda: last.replies == {200: 1})

    wait_for_state(proxy, "closed")
    assert_all_counted(proxy, probes=4, successes=3, ignored=1, rejected=5)
    assert upstream.calls == 4


def test_more_successes_are_asked_for_on_top_of_those_there_were(half_open, upstream):
    proxy, update = half_open((1, 2), restart=("--disable-hot-restart", "--drain-time-s", "1"))
    assert get_anew(proxy).status_code == 200
    wait_until(lambda: proxy.metric("successes") == 1)

    update((1, 4))

    # While the old configuration drains it closes the circuit at its own number.
    wait_until(lambda: proxy.stat("listener_manager.total_filter_chains_draining") == 0)
    for count in (2, 3):
        assert get_anew(proxy).status_code == 200
        wait_until(lambda count=count: proxy.metric("successes") == count)
        assert proxy.circuit()["state"] == "half-open"
    assert get_anew(proxy).status_code == 200
    wait_for_state(proxy, "closed")
    assert_all_counted(proxy, probes=4, successes=4, rejected=0)
    assert upstream.calls == 4


def test_fewer_successes_are_enough_at_once_where_there_were_as_many(half_open, upstream):
    proxy, update = half_open((1, 5))
    for count in (1, 2):
        assert get_anew(proxy).status_code == 200
        wait_until(lambda count=count: proxy.metric("successes") == count)
    assert proxy.circuit()["state"] == "half-open"

    update((1, 2))

    wait_for_state(proxy, "closed")
    assert_all_counted(proxy, probes=2, successes=2, rejected=0)
    assert (upstream.calls, get_anew(proxy).status_code) == (2, 200)


def test_fewer_successes_are_enough_with_the_next_where_there_was_one_less(half_open, upstream):
    proxy, update = half_open((1, 5))
    assert get_anew(proxy).status_code == 200
    wait_until(lambda: proxy.metric("successes") == 1)

    update((1, 2))

    assert proxy.circuit()["state"] == "half-open"
    assert get_anew(proxy).status_code == 200
    wait_for_state(proxy, "closed")
    assert_all_counted(proxy, probes=2, successes=2, rejected=0)
    assert upstream.calls == 2


def test_a_probe_that_fails_reopens_whatever_the_new_policy_asks_for(half_open, upstream):
    proxy, update = half_open((2, 3))
    assert get_anew(proxy).status_code == 200
    wait_until(lambda: proxy.metric("successes") == 1)

    update((3, 2))

    assert get_anew(proxy, "/status/503").text == "503 from the upstream\n"
    wait_until(lambda: proxy.metric("opened") == 2)
    wait_for_state(proxy, "half-open")
    for _ in range(2):
        assert get_anew(proxy).status_code == 200
    wait_for_state(proxy, "closed")
    assert_all_counted(proxy, opened=2, half_opened=2, failures=6, probes=4, successes=3, rejected=0)
    assert upstream.calls == 4
