from rig.config import cluster, plugin
from rig.crowd import Crowd
from rig.wait import wait_until

STREAMS = 20


def test_one_lost_connection_with_20_streams_is_no_outage(start, upstream):
    # One worker, so one connection to the upstream.
    proxy = start(cluster("backend", upstream, http2=True), plugin=plugin(), concurrency=1)

    with Crowd(proxy.port, 2, "/") as happy, Crowd(proxy.port, STREAMS, "/hold", requests_each=1) as unlucky:
        wait_until(lambda: upstream.calls_to("/hold") == STREAMS)
        assert upstream.connections == 1
        # More than its failures will be, so that the failure ratio stays below a half.
        wait_until(lambda: happy.replies[200] >= 10 * STREAMS, timeout=60)

        upstream.kill_connections()

        wait_until(lambda: unlucky.replies[503] == STREAMS)
        before = happy.replies[200]
        wait_until(lambda: happy.replies[200] >= before + 100, timeout=60)

    assert proxy.circuit()["state"] == "closed"
    wait_until(lambda: proxy.metric("failures") >= STREAMS)
    assert proxy.metric("opened") == 0
    assert happy.replies["open"] == 0
