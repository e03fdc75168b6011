"""Slow readers: until some timeout ends what they do not take. For the window of a stream see http2.py."""

import time

from e2e.hostile.disconnects import BIG
from e2e.hostile.kind import kind

SHORT = "0.2s"


@kind("response_timeout", name="never_reads_until_the_routes_timeout", route={"timeout": SHORT})
@kind("stream_idle_timeout", name="never_reads_until_the_idle_timeout", route={"idle_timeout": SHORT})
@kind(
    "max_duration_timeout",
    name="never_reads_until_the_longest_duration",
    route={"max_stream_duration": {"max_stream_duration": SHORT}},
)
def never_reads(target):
    with target.connect(receive_buffer=2048) as connection:
        connection.sendall(target.head(BIG))
        time.sleep(0.3)


@kind("downstream_remote_disconnect")
def reads_a_little_now_and_then(target):
    """For longer than a call may take that is not slow."""
    with target.connect(receive_buffer=2048) as connection:
        connection.sendall(target.head(BIG))
        for _ in range(8):
            time.sleep(0.05)
            connection.recv(100)
