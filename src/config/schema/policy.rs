//! How a circuit behaves.

use schemars::{JsonSchema, json_schema};
use serde_json::json;

use super::fallback::{Fallback, ReplyHeaders, Status};
use super::quantity::{UpToADay, Wait, Window};
use super::{builtin, defaults, plain};
use crate::breaker::MAX_PROBES;
use crate::classify::GrpcStatus;

/// How a circuit behaves. What an entry of `circuits` leaves out is as in `defaults`, and what those
/// leave out as the default shown.
#[derive(JsonSchema)]
#[schemars(rename = "policy", deny_unknown_fields, transform = defaults(builtin("/defaults")))]
pub(super) struct Policy {
    /// `shadow` decides all the same, but lets every request pass; `off` counts nothing.
    mode: Mode,
    #[schemars(extend("default" = builtin("/defaults/trip")))]
    trip: Trip,
    open: Open,
    half_open: HalfOpen,
    classify: Classify,
    /// What answers instead, tried in order. Given at all, it replaces the inherited chain.
    #[schemars(
        length(max = 8),
        extend("contains" = { "required": ["cache"] }, "minContains" = 0, "maxContains" = 1),
    )]
    fallback: Vec<Fallback>,
    reject: Reject,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "lowercase")]
enum Mode {
    Enforce,
    Shadow,
    Off,
}

/// When a circuit opens: any of the rules trips it, and one has to be on. Given at all, it replaces
/// the inherited rules.
#[derive(JsonSchema)]
#[schemars(
    rename = "trip",
    deny_unknown_fields,
    transform = defaults(json!({
        "consecutive_failures": null, "failure_ratio": null, "failures": null, "slow_ratio": null
    })),
    extend("anyOf" = any_rule()),
)]
struct Trip {
    /// So many failures without a success between them.
    #[schemars(range(min = 1, max = 1_000_000), transform = plain)]
    consecutive_failures: Option<u32>,
    failure_ratio: Option<FailureRatio>,
    failures: Option<Failures>,
    /// Needs `classify.slow_after`.
    slow_ratio: Option<SlowRatio>,
}

fn any_rule() -> serde_json::Value {
    let rules = ["consecutive_failures", "failure_ratio", "failures", "slow_ratio"];
    let is_on = |rule: &str| json!({ "required": [rule], "properties": { rule: { "not": { "type": "null" } } } });
    rules.map(is_on).into_iter().collect()
}

/// Such a share of the requests within the window failed.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    inline,
    transform = defaults(builtin("/defaults/trip/failure_ratio")),
)]
struct FailureRatio {
    /// From which share on: more than 0, at most 1.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1), transform = plain)]
    ratio: f64,
    /// With fewer requests the rule does not look.
    #[schemars(range(min = 1, max = 1_000_000), transform = plain)]
    minimum_requests: u32,
    /// In ten buckets.
    window: Window,
}

/// So many failures within the window, whatever succeeds in between.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    inline,
    transform = defaults(json!({ "count": 5, "window": "60s" })),
)]
struct Failures {
    /// From how many on.
    #[schemars(range(min = 1, max = 1_000_000), transform = plain)]
    count: u32,
    /// In ten buckets.
    window: Window,
}

/// Such a share of the requests within the window was slow.
#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    inline,
    transform = defaults(json!({ "ratio": 0.8, "minimum_requests": 20, "window": "10s" })),
)]
struct SlowRatio {
    /// From which share on: more than 0, at most 1.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1), transform = plain)]
    ratio: f64,
    /// With fewer requests the rule does not look.
    #[schemars(range(min = 1, max = 1_000_000), transform = plain)]
    minimum_requests: u32,
    /// In ten buckets.
    window: Window,
}

/// How long an open circuit waits before it lets a probe through.
#[derive(JsonSchema)]
#[schemars(rename = "open", deny_unknown_fields, transform = defaults(builtin("/defaults/open")))]
struct Open {
    /// The n-th opening in a row lasts duration * multiplier^(n-1), at most `max_duration`.
    duration: Wait,
    /// By which each wait in a row is longer than the one before.
    #[schemars(range(min = 1, max = 1_000), transform = plain)]
    multiplier: f64,
    /// Not shorter than `duration`.
    max_duration: Wait,
    /// Shortens a wait by up to this share of it.
    #[schemars(range(min = 0, max = 1), transform = plain)]
    jitter: f64,
    /// A Retry-After on the failure that trips lengthens the wait, up to `max_duration`.
    honor_retry_after: bool,
}

/// How an open circuit comes back.
#[derive(JsonSchema)]
#[schemars(
    rename = "half_open",
    deny_unknown_fields,
    transform = defaults(builtin("/defaults/half_open")),
)]
struct HalfOpen {
    /// Probes in flight at most, over all workers together.
    #[schemars(range(min = 1, max = MAX_PROBES), transform = plain)]
    probes: u8,
    /// Probes that must succeed to close.
    #[schemars(range(min = 1, max = 1_000), transform = plain)]
    successes: u32,
    /// A probe without good response headers by then, from the end of its request, has failed.
    probe_timeout: Wait,
    /// Only requests with these are ever probes; null: any.
    #[schemars(length(min = 1), inner(regex(pattern = "^[A-Z_-]{1,32}$")))]
    methods: Option<Vec<String>>,
}

/// What endings count as.
#[derive(JsonSchema)]
#[schemars(
    rename = "classify",
    deny_unknown_fields,
    transform = defaults(builtin("/defaults/classify")),
)]
struct Classify {
    /// Of answers that are failures.
    failure_statuses: Vec<Statuses>,
    /// Count as nothing; win over `failure_statuses`.
    ignore_statuses: Vec<Statuses>,
    /// Of gRPC calls that have failed.
    failure_grpc_statuses: Vec<FailureGrpcStatus>,
    /// A timeout under a shorter deadline of the client's own counts as nothing.
    min_deadline: UpToADay,
    /// A call without response headers by then is slow, from the end of its request; null: none is.
    slow_after: Option<Wait>,
    /// What a client counts as that leaves after `slow_after`, before headers.
    client_disconnect: ClientDisconnect,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "lowercase")]
enum ClientDisconnect {
    Ignore,
    Slow,
}

struct Statuses;

impl JsonSchema for Statuses {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "statuses".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        json_schema!({
            "description": "A number from 100 to 599, a class such as \"5xx\" or a range such as \"500-504\".",
            "anyOf": [
                { "type": "integer", "minimum": 100, "maximum": 599 },
                {
                    "type": "string",
                    "pattern": "^0*(?:[1-5]xx|[1-5][0-9]{2}-0*[1-5][0-9]{2})$",
                },
            ],
        })
    }
}

struct FailureGrpcStatus;

impl JsonSchema for FailureGrpcStatus {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "grpc_status".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let [_, failures @ ..] = GrpcStatus::NAMES;
        json_schema!({
            "description": "A number from 1 to 16 or its name.",
            "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": failures.len() },
                { "enum": failures },
            ],
        })
    }
}

/// What a rejected client gets where nothing better answers.
#[derive(JsonSchema)]
#[schemars(rename = "reject", deny_unknown_fields, transform = defaults(builtin("/defaults/reject")))]
struct Reject {
    /// Of the response.
    status: Status,
    /// To set beside those of fusebox; inherited one by one.
    headers: ReplyHeaders,
    /// Null: a problem document (RFC 9457).
    body: Option<String>,
}
