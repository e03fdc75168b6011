"""Configuration changes while traffic flows."""

import pytest

from e2e.listeners import Listeners, assert_serves_on
from e2e.words import assert_is_as_before, assert_rejected, trip, wait_for_state
from rig.config import bootstrap, cluster, plugin
from rig.wait import wait_until


@pytest.fixture
def listeners(upstream, tmp_path):
    return Listeners(bootstrap(cluster("backend", upstream), plugin=plugin(opens_for="20s")), tmp_path)


@pytest.fixture
def proxy(run, listeners):
    return run(listeners.config)


def test_a_bad_update_is_refused_and_the_old_configuration_keeps_serving(proxy, listeners):
    trip(proxy)

    listeners.update({"defaults": {"open": {"duration": "0s"}}})

    wait_until(lambda: proxy.stat("listener_manager.lds.update_rejected") == 1)
    assert "defaults.open.duration: " in proxy.log()
    assert_rejected(proxy.get())
    wait_for_state(proxy, "open")


def test_while_a_bad_update_is_refused_every_request_is_served_and_counted_by_the_old_configuration(
    proxy, upstream, listeners
):
    assert_serves_on(proxy, upstream, lambda: listeners.update({"defaults": {"open": {"duration": "0s"}}}))


def test_an_open_circuit_survives_an_update(proxy, listeners):
    trip(proxy)
    before = proxy.circuit()

    listeners.update(plugin(opens_for="21s"))

    wait_until(lambda: proxy.stat("listener_manager.listener_in_place_updated") == 2)
    assert_rejected(proxy.get())
    assert_is_as_before(before, proxy.circuit())
