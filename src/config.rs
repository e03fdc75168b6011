//! The configuration: bytes in, checked types out, or one line that says what is wrong.
//!
//! The built-in defaults are a document like the user's, `config/defaults.json`, so that they read
//! as they are documented and pass through the same checks. What `status` says there holds for
//! what a given `status` leaves out; without one there is no status page.
//!
//! * `source`: the bytes, JSON or protobuf, as one kind of `value`.
//! * `node`: a place in the document, over the layers it inherits from.
//! * `policy`, `trip`, `classify`, `fallback`, `reject`: how a circuit behaves. `names`: which policy a cluster gets.
//! * `events`: who is told.
//!
//! Strict on purpose: a field that is misspelled, of the wrong type or out of range would protect
//! nobody, and that would only show in the next outage.

mod cache;
mod classify;
mod error;
mod events;
mod fallback;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod names;
mod node;
mod policy;
mod protobuf;
mod reject;
#[cfg(feature = "cli")]
pub mod schema;
mod source;
mod trip;
mod units;
mod value;

pub use error::ConfigError;
pub use events::Webhook;
pub use policy::{CircuitPolicy, Mode};
pub use reject::Reject;
pub use units::{DAY, duration};

use std::rc::Rc;

use names::Names;
use node::Node;

/// The most that `max_circuits` may be.
pub const MAX_CIRCUITS: u16 = 4_096;
const DEFAULTS: &str = include_str!("config/defaults.json");

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which circuits are shared with other plugins of the same VM.
    pub namespace: String,
    pub max_circuits: u16,
    /// `None`: there is no status page.
    pub status: Option<Status>,
    /// The budget of all cached replies.
    pub cache_bytes: u64,
    /// `None`: transitions are logged and no more.
    pub webhook: Option<Webhook>,
    names: Names,
}

/// The page that shows the circuits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Begins with a slash and does not end in one.
    pub path: String,
    /// Answer even where a route leads to a cluster.
    pub everywhere: bool,
    /// The SHA-256 of the token with which states can be forced; `None`: nobody can.
    pub control_token: Option<[u8; 32]>,
}

impl Config {
    /// Nothing at all is a configuration too: the defaults.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let (document, source) = source::read(bytes)?;
        let builtin = source::json(DEFAULTS.as_bytes())?;
        let root = Node::root(&document, &builtin, source);
        let [namespace, max_circuits, defaults, circuits, cache, status, events] =
            root.fields([
                "namespace",
                "max_circuits",
                "defaults",
                "circuits",
                "cache",
                "status",
                "events",
            ])?;
        Ok(Self {
            namespace: namespace.text(
                "a namespace",
                "1 to 64 characters of A-Z a-z 0-9 . _ -",
                |text| is_namespace(text).then(|| text.to_owned()),
            )?,
            max_circuits: max_circuits
                .whole(1..=MAX_CIRCUITS.into(), |most| u16::try_from(most).ok())?,
            names: Names::read(&circuits, &defaults)?,
            cache_bytes: cache::read_budget(&cache)?,
            status: status.if_given(Status::read)?,
            webhook: events.if_given(events::read)?.flatten(),
        })
    }

    /// The policy of a cluster: `names` says which one that is.
    pub fn policy(&self, cluster: &str) -> Rc<CircuitPolicy> {
        Rc::clone(self.names.policy(cluster))
    }

    /// The clusters that are named exactly, in the order of their names.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.names.exact()
    }

    /// What is said of clusters by name or pattern, with whether it is built in.
    #[cfg(feature = "cli")]
    pub fn entries(&self) -> impl Iterator<Item = (String, &CircuitPolicy, bool)> {
        self.names.entries()
    }

    /// The policy of clusters that no entry names.
    #[cfg(feature = "cli")]
    pub fn defaults(&self) -> &CircuitPolicy {
        self.names.defaults()
    }

    /// Whether any circuit may answer from the cache.
    pub fn has_cache(&self) -> bool {
        self.names.policies().any(|policy| policy.cache().is_some())
    }

    /// Whether any of them tells requests apart by their bodies.
    pub fn reads_bodies(&self) -> bool {
        let mut caches = self.names.policies().filter_map(|policy| policy.cache());
        caches.any(|rules| rules.request_body)
    }

    /// The mode of circuits that no entry says otherwise of.
    pub fn mode(&self) -> Mode {
        self.names.defaults().mode
    }
}

impl Status {
    fn read(at: &Node<'_>) -> Result<Self, ConfigError> {
        let [path, everywhere, control_token] =
            at.fields(["path", "everywhere", "control_token_sha256"])?;
        Ok(Self {
            path: path.text(
                "a path",
                r##"one that begins with "/", does not end in "/" and has no "?", "#" or space"##,
                |text| is_path(text).then(|| text.to_owned()),
            )?,
            everywhere: everywhere.flag()?,
            control_token: control_token.nullable(|at| {
                // What stands there may be the token itself: it is not shown.
                at.text("", "", digest).map_err(|_| at.refused(NO_DIGEST))
            })?,
        })
    }
}

const NO_DIGEST: &str = "not the SHA-256 of a token, expected 64 hexadecimal digits, as `printf %s TOKEN \
     | sha256sum` prints them, or null";
/// What `sha256sum` prints where the token is empty: a variable that was not set.
const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let is_hex = hex.len() == 64
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !hex.eq_ignore_ascii_case(OF_NOTHING);
    for (place, byte) in digest.iter_mut().enumerate().filter(|_| is_hex) {
        *byte = u8::from_str_radix(hex.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    is_hex.then_some(digest)
}

/// It becomes part of every key in shared data.
fn is_namespace(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=64).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn is_path(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_graphic() && b != b'?' && b != b'#';
    text.starts_with('/') && !text.ends_with('/') && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::value::Value;
    use super::*;
    use proptest::prelude::*;

    /// The policy that `json` gives `cluster`.
    pub(super) fn policy(json: &str, cluster: &str) -> Rc<CircuitPolicy> {
        parse(json).policy(cluster)
    }

    /// The line that refuses `json`.
    pub(super) fn error(json: &str) -> String {
        Config::parse(json.as_bytes()).unwrap_err().to_string()
    }

    /// `field` of `defaults` set to `json`, at any depth.
    pub(super) fn with(field: &str, json: &str) -> String {
        let nested = field
            .rsplit('.')
            .fold(json.to_owned(), |inner, field| format!("{{\"{field}\": {inner}}}"));
        format!("{{\"defaults\": {nested}}}")
    }

    pub(super) fn accepts(field: &str, json: &str) {
        policy(&with(field, json), "any");
    }

    pub(super) fn refuses(field: &str, json: &str, problem: &str) {
        assert_eq!(error(&with(field, json)), format!("defaults.{field}: {problem}"));
    }

    /// Both `ends` are taken for `field`, and neither of what lies `beyond`.
    pub(super) fn is_bounded(field: &str, ends: [&str; 2], beyond: [&str; 2], expected: &str) {
        for end in ends {
            accepts(field, end);
        }
        for beyond in beyond {
            refuses(field, beyond, &format!("{beyond} is out of range, expected {expected}"));
        }
    }

    fn parse(json: &str) -> Config {
        Config::parse(json.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same document as Envoy delivers it from YAML in a `Struct`.
    fn as_struct(json: &str) -> Vec<u8> {
        protobuf::encode::as_yaml(&serde_json::from_str::<Value>(json).unwrap())
    }

    fn struct_error(json: &str) -> String {
        Config::parse(&as_struct(json)).unwrap_err().to_string()
    }

    #[test]
    fn nothing_is_a_configuration() {
        let config = parse("");
        assert_eq!((config.namespace.as_str(), config.max_circuits), ("default", 1_024));
        assert_eq!((config.status.as_ref(), config.mode()), (None, Mode::Enforce));
        for same in ["{}", " \n", r#"{"circuits": {}, "defaults": {}, "status": null}"#] {
            assert_eq!(parse(same), config, "{same:?}");
        }
    }

    #[test]
    fn the_built_in_defaults_say_nothing_a_user_could_not() {
        let explicit = parse(DEFAULTS);
        assert_eq!(explicit.policy("any"), parse("").policy("any"));
        assert!(explicit.status.is_some());
    }

    #[test]
    fn a_status_that_is_given_is_on() {
        let status = |json| parse(json).status.unwrap();
        let defaults =
            Status { path: "/-/circuit-breakers".into(), everywhere: false, control_token: None };
        assert_eq!(status(r#"{"status": {}}"#), defaults);
        let path = "/a%20b/c.d".to_owned();
        assert_eq!(
            status(r#"{"status": {"path": "/a%20b/c.d", "everywhere": true}}"#),
            Status { path, everywhere: true, control_token: None }
        );
    }

    #[test]
    fn a_status_path_is_one() {
        for path in ["", "/", "a", "/a/", "/a?b", "/a#b", "/a b", "/é"] {
            assert_eq!(
                error(&format!(r#"{{"status": {{"path": "{path}"}}}}"#)),
                format!(
                    "status.path: \"{path}\" is not a path, expected one that begins with \"/\", \
                     does not end in \"/\" and has no \"?\", \"#\" or space"
                )
            );
        }
        assert_eq!(
            error(r#"{"status": {"everywhere": "yes"}}"#),
            r#"status.everywhere: "yes" is not a boolean, expected true or false"#
        );
        assert_eq!(
            error(r#"{"status": {"token": null}}"#),
            "status.token: unknown field, expected one of path, everywhere, control_token_sha256"
        );
    }

    #[test]
    fn a_control_token_is_given_by_its_sha_256() {
        let token = |value: &str| {
            let json = format!(r#"{{"status": {{"control_token_sha256": {value}}}}}"#);
            Config::parse(json.as_bytes()).map(|config| config.status.unwrap().control_token)
        };
        assert_eq!(token("null").unwrap(), None);
        let hex = format!("\"0aF1{}\"", "00".repeat(30));
        assert_eq!(token(&hex).unwrap().unwrap()[..3], [0x0a, 0xf1, 0]);
        let of_nothing = format!("\"{OF_NOTHING}\"");
        for wrong in ["\"secret\"", "7", &format!("\"{}\"", "0g".repeat(32)), &of_nothing] {
            assert_eq!(
                token(wrong).unwrap_err().to_string(),
                "status.control_token_sha256: not the SHA-256 of a token, expected 64 hexadecimal \
                 digits, as `printf %s TOKEN | sha256sum` prints them, or null"
            );
        }
    }

    #[test]
    fn a_namespace_is_short_and_plain() {
        let longest = "aZ09._-".repeat(10).split_off(6);
        assert_eq!(longest.len(), 64);
        parse(&format!(r#"{{"namespace": "{longest}"}}"#));
        for bad in ["", "a/b", "é", "a b"] {
            assert_eq!(
                error(&format!(r#"{{"namespace": "{bad}"}}"#)),
                format!(
                    "namespace: \"{bad}\" is not a namespace, expected 1 to 64 characters of \
                     A-Z a-z 0-9 . _ -"
                )
            );
        }
        let line = error(&format!(r#"{{"namespace": "{longest}a"}}"#));
        assert!(line.contains(&format!("\"{}…\" is not a namespace", &longest[..60])), "{line}");
    }

    #[test]
    fn max_circuits_has_two_ends() {
        assert_eq!(parse(r#"{"max_circuits": 1}"#).max_circuits, 1);
        assert_eq!(parse(r#"{"max_circuits": 4096}"#).max_circuits, 4_096);
        for beyond in ["0", "4097", "1e10"] {
            let line = error(&format!(r#"{{"max_circuits": {beyond}}}"#));
            assert!(line.ends_with("is out of range, expected 1 to 4096"), "{line}");
        }
    }

    #[test]
    fn an_error_names_path_value_and_what_was_expected() {
        let trip = |trip| error(&format!(r#"{{"circuits": {{"hf_api": {{"trip": {trip}}}}}}}"#));
        assert_eq!(
            trip(r#"{"failure_ratio": {"ratio": 1.5}}"#),
            "circuits.hf_api.trip.failure_ratio.ratio: 1.5 is out of range, expected more than 0 \
             and at most 1"
        );
        assert_eq!(
            trip(r#"{"failure_ration": {}}"#),
            "circuits.hf_api.trip.failure_ration: unknown field, expected one of \
             consecutive_failures, failure_ratio, failures, slow_ratio; did you mean `failure_ratio`?"
        );
        assert_eq!(
            error(r#"{"circuits": {"outbound|80||a.b": {"mode": 1}}}"#),
            "circuits.\"outbound|80||a.b\".mode: 1 is not a mode, expected \"enforce\", \"shadow\" or \"off\""
        );
        assert_eq!(
            error(r#"{"event": {}}"#),
            "event: unknown field, expected one of namespace, max_circuits, defaults, circuits, \
             cache, status, events; did you mean `events`?"
        );
        assert_eq!(error("[]"), "configuration: a list is not an object, expected named fields");
        assert_eq!(
            error(r#"{"circuits": null}"#),
            "circuits: null is not an object, expected named fields"
        );
        assert_eq!(
            error(r#"{"circuits": {"a": null}}"#),
            "circuits.a: null is not an object, expected named fields"
        );
    }

    #[test]
    fn a_field_given_twice_is_refused() {
        assert_eq!(
            error(r#"{"circuits": {"a": {}, "b": {}, "a": {"mode": "off"}}}"#),
            "circuits.a: given twice, expected once"
        );
        assert_eq!(
            error(r#"{"defaults": {"open": {"jitter": 0, "jitter": 0}}}"#),
            "defaults.open.jitter: given twice, expected once"
        );
    }

    const DOCUMENT: &str = r#"{
        "namespace": "edge", "max_circuits": 12.0,
        "defaults": {
            "trip": {"failure_ratio": {"ratio": 0.25, "window": "5s"}},
            "open": {"multiplier": 1.5, "jitter": 0.125},
            "reject": {"status": 429, "headers": {"x-b": "5", "x-a": "6"}, "body": "5"}
        },
        "circuits": {"b": {"half_open": {"probes": 2}}, "a": {}, "out|*": {"mode": "off"}},
        "status": {"everywhere": true}
    }"#;

    #[test]
    fn json_and_struct_of_one_document_are_the_same_configuration() {
        let config = Config::parse(&as_struct(DOCUMENT)).unwrap();
        assert_eq!(config, parse(DOCUMENT));
        assert_eq!(config.policy("a").reject.body.as_deref(), Some("5"));
    }

    #[test]
    fn in_a_struct_and_only_there_text_can_be_a_number() {
        let document = r#"{"max_circuits": "12", "defaults": {"open": {"jitter": ".5"}}}"#;
        assert_eq!(Config::parse(&as_struct(document)).unwrap().max_circuits, 12);
        assert_eq!(
            error(document),
            "max_circuits: \"12\" is not a whole number, expected 1 to 4096"
        );
        assert_eq!(
            struct_error(r#"{"max_circuits": 4294967296}"#),
            "max_circuits: 4294967296 is out of range, expected 1 to 4096"
        );
        for text in ["", "x", "nan", "inf", "1_000"] {
            assert_eq!(
                struct_error(&format!(r#"{{"max_circuits": "{text}"}}"#)),
                format!("max_circuits: \"{text}\" is not a whole number, expected 1 to 4096")
            );
        }
    }

    #[test]
    fn in_a_struct_and_only_there_null_is_absent() {
        let document = r#"{
            "namespace": null, "status": null,
            "defaults": {
                "trip": null, "open": {"jitter": null},
                "reject": {"headers": {"x-a": "1"}, "body": "busy"}
            },
            "circuits": {
                "a": {"reject": {"headers": {"x-a": null}, "body": null}}, "inbound|*": null
            }
        }"#;
        let config = Config::parse(&as_struct(document)).unwrap();
        assert_eq!((config.namespace.as_str(), config.status.as_ref()), ("default", None));
        assert_eq!(config.policy("a").breaker, parse("").policy("a").breaker);
        let Reject { headers, body, .. } = config.policy("a").reject.clone();
        assert_eq!((headers.len(), body.as_deref()), (1, Some("busy")));
        // A name is given all the same, with nothing that differs.
        assert_eq!(config.policy("inbound|80||").mode, Mode::Enforce);
        assert_eq!(
            error(document),
            "namespace: null is not a namespace, expected 1 to 64 characters of A-Z a-z 0-9 . _ -"
        );
    }

    #[test]
    fn a_struct_is_refused_in_the_same_words() {
        let document = r#"{"circuits": {"hf_api": {"trip": {"failure_ratio": {"ratio": 1.5}}}}}"#;
        assert_eq!(struct_error(document), error(document));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_configuration_or_an_error_of_one_line(
            bytes: Vec<u8>, at in 0_usize..400, cut in 0_usize..400,
        ) {
            for mut document in [DOCUMENT.as_bytes().to_vec(), as_struct(DOCUMENT)] {
                let at = at.min(document.len());
                let end = (at + cut % 8).min(document.len());
                document.splice(at..end, bytes.iter().copied().take(3));
                for bytes in [&bytes, &document] {
                    if let Err(error) = Config::parse(bytes) {
                        prop_assert!(!error.to_string().contains('\n'));
                    }
                }
            }
        }

        #[test]
        fn any_cluster_has_a_policy(cluster: String) {
            parse(DOCUMENT).policy(&cluster);
        }
    }
}
