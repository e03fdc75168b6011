"""Other filters: off, but for the endings that name them."""

TYPE = "type.googleapis.com/envoy.extensions.filters.http"
ON = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}


def abort(name):
    percentage = {"numerator": 100}
    return filter_(name, "fault.v3.HTTPFault", abort={"http_status": 503, "percentage": percentage})


def filter_(name, type_, **config):
    return {"name": name, "disabled": True, "typed_config": {"@type": f"{TYPE}.{type_}", **config}}


EARLIER = [abort("earlier_abort")]
LATER = [
    abort("abort"),
    filter_(
        "unauthorized",
        "lua.v3.Lua",
        default_source_code={
            "inline_string": """
                function envoy_on_request(request)
                  request:respond({[":status"] = "401"}, "who are you?")
                end"""
        },
    ),
    filter_("forbidden", "rbac.v3.RBAC", rules={"action": "ALLOW"}),
    filter_(
        "limit",
        "local_ratelimit.v3.LocalRateLimit",
        stat_prefix="limit",
        token_bucket={"max_tokens": 1, "fill_interval": "3600s"},
        filter_enabled={"default_value": {"numerator": 100}},
        filter_enforced={"default_value": {"numerator": 100}},
    ),
    filter_("buffer", "buffer.v3.Buffer", max_request_bytes=10),
]
