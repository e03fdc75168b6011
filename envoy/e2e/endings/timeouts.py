"""Envoy's patience ends: with the upstream, which had the whole request and sent no headers, or with a body."""

from e2e.endings.client import an_ordinary_call
from e2e.endings.ending import ending

SHORT = "0.2s"
MAX_DURATION = {"max_stream_duration": {"max_stream_duration": SHORT}}


@ending(504, "response_timeout", "UT", route={"timeout": SHORT})
def route_timeout(client):
    client.get("/hang")


@ending(504, "response_timeout", "UT", row="route_timeout", route={"timeout": SHORT}, given=an_ordinary_call)
def route_timeout_after_an_ordinary_call(client):
    client.get("/hang")


@ending(504, "stream_idle_timeout", "SI", route={"idle_timeout": SHORT})
def idle_timeout(client):
    client.get("/hang")


@ending(504, "max_duration_timeout", route=MAX_DURATION)
def max_duration(client):
    client.get("/hang")


PER_TRY = {"retry_policy": {"retry_on": "5xx", "per_try_timeout": SHORT}}


@ending(504, "upstream_per_try_timeout", "URX,UT", attempts=2, route=PER_TRY)
def per_try_timeouts(client):
    client.get("/hang")


PER_TRY_IDLE = {"retry_policy": {"retry_on": "5xx", "per_try_idle_timeout": SHORT}}


@ending(504, "upstream_per_try_idle_timeout", "URX,UT", row="per_try_timeouts", attempts=2, route=PER_TRY_IDLE)
def per_try_idle_timeouts(client):
    client.get("/hang")


@ending(200, "response_timeout", "UT", route={"timeout": SHORT})
def route_timeout_mid_body(client):
    client.get_in_part("/stall")


@ending(200, "stream_idle_timeout", "SI", route={"idle_timeout": SHORT})
def idle_timeout_mid_body(client):
    client.get_in_part("/stall")


@ending(200, "max_duration_timeout", route=MAX_DURATION)
def max_duration_mid_body(client):
    client.get_in_part("/stall")
