//! The document as a whole.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::json;

use super::policy::Policy;
use super::quantity::{Size, UpToAMinute};
use super::{builtin, defaults, plain};

/// The configuration of the fusebox filter, as JSON text (`google.protobuf.StringValue`). Every
/// field is optional.
///
/// In a `google.protobuf.Struct` a number may be text and null means absent, which this schema does
/// not know. Nor can a schema say: that a field is given once; that `open.max_duration` is not
/// shorter than `open.duration`; that `trip.slow_ratio` needs `classify.slow_after`, where either
/// may be inherited; that a range of statuses does not run backwards; that no pointer of
/// `annotate_json` lies within another. The filter refuses those too, and `fusebox check` says
/// where they are.
#[derive(JsonSchema)]
#[schemars(
    title = "fusebox configuration",
    deny_unknown_fields,
    transform = defaults(builtin("")),
)]
pub(super) struct Document {
    /// Plugins with the same vm_id and namespace share circuits.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]{1,64}$"))]
    namespace: String,
    /// The longest-idle closed circuit makes room for another.
    #[schemars(range(min = 1, max = 4_096), transform = plain)]
    max_circuits: u16,
    /// The policy of every circuit.
    defaults: Policy,
    /// What differs from `defaults`, by the name of a cluster or a pattern with one `*`. An exact
    /// name wins, then the pattern with the most literal characters. Built in are `inbound|*`,
    /// `PassthroughCluster` and `BlackHoleCluster`, with mode `off`.
    #[schemars(extend("propertyNames" = { "pattern": r"^(?:[^*]+\*?|\*)[^*]*$" }))]
    circuits: BTreeMap<String, Policy>,
    cache: Cache,
    /// The page that shows the circuits. Absent or null: there is none.
    #[schemars(extend("default" = null))]
    status: Option<Status>,
    /// Who is told of transitions, besides the log.
    #[schemars(extend("default" = null))]
    events: Option<Events>,
}

/// Of all cached replies of the namespace.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, inline, transform = defaults(builtin("/cache")))]
struct Cache {
    /// The budget.
    max_bytes: Size<{ 1 << 20 }, { 4 << 30 }>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, inline, transform = defaults(builtin("/status")))]
struct Status {
    /// Where the page is, without a slash at its end.
    #[schemars(regex(pattern = r#"^/[!"$->@-~]*[!"$-.0->@-~]$"#))]
    path: String,
    /// Answer even where a route leads to a cluster.
    everywhere: bool,
    /// The SHA-256 of the token with which states can be forced, as `printf %s TOKEN | sha256sum`
    /// prints it. Null: nobody can.
    #[schemars(
        regex(pattern = "^[0-9A-Fa-f]{64}$"),
        extend("not" = { "type": "string", "pattern": of_nothing() }),
    )]
    control_token_sha256: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, inline, transform = defaults(json!({})))]
struct Events {
    /// Each transition is posted there as JSON.
    #[schemars(extend("default" = null))]
    webhook: Option<Webhook>,
}

#[derive(JsonSchema)]
#[schemars(
    deny_unknown_fields,
    inline,
    transform = defaults(json!({ "path": "/", "timeout": "1s" })),
    transform = needs_host,
)]
struct Webhook {
    /// The name of one of Envoy's clusters.
    #[schemars(length(min = 1))]
    cluster: String,
    /// With its query, if it has one.
    #[schemars(regex(pattern = r#"^/[!"$-~]*$"#))]
    path: String,
    /// The host, for the header that names it. By default the last part of the cluster's name, as
    /// in `outbound|80||alerts.svc`; needed where that is no host.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._:\[\]-]+$"))]
    authority: String,
    /// What takes longer is not sent again.
    timeout: UpToAMinute,
}

fn needs_host(schema: &mut schemars::Schema) {
    schema.insert("required".to_owned(), json!(["cluster"]));
    let is_host =
        json!({ "properties": { "cluster": { "pattern": r"(?:^|\|)[A-Za-z0-9._:\[\]-]+$" } } });
    schema.insert("anyOf".to_owned(), json!([{ "required": ["authority"] }, is_host]));
}

/// The hash of an empty token, in any case.
fn of_nothing() -> String {
    let digit = |digit: char| match digit {
        'a'..='f' => format!("[{}{digit}]", digit.to_ascii_uppercase()),
        _ => digit.to_string(),
    };
    format!("^{}$", super::super::OF_NOTHING.chars().map(digit).collect::<String>())
}
