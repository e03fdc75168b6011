//! The fields of a configuration, as the code itself names them: whoever writes one that is unknown is told the others.

use fusebox::config::Config;
use serde_json::{Map, Value, json};

/// Of the document; all else in the reference is a policy's.
const OUTERMOST: [&str; 6] = ["namespace", "max_circuits", "circuits", "cache", "status", "events"];

/// All that take a value of their own, by the names that the reference has for them.
pub(crate) fn all() -> Vec<String> {
    let mut all = Vec::new();
    for field in known_at("") {
        if field == "defaults" {
            known_at("mode").into_iter().for_each(|field| collect(&field, &mut all));
        } else {
            collect(&field, &mut all);
        }
    }
    known_at("fallback[].on")
        .iter()
        .for_each(|field| collect(&format!("fallback[].{field}"), &mut all));
    all
}

fn collect(path: &str, all: &mut Vec<String>) {
    let within = known_within(path);
    if within.is_empty() {
        all.push(path.to_owned());
    }
    within.iter().for_each(|field| collect(&format!("{path}.{field}"), all));
}

/// The fields beside `path`.
fn known_at(path: &str) -> Vec<String> {
    match path.rsplit_once('.') {
        Some((parent, _)) => known_within(parent),
        None if path.is_empty() => known(&json!({ "?": 0 })),
        None => known(&json!({ "defaults": { "?": 0 } })),
    }
}

/// The fields of the object at `path`; none where there is no object with fields of its own.
fn known_within(path: &str) -> Vec<String> {
    known(&document(path, json!({ "?": 0 })))
}

fn known(document: &Value) -> Vec<String> {
    let Some(error) = refusal(document) else { return Vec::new() };
    let Some((_, names)) = error.split_once(": unknown field, expected one of ") else {
        return Vec::new();
    };
    names.split(';').next().unwrap().split(", ").map(str::to_owned).collect()
}

fn refusal(document: &Value) -> Option<String> {
    Some(Config::parse(document.to_string().as_bytes()).err()?.to_string())
}

/// What the lines that refuse say is expected: that of a value out of range, else that of one of no type at all.
pub(crate) fn expected(path: &str) -> String {
    let refused = |value| {
        let error = refusal(&document(path, value))?;
        let (_, expected) = error.split_once("expected ").unwrap_or_else(|| panic!("{error}"));
        Some(expected.to_owned())
    };
    match refused(json!([[{}]])).as_deref() {
        None => "any JSON".to_owned(),
        Some(r#"a number with a unit such as "250ms", "30s" or "5m""#) => {
            refused(json!("9999h")).unwrap()
        }
        Some(r#"bytes, or a number with a unit such as "64KiB" or "1MiB""#) => {
            refused(json!("9999GiB")).unwrap()
        }
        Some(expected) => expected.to_owned(),
    }
}

/// A document with `value` at `path`, and with what has to be there for that to be taken.
pub(crate) fn document(path: &str, value: Value) -> Value {
    let mut document = frame(path);
    set(&mut document, path, value);
    document
}

/// The same without it.
pub(crate) fn frame(path: &str) -> Value {
    let mut frame = json!({});
    let mut give = |path: &str, value: Value| set(&mut frame, path, value);
    match path.split('.').collect::<Vec<_>>()[..] {
        ["status", ..] => give("status", json!({})),
        ["events", "webhook", name] if name != "cluster" => {
            give("events.webhook.cluster", json!("a"))
        }
        // Given at all, it replaces the default set whole.
        ["trip", "consecutive_failures"] => {
            give("trip", json!({ "consecutive_failures": 5, "failure_ratio": {} }))
        }
        ["trip", rule @ ("failure_ratio" | "failures" | "slow_ratio"), _] => {
            give("classify.slow_after", json!("2s"));
            give(&format!("trip.{rule}"), json!({}));
        }
        ["fallback[]", "on"] => give("fallback[].cache", json!({})),
        ["fallback[]", "reroute", "headers"] => give("fallback[].reroute.circuit", json!("a")),
        ["fallback[]", way, _] => give(&format!("fallback[].{way}"), json!({})),
        _ => {}
    }
    frame
}

fn set(document: &mut Value, path: &str, value: Value) {
    let mut segments: Vec<&str> = path.split('.').collect();
    if !OUTERMOST.contains(&segments[0]) {
        segments.insert(0, "defaults");
    }
    let mut place = document;
    for segment in segments {
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[segment.trim_end_matches("[]")];
        if segment.ends_with("[]") {
            if place.is_null() {
                *place = json!([{}]);
            }
            place = &mut place[0];
        }
    }
    *place = value;
}
