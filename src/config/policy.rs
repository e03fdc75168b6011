//! How one circuit behaves: each object of a policy read into its checked type.
//!
//! To add a field: name it here, give it its default in `defaults.json`.

use std::hash::{Hash, Hasher};
use std::num::{NonZeroU8, NonZeroU32};

use fnv::FnvHasher;
use serde::{Serialize, Serializer};

use super::classify;
use super::error::ConfigError;
use super::fallback;
use super::node::Node;
use super::reject::Reject;
use super::trip;
use super::units::DAY;
use super::value::Value;
use crate::breaker::{Backoff, HalfOpen, Jitter, MAX_PROBES, Multiplier, Policy, PolicyId};
use crate::classify::Rules;
use crate::fallback::{CacheRules, Fallback, Way};
use crate::time::Span;

/// What a cluster name gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitPolicy {
    pub mode: Mode,
    pub breaker: Policy,
    /// Whether a failure's `Retry-After` lengthens the wait.
    pub honor_retry_after: bool,
    /// The methods of requests that may be probes; `None`: any.
    pub probe_methods: Option<Vec<String>>,
    pub classify: Rules,
    /// Tried in order. None where the mode answers nothing.
    pub fallback: Vec<Fallback>,
    pub reject: Reject,
    /// All of it, as it is configured.
    pub document: Document,
}

/// For people to read. How a policy was written makes no difference to what it is.
#[derive(Clone, Debug)]
pub struct Document(Value);

impl PartialEq for Document {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Document {}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

/// Whether a circuit acts on what it decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Enforce,
    /// Decides all the same, and lets everything pass: only says what it would have rejected.
    Shadow,
    /// Passes everything through and counts nothing.
    Off,
}

impl Mode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }

    fn read(at: &Node<'_>) -> Result<Self, ConfigError> {
        at.text("a mode", r#""enforce", "shadow" or "off""#, |text| {
            [Self::Enforce, Self::Shadow, Self::Off].into_iter().find(|mode| mode.as_str() == text)
        })
    }
}

impl CircuitPolicy {
    /// The first cache of the chain: what is stored is stored by its rules.
    pub fn cache(&self) -> Option<&CacheRules> {
        self.fallback.iter().find_map(|fallback| match &fallback.way {
            Way::Cache(rules) => Some(rules),
            Way::Reroute(_) | Way::Respond(_) => None,
        })
    }

    /// Whether a failed response may be replaced.
    pub fn replaces_failures(&self) -> bool {
        self.fallback.iter().any(|fallback| fallback.when.failed)
    }

    pub(super) fn read(at: &Node<'_>) -> Result<Self, ConfigError> {
        let [mode, trip, open, half_open, classify, fallback, reject] =
            at.fields(["mode", "trip", "open", "half_open", "classify", "fallback", "reject"])?;
        let classify = classify::read(&classify)?;
        let (backoff, honor_retry_after) = read_open(&open)?;
        let (half_open, probe_methods) = read_half_open(&half_open)?;
        let trips = trip.replaced_whole();
        let trip = trip::read(&trips, classify.slow_after)?;
        let mode = Mode::read(&mode)?;
        let mut fallback = fallback::read(&fallback)?;
        if mode != Mode::Enforce {
            fallback.clear();
        }
        // How a request is answered may differ between listeners; what a verdict depends on may not.
        let all = (trip, backoff, half_open, honor_retry_after, &probe_methods, classify);
        Ok(Self {
            mode,
            breaker: Policy { id: id_of(&all), trip, open: backoff, half_open },
            honor_retry_after,
            probe_methods,
            classify,
            fallback,
            reject: Reject::read(&reject)?,
            document: Document(at.merged().with("trip", trips.completed())),
        })
    }
}

fn id_of(policy: &impl Hash) -> PolicyId {
    let mut hasher = FnvHasher::default();
    policy.hash(&mut hasher);
    PolicyId(hasher.finish())
}

fn read_open(at: &Node<'_>) -> Result<(Backoff, bool), ConfigError> {
    let [duration, multiplier, max_duration, jitter, honor_retry_after] =
        at.fields(["duration", "multiplier", "max_duration", "jitter", "honor_retry_after"])?;
    let wait = read_wait(&duration)?;
    let longest = read_wait(&max_duration)?;
    let multiplier = multiplier.number("1 to 1000", Multiplier::new)?;
    let jitter = jitter.number("0 to 1", Jitter::new)?;
    let backoff = Backoff::new(wait, multiplier, longest, jitter).ok_or_else(|| {
        // Who raises the wait past a cap they never named has to be told where it came from.
        let origin = if max_duration.is_below(&duration) { " (inherited)" } else { "" };
        max_duration.refused(&format!(
            "\"{longest}\"{origin} is shorter than duration, expected at least \"{wait}\""
        ))
    })?;
    Ok((backoff, honor_retry_after.flag()?))
}

fn read_half_open(at: &Node<'_>) -> Result<(HalfOpen, Option<Vec<String>>), ConfigError> {
    let [probes, successes, probe_timeout, methods] =
        at.fields(["probes", "successes", "probe_timeout", "methods"])?;
    let half_open = HalfOpen {
        probes: probes.whole(1..=MAX_PROBES as u32, |probes| {
            u8::try_from(probes).ok().and_then(NonZeroU8::new)
        })?,
        successes: successes.whole(1..=1_000, NonZeroU32::new)?,
        probe_timeout: read_wait(&probe_timeout)?,
    };
    Ok((half_open, methods.nullable(read_methods)?))
}

/// Methods are case-sensitive, and all that are registered are in capitals (RFC 9110, 9.1).
fn read_methods(at: &Node<'_>) -> Result<Vec<String>, ConfigError> {
    const EXPECTED: &str = r#"some such as ["GET", "HEAD"], or null for any"#;
    let is_method = |text: &str| {
        let is_allowed = |b: u8| b.is_ascii_uppercase() || b"-_".contains(&b);
        (1..=32).contains(&text.len()) && text.bytes().all(is_allowed)
    };
    let methods = at.list("a list of methods", EXPECTED, |item| {
        item.text("a method", "one in capitals such as \"GET\"", |text| {
            is_method(text).then(|| text.to_owned())
        })
    })?;
    if methods.is_empty() {
        return Err(at.refused(&format!("no method is a probe, expected {EXPECTED}")));
    }
    Ok(methods)
}

fn read_wait(at: &Node<'_>) -> Result<Span, ConfigError> {
    let range = Span::from_millis(1)..=DAY;
    at.duration(r#""1ms" to "24h""#, |span| range.contains(&span).then_some(span))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{accepts, error, is_bounded, policy, refuses, with};
    use super::*;

    fn backoff(secs: u64, multiplier: f64, longest: u64, jitter: f64) -> Backoff {
        Backoff::new(
            Span::from_secs(secs),
            Multiplier::new(multiplier).unwrap(),
            Span::from_secs(longest),
            Jitter::new(jitter).unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn without_configuration_the_documented_defaults_hold() {
        let policy = policy("", "any");
        assert_eq!(policy.mode, Mode::Enforce);
        assert_eq!(policy.breaker.open, backoff(30, 2.0, 300, 0.1));
        assert_eq!(
            policy.breaker.half_open,
            HalfOpen {
                probes: NonZeroU8::MIN,
                successes: NonZeroU32::MIN,
                probe_timeout: Span::from_secs(30)
            }
        );
        assert_eq!(policy.reject, Reject { status: 503, headers: vec![], body: None });
    }

    #[test]
    fn every_field_can_be_set() {
        let policy = policy(
            r#"{"defaults": {
                "mode": "off",
                "trip": {"consecutive_failures": 3},
                "open": {"duration": "1s", "multiplier": 1.5, "max_duration": "1m", "jitter": 0},
                "half_open": {"probes": 3, "successes": 9, "probe_timeout": "250ms"},
                "reject": {"status": 429, "headers": {"x-a": "b"}, "body": "no"}
            }}"#,
            "any",
        );
        assert_eq!(policy.mode, Mode::Off);
        assert_eq!(policy.breaker.trip.consecutive_failures, NonZeroU32::new(3));
        assert_eq!(policy.breaker.open, backoff(1, 1.5, 60, 0.0));
        assert_eq!(
            policy.breaker.half_open,
            HalfOpen {
                probes: NonZeroU8::new(3).unwrap(),
                successes: NonZeroU32::new(9).unwrap(),
                probe_timeout: Span::from_millis(250),
            }
        );
        let headers = vec![("x-a".to_owned(), "b".to_owned())];
        assert_eq!(policy.reject, Reject { status: 429, headers, body: Some("no".to_owned()) });
    }

    #[test]
    fn an_entry_changes_field_by_field_what_defaults_and_the_built_in_ones_say() {
        let document = r#"{
            "defaults": {"open": {"duration": "10s", "jitter": 0}, "half_open": {"probes": 2}},
            "circuits": {"a": {"open": {"duration": "20s"}}, "b": {"mode": "off"}}
        }"#;
        let (a, b) = (policy(document, "a"), policy(document, "b"));
        assert_eq!(a.breaker.open, backoff(20, 2.0, 300, 0.0));
        assert_eq!(a.breaker.half_open.probes.get(), 2);
        assert_eq!((a.mode, b.mode), (Mode::Enforce, Mode::Off));
        assert_eq!(b.breaker.open, backoff(10, 2.0, 300, 0.0));
    }

    #[test]
    fn every_value_has_two_ends() {
        is_bounded("half_open.probes", ["1", "16"], ["0", "17"], "1 to 16");
        is_bounded("half_open.successes", ["1", "1000.0"], ["-1", "1001"], "1 to 1000");
        is_bounded("open.multiplier", ["1", "1000"], ["0.99", "1000.5"], "1 to 1000");
        is_bounded("open.jitter", ["0", "1"], ["-0.1", "1.1"], "0 to 1");
        let (ends, beyond) = ([r#""1ms""#, r#""24h""#], [r#""0.9ms""#, r#""24.1h""#]);
        is_bounded("half_open.probe_timeout", ends, beyond, r#""1ms" to "24h""#);
        let ends = [r#""1ms""#, r#""5m""#];
        is_bounded("open.duration", ends, beyond, r#""1ms" to "24h""#);
        let (ends, beyond) = ([r#""30s""#, r#""24h""#], [r#""0s""#, r#""99999999999999999999h""#]);
        is_bounded("open.max_duration", ends, beyond, r#""1ms" to "24h""#);
    }

    #[test]
    fn a_wait_is_never_longer_than_its_cap() {
        accepts("open", r#"{"duration": "10m", "max_duration": "10m"}"#);
        assert_eq!(
            error(&with("open", r#"{"duration": "1m", "max_duration": "59s"}"#)),
            "defaults.open.max_duration: \"59s\" is shorter than duration, expected at least \"1m\""
        );
        assert_eq!(
            error(r#"{"circuits": {"hf_api": {"open": {"duration": "10m"}}}}"#),
            "circuits.hf_api.open.max_duration: \"5m\" (inherited) is shorter than duration, \
             expected at least \"10m\""
        );
    }

    #[test]
    fn the_wrong_type_is_told_with_what_was_expected() {
        refuses("mode", r#""on""#, r#""on" is not a mode, expected "enforce", "shadow" or "off""#);
        refuses("mode", "true", r#"true is not a mode, expected "enforce", "shadow" or "off""#);
        refuses("trip", "null", "null is not an object, expected named fields");
        refuses("open", "[]", "a list is not an object, expected named fields");
        refuses("open.jitter", r#""0.1""#, r#""0.1" is not a number, expected 0 to 1"#);
        refuses("half_open.probes", "1.5", "1.5 is not a whole number, expected 1 to 16");
        refuses("half_open.probes", "{}", "an object is not a whole number, expected 1 to 16");
        for duration in ["30", r#""30""#, "null"] {
            let expected = r#"expected a number with a unit such as "250ms", "30s" or "5m""#;
            let problem = format!("{duration} is not a duration, {expected}");
            refuses("open.duration", duration, &problem);
        }
    }

    #[test]
    fn what_this_version_does_not_know_is_refused() {
        let known = "unknown field, expected one of mode, trip, open, half_open, classify, \
                     fallback, reject";
        refuses("cache", "{}", known);
        refuses("opne", "{}", &format!("{known}; did you mean `open`?"));
        let known = "unknown field, expected one of duration, multiplier, max_duration, jitter, \
                     honor_retry_after";
        refuses("open.wait", "1", known);
    }

    #[test]
    fn methods_of_probes_are_named_in_capitals() {
        let methods = |json| policy(&with("half_open.methods", json), "any").probe_methods.clone();
        assert_eq!(methods("null"), None);
        assert_eq!(methods(r#"["GET", "M-SEARCH"]"#).unwrap(), ["GET", "M-SEARCH"]);
        refuses(
            "half_open.methods",
            r#"["get"]"#,
            "\"get\" is not a method, expected one in capitals such as \"GET\"",
        );
        refuses(
            "half_open.methods",
            "[]",
            "no method is a probe, expected some such as [\"GET\", \"HEAD\"], or null for any",
        );
        refuses(
            "half_open.methods",
            r#""GET""#,
            "\"GET\" is not a list of methods, expected some such as [\"GET\", \"HEAD\"], or null for any",
        );
    }

    #[test]
    fn the_upstreams_word_can_be_left_unheard() {
        assert!(policy("", "any").honor_retry_after);
        assert!(!policy(&with("open.honor_retry_after", "false"), "any").honor_retry_after);
    }
}
