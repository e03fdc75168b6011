"""A new Envoy process takes over from an old one: its circuits are new, and no request is lost on the way."""

import contextlib

import httpx
import pytest

from e2e.words import assert_rejected, trip, wait_for_state
from rig.config import bootstrap, cluster, plugin
from rig.crowd import Crowd
from rig.load import Load
from rig.ports import Refusing
from rig.proxy import Proxy
from rig.wait import wait_until


@pytest.fixture
def config(upstream):
    """The same for both processes: they hand over sockets by the addresses that these have."""
    config = bootstrap(cluster("backend", upstream), cluster("broken", upstream), plugin=plugin(opens_for="30s"))
    for listener in config["static_resources"]["listeners"]:
        with Refusing() as free:
            listener["address"]["socket_address"]["port_value"] = free.port
    return config


@pytest.fixture
def start_process(config, tmp_path):
    """Starts the next process."""
    base_id, drain = tmp_path / "base-id", ("--drain-time-s", "1", "--parent-shutdown-time-s", "5")
    with contextlib.ExitStack() as running:

        def start():
            epoch = sum(1 for _ in tmp_path.glob("epoch-*"))
            name = ("--base-id", base_id.read_text()) if epoch else ("--use-dynamic-base-id", "--base-id-path", base_id)
            # What a process has flushed it does not hand over, and the next one asks for the rest when it flushes.
            flushes = {"stats_flush_interval": "0.05s" if epoch else "100s"}
            restart = ("--restart-epoch", str(epoch), *name, *drain)
            proxy = running.enter_context(Proxy(config | flushes, tmp_path / f"epoch-{epoch}", restart=restart))
            running.callback(lambda: print(proxy.log()))
            return proxy

        yield start


def test_the_new_process_takes_over_with_circuits_of_its_own_and_no_request_is_lost(start_process, upstream):
    old = start_process()
    trip(old, host="broken")
    # A client whose connection stays with the old process, however long the new one takes to start.
    loyal = httpx.Client(base_url=old.url, headers={"host": "broken"}, limits=httpx.Limits(keepalive_expiry=None))
    assert_rejected(loyal.get("/"), circuit="broken")

    with contextlib.closing(loyal), Crowd(old.port, 3, "/hold", requests_each=1) as slow, Load(old.port, "backend", 100) as load:
        wait_until(lambda: upstream.in_flight == 3 and load.replies[200] >= 20)
        new = start_process()
        assert_rejected(loyal.get("/"), circuit="broken")
        assert "broken" not in new.circuits()
        # Whoever comes now comes to the new one. Its metrics have the old one's added, its windows have not.
        wait_until(lambda: new.circuits().get("backend", {"requests": 0})["requests"] >= 50)
        upstream.release()
        wait_until(lambda: slow.replies == {200: 3})
        load.end()
    wait_until(lambda: new.metric("successes") == load.sent + 3)
    wait_until(lambda: [new.metric(each, "broken") for each in ("opened", "failures", "rejected")] == [1, 5, 2])
    with Load(new.port, "backend", 100) as after:
        old.wait()
        after.end()

    assert (load.replies, after.replies) == ({200: load.sent}, {200: after.sent})
    wait_until(lambda: new.metric("successes") == load.sent + 3 + after.sent)
    assert upstream.calls == 5 + 3 + load.sent + after.sent
    assert [new.metric(each) for each in ("failures", "ignored", "stale_results", "rejected")] == [0] * 4
    assert new.get(host="broken").status_code == 200
    assert new.circuit("broken")["state"] == "closed"


def test_counts_go_on_and_the_gauge_is_right_once_the_old_process_is_gone(start_process):
    old = start_process()
    trip(old)
    assert_rejected(old.get())
    wait_until(lambda: old.metric("rejected") == 1)

    new = start_process()
    assert new.get().status_code == 200
    # Envoy adds the old one's for as long as that is there.
    wait_until(lambda: new.metric("state") == 1)
    old.wait()

    wait_until(lambda: new.metric("state") == 0)
    assert [new.metric(each) for each in ("opened", "rejected", "failures")] == [1, 1, 5]
    circuit = new.circuit()
    assert (circuit["state"], circuit["generation"], circuit["rejected"], circuit["failures_total"]) == ("closed", 0, 1, 5)
    trip(new)
    wait_for_state(new, "open")
    wait_until(lambda: (new.metric("state"), new.metric("opened")) == (1, 2))
