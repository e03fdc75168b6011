"""Calls that take longer than `slow_after`, by their own fault or not."""

import time

from e2e.endings.client import read
from e2e.endings.details import LEFT
from e2e.endings.ending import ending
from rig.wait import wait_until

SLOW = {"classify": {"slow_after": "500ms"}}
LATE = 0.8


@ending(200, policy=SLOW)
def event_stream(client):
    client.get(f"/events/{LATE}")


@ending(200, policy=SLOW)
def slow_upload(client):
    with client.sends("POST /status/200", "content-length: 8") as connection:
        for _ in range(8):
            time.sleep(LATE / 8)
            connection.sendall(b".")
        read(connection, until=b"200 from the upstream\n")


@ending(200, policy=SLOW)
def late_200(client):
    client.get(f"/delay/{LATE}")


@ending(503, policy=SLOW)
def late_503(client):
    client.get(f"/delay/{LATE}/status/503")


@ending(504, "response_timeout", "UT", policy=SLOW, route={"timeout": f"{LATE}s"})
def hang(client):
    with client.sends("GET /hang") as connection:
        wait_until(lambda: client.metric("slow") == 1)
        read(connection, until=b"upstream request timeout")


@ending(0, LEFT, "DC", policy=SLOW)
def hang_until_the_client_leaves(client):
    with client.sends("GET /hang"):
        wait_until(lambda: client.metric("slow") == 1)
