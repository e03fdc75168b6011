"""The answer of a filter between the circuit breaker and the router says nothing about the upstream."""

import pytest

from e2e.words import trip, wait_for_state
from rig.config import cluster, plugin

TYPE = "type.googleapis.com/envoy.extensions.filters.http"

# Each can be switched on for one request by the header x-later, or by the runtime key `limit`.
DENY = {
    "name": "envoy.filters.http.lua",
    "typed_config": {
        "@type": f"{TYPE}.lua.v3.Lua",
        "default_source_code": {
            "inline_string": """
                function envoy_on_request(request)
                  if request:headers():get("x-later") == "deny" then
                    request:respond({[":status"] = "401"}, "denied")
                  end
                end"""
        },
    },
}
ABORT = {
    "name": "envoy.filters.http.fault",
    "typed_config": {
        "@type": f"{TYPE}.fault.v3.HTTPFault",
        "abort": {"http_status": 503, "percentage": {"numerator": 100}},
        "headers": [{"name": "x-later", "string_match": {"exact": "abort"}}],
    },
}
LIMIT = {
    "name": "envoy.filters.http.local_ratelimit",
    "typed_config": {
        "@type": f"{TYPE}.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "later",
        "token_bucket": {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "3600s"},
        "filter_enabled": {"default_value": {"numerator": 100}},
        "filter_enforced": {"default_value": {"numerator": 0}, "runtime_key": "limit"},
    },
}


@pytest.mark.parametrize("reply, status", [("deny", 401), ("limit", 429), ("abort", 503)])
def test_its_reply_to_a_probe_neither_closes_nor_reopens_the_circuit(start, upstream, reply, status):
    proxy = start(cluster("backend", upstream), plugin=plugin(), later_filters=[DENY, ABORT, LIMIT])
    trip(proxy)
    wait_for_state(proxy, "half-open")

    proxy.set_runtime(limit=100 if reply == "limit" else 0)
    for _ in range(3):
        assert proxy.get("/probe", headers={"x-later": reply}).status_code == status
    proxy.set_runtime(limit=0)

    assert {each["circuit_breaker"] for each in proxy.logged("/probe")} == {"probe"}
    assert upstream.calls_to("/probe") == 0
    assert proxy.circuit()["state"] == "half-open"
    assert (proxy.metric("opened"), proxy.metric("closed")) == (1, 0)
    assert proxy.get().status_code == 200
    wait_for_state(proxy, "closed")
