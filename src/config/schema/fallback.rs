//! What answers in place of an upstream.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::defaults;
use super::quantity::{Duration, HOUR, Size, UpToADay, UpToAMinute};
use crate::config::reject::FRAMING;

/// One of the three.
#[derive(JsonSchema)]
#[schemars(
    rename = "fallback",
    deny_unknown_fields,
    transform = defaults(json!({ "on": ["rejected"] })),
    extend(
        "oneOf" = [{ "required": ["cache"] }, { "required": ["reroute"] }, { "required": ["respond"] }],
        "if" = { "required": ["reroute"] },
        "then" = { "properties": { "on": { "items": { "const": "rejected" } } } },
    ),
)]
pub(super) struct Fallback {
    /// The last good response.
    cache: Cache,
    /// Sends the request to another cluster, if that one's circuit admits it.
    reroute: Reroute,
    /// A fixed answer.
    respond: Respond,
    /// `failed` also replaces failed responses, which reroute cannot.
    #[schemars(length(min = 1))]
    on: Vec<Moment>,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "lowercase")]
enum Moment {
    Rejected,
    Failed,
}

#[derive(JsonSchema)]
#[schemars(
    rename = "cache",
    deny_unknown_fields,
    transform = defaults(json!({
        "methods": ["GET", "HEAD"], "statuses": [200], "max_age": "24h",
        "max_body_bytes": "256KiB", "refresh_after": "1s", "vary_on": [],
        "per_authorization": false, "credential_headers": ["x-api-key", "x-forwarded-client-cert"],
        "request_body": false, "body_wait": "1s", "obey_cache_control": true, "annotate_json": {},
    })),
    extend(
        "if" = { "required": ["methods"], "properties": { "methods": { "contains": { "const": "POST" } } } },
        "then" = { "required": ["request_body"], "properties": { "request_body": { "const": true } } },
    ),
)]
struct Cache {
    /// HEAD is served from GET; POST needs `request_body`.
    #[schemars(extend("contains" = { "enum": ["GET", "POST"] }))]
    methods: Vec<Method>,
    /// Of responses that are stored; failures never are.
    #[schemars(length(min = 1))]
    statuses: Vec<Stored>,
    /// The longest that a reply is served.
    max_age: Duration<1_000, { 168 * HOUR }>,
    /// Longer bodies are not stored.
    max_body_bytes: Size<1, { 256 << 10 }>,
    /// A key is stored again at most this often per worker.
    refresh_after: UpToADay,
    /// Request headers in the key.
    vary_on: Vec<HeaderName>,
    /// The SHA-256 of Authorization is in the key.
    per_authorization: bool,
    /// More names of headers that say who asks.
    credential_headers: Vec<HeaderName>,
    /// The SHA-256 of the request's body is in the key.
    request_body: bool,
    /// The longest that a rejected request waits for its body.
    body_wait: UpToAMinute,
    /// RFC 9111 and RFC 5861; else until `max_age`.
    obey_cache_control: bool,
    /// Values to set in a JSON body, by JSON pointer. None lies within another.
    #[schemars(extend("propertyNames" = { "pattern": "^/(?:[^~]|~[01])*$" }))]
    annotate_json: Map<String, Value>,
}

#[derive(JsonSchema)]
#[schemars(inline, rename_all = "UPPERCASE")]
enum Method {
    Get,
    Head,
    Post,
}

/// Neither a part of a response (206) nor an answer to a condition (304).
struct Stored;

impl JsonSchema for Stored {
    fn schema_name() -> Cow<'static, str> {
        "stored_status".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer", "minimum": 200, "maximum": 499, "not": { "enum": [206, 304] },
        })
    }
}

#[derive(JsonSchema)]
#[schemars(
    rename = "reroute",
    deny_unknown_fields,
    transform = defaults(json!({ "headers": {} })),
    transform = needs_circuit,
)]
struct Reroute {
    /// The name of a cluster: the filter state `wasm.circuit_breaker_route` is set to it.
    #[schemars(regex(pattern = r"^[^*]+$"))]
    circuit: String,
    /// Request headers to set beside it.
    headers: Headers,
}

fn needs_circuit(schema: &mut Schema) {
    schema.insert("required".to_owned(), json!(["circuit"]));
}

#[derive(JsonSchema)]
#[schemars(
    rename = "respond",
    deny_unknown_fields,
    transform = defaults(json!({ "status": 200, "headers": {}, "json": {} })),
    extend("not" = { "required": ["json", "body"] }),
)]
struct Respond {
    /// Of the response.
    status: Status,
    /// To set beside those of fusebox.
    headers: ReplyHeaders,
    /// Any value.
    json: Value,
    /// Text, in place of `json`.
    body: String,
}

/// Of a reply of the filter's own.
pub(super) struct Status;

impl JsonSchema for Status {
    fn schema_name() -> Cow<'static, str> {
        "status".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 200, "maximum": 599 })
    }
}

const HEADER_NAME: &str = "^[a-z0-9!#$%&'*+.^_`|~-]+$";

struct HeaderName;

impl JsonSchema for HeaderName {
    fn schema_name() -> Cow<'static, str> {
        "header_name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": HEADER_NAME })
    }
}

/// Any that Envoy does not set itself.
struct Headers;

/// Nor fusebox.
pub(super) struct ReplyHeaders;

impl JsonSchema for Headers {
    fn schema_name() -> Cow<'static, str> {
        "headers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        headers(json!({ "enum": FRAMING }))
    }
}

impl JsonSchema for ReplyHeaders {
    fn schema_name() -> Cow<'static, str> {
        "reply_headers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        headers(json!({
            "anyOf": [{ "enum": FRAMING }, { "pattern": "^(?:retry-after$|x-circuit-breaker)" }],
        }))
    }
}

/// By name, in lower case; values without control characters and outer spaces.
fn headers(others: Value) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": HEADER_NAME, "not": others },
        "additionalProperties": {
            "type": "string",
            "pattern": r"^(?:[^\u0000-\u0020\u007f-\u009f](?:[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u0020\u007f-\u009f])?)?$",
        },
    })
}
