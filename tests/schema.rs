//! The JSON Schema and the reader of the configuration say the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fusebox::config::{Config, schema};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

const COMMITTED: &str = include_str!("../envoy/config.schema.json");
const BUILTIN: &str = include_str!("../src/config/defaults.json");

fn schema() -> Value {
    serde_json::from_str(COMMITTED).unwrap()
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

fn parse(document: &Value) -> Result<Config, String> {
    Config::parse(document.to_string().as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn the_committed_schema_is_the_one_of_the_code() {
    assert!(
        COMMITTED == schema::text(),
        "envoy/config.schema.json is stale: `cargo run --features cli -- schema` prints what it should be"
    );
}

#[test]
fn the_schema_is_one() {
    jsonschema::meta::validate(&schema()).unwrap();
}

/// An object of the schema with the place in a document where it holds.
struct Place {
    pointer: Vec<String>,
    object: Value,
}

/// The schema that a reference leads to, or one of null's alternatives.
fn resolved(schema: &Value, root: &Value) -> Value {
    let reference = schema["$ref"].as_str().map(|it| it.trim_start_matches('#'));
    if let Some(reference) = reference {
        return resolved(root.pointer(reference).unwrap(), root);
    }
    let others = schema["anyOf"].as_array().into_iter().flatten();
    match others.into_iter().find(|it| it.get("$ref").is_some() || it.get("properties").is_some()) {
        Some(other) if schema.get("properties").is_none() => resolved(other, root),
        _ => schema.clone(),
    }
}

/// Every object whose fields are known.
fn places(at: &[String], schema: &Value, root: &Value) -> Vec<Place> {
    let object = resolved(schema, root);
    let below = |name: &str| [at, &[name.to_owned()]].concat();
    let mut found = Vec::new();
    for (name, field) in object["properties"].as_object().into_iter().flatten() {
        found.extend(places(&below(name), field, root));
    }
    if object["additionalProperties"].is_object() {
        found.extend(places(&below("x"), &object["additionalProperties"], root));
    }
    if object["items"].is_object() {
        found.extend(places(&below("0"), &object["items"], root));
    }
    if object["properties"].is_object() {
        found.push(Place { pointer: at.to_vec(), object });
    }
    found
}

fn all_places() -> Vec<Place> {
    places(&[], &schema(), &schema())
}

/// A document with `value` at a place.
fn document(pointer: &[String], value: Value) -> Value {
    pointer.iter().rev().fold(value, |inner, name| match name.as_str() {
        "0" => json!([inner]),
        name => json!({ name: inner }),
    })
}

#[test]
fn the_reader_and_the_schema_know_the_same_fields() {
    let places = all_places();
    // The document, its own objects, and those of a policy in `defaults` and in `circuits`.
    assert_eq!(places.len(), 5 + 2 * 13);
    for Place { pointer, object } in places {
        let error = parse(&document(&pointer, json!({ "zzz": 1 }))).unwrap_err();
        let known = error.split_once("zzz: unknown field, expected one of ").expect(&error).1;
        let known: BTreeSet<_> = known.split(", ").collect();
        let fields = object["properties"].as_object().unwrap();
        assert_eq!(known, fields.keys().map(String::as_str).collect(), "{pointer:?}");
        assert_eq!(object["additionalProperties"], false, "{pointer:?}");
    }
}

#[test]
fn every_field_is_described_and_has_a_default_or_a_reason_for_none() {
    // One of three, one of two, and what follows from the name of a cluster.
    const WITHOUT_DEFAULT: [&str; 5] = ["cache", "reroute", "respond", "body", "authority"];
    let root = schema();
    for Place { pointer, object } in all_places() {
        for (name, field) in object["properties"].as_object().unwrap() {
            let is_required =
                object["required"].as_array().is_some_and(|it| it.contains(&json!(name)));
            let has_default = field.get("default").is_some();
            let has_reason = WITHOUT_DEFAULT.contains(&name.as_str());
            assert!(has_default || is_required || has_reason, "{pointer:?} {name}");
            let type_of = resolved(field, &root);
            let is_described = field.get("description").or(type_of.get("description")).is_some();
            assert!(is_described, "{pointer:?} {name} has no description");
            let is_known = ["type", "anyOf", "enum"].iter().any(|it| type_of.get(it).is_some());
            assert!(is_known || (name == "json"), "{pointer:?} {name}: {field}");
        }
    }
}

/// Every value of a document that is not an object with fields, with its place.
fn leaves(at: &str, value: &Value) -> Vec<(String, Value)> {
    match value.as_object() {
        Some(fields) if !fields.is_empty() => {
            fields.iter().flat_map(|(name, it)| leaves(&format!("{at}/{name}"), it)).collect()
        }
        _ => vec![(at.to_owned(), value.clone())],
    }
}

#[test]
fn the_built_in_defaults_are_in_the_schema() {
    let mut builtin: Value = serde_json::from_str(BUILTIN).unwrap();
    // Not defaults of a field: entries, and a set of rules that is replaced whole.
    builtin.as_object_mut().unwrap().remove("circuits");
    let rules = builtin["defaults"]["trip"].clone();
    builtin["defaults"]["trip"].as_object_mut().unwrap().remove("consecutive_failures");
    let places = all_places();
    let default = |pointer: &str| {
        let (object, name) = pointer.rsplit_once('/').unwrap();
        let place = places.iter().find(|it| it.pointer.join("/") == object.trim_start_matches('/'));
        place.unwrap().object["properties"][name]["default"].clone()
    };
    for (pointer, expected) in leaves("", &builtin) {
        assert_eq!(default(&pointer), expected, "{pointer}");
    }
    assert_eq!(default("/defaults/trip"), rules);
}

/// What the rest of a document has to be for a field to be taken at all.
fn around(pointer: &[String]) -> Map<String, Value> {
    let object = pointer.last().map(String::as_str);
    let around = match object {
        Some("webhook") => json!({ "cluster": "alerts" }),
        Some("reroute") => json!({ "circuit": "backup" }),
        Some("trip") => json!({ "consecutive_failures": 7 }),
        Some("0") => json!({ "cache": {} }),
        _ => json!({}),
    };
    around.as_object().unwrap().clone()
}

#[test]
fn a_default_that_is_given_changes_nothing() {
    for Place { pointer, object } in all_places() {
        for (name, field) in object["properties"].as_object().unwrap() {
            let mut fields = around(&pointer);
            let Some(default) = field.get("default").filter(|_| !fields.contains_key(name)) else {
                continue;
            };
            let mut without = document(&pointer, json!(fields));
            fields.insert(name.clone(), default.clone());
            let mut with = document(&pointer, json!(fields));
            if pointer.contains(&"slow_ratio".to_owned()) {
                for document in [&mut without, &mut with] {
                    document["defaults"]["classify"] = json!({ "slow_after": "1s" });
                }
            }
            assert_eq!(parse(&with).unwrap(), parse(&without).unwrap(), "{pointer:?} {name}");
        }
    }
}

/// At each end of what a field takes, and just beyond.
#[derive(serde::Deserialize)]
struct Row {
    /// Names with a dot between; `#` is an item of a list.
    field: String,
    taken: Vec<Value>,
    refused: Vec<Value>,
}

fn rows() -> Vec<Row> {
    serde_json::from_str(include_str!("fields.json")).unwrap()
}

/// A row's document. An item of a list is a fallback, which has to be one.
fn with(field: &str, value: Value) -> Value {
    let names = field.split('.').filter(|it| !it.is_empty());
    let mut pointer: Vec<String> = names.map(|it| it.replace('#', "0")).collect();
    let Some(name) = pointer.pop() else { return value };
    let mut fields = around(&pointer);
    if name == "reroute" || name == "respond" {
        fields.remove("cache");
    }
    fields.insert(name, value);
    document(&pointer, json!(fields))
}

/// What the schema and the reader say, if it is the same.
fn agreed(validator: &Validator, document: &Value) -> bool {
    let parsed = parse(document).map(|_| ());
    let is_valid = validator.is_valid(document);
    assert_eq!(is_valid, parsed.is_ok(), "{document}: {parsed:?}");
    is_valid
}

#[test]
fn the_reader_and_the_schema_take_the_same_values() {
    let validator = validator();
    for Row { field, taken, refused } in rows() {
        for value in taken {
            let document = with(&field, value);
            assert!(agreed(&validator, &document), "{document}");
        }
        for value in refused {
            let document = with(&field, value);
            assert!(!agreed(&validator, &document), "{document}");
        }
    }
}

#[test]
fn every_field_has_a_row() {
    // These are in their objects' rows, and `slow_ratio` needs another field.
    const ELSEWHERE: [&str; 4] = ["circuit", "json", "cluster", "slow_ratio"];
    let rows: BTreeSet<String> = rows().into_iter().map(|it| it.field.replace('#', "0")).collect();
    for Place { pointer, object } in all_places() {
        let is_another = pointer.iter().any(|it| it == "circuits" || it == "slow_ratio");
        for name in object["properties"].as_object().unwrap().keys().filter(|_| !is_another) {
            let field = [&pointer[..], std::slice::from_ref(name)].concat().join(".");
            let next = rows.range(field.clone()..).next();
            let has_row =
                next.is_some_and(|it| *it == field || it.starts_with(&format!("{field}.")));
            assert!(has_row || ELSEWHERE.contains(&name.as_str()), "{field}");
        }
    }
}

#[test]
fn rules_between_fields_of_one_object_are_in_the_schema_too() {
    let validator = validator();
    let fallback = |json: &str| with("defaults.fallback", serde_json::from_str(json).unwrap());
    for (document, expected) in [
        (fallback(r#"[{"cache": {"methods": ["POST"], "request_body": true}}]"#), true),
        (fallback(r#"[{"cache": {"methods": ["POST"], "request_body": false}}]"#), false),
        (fallback(r#"[{"reroute": {"circuit": "a"}, "on": ["failed"]}]"#), false),
        (fallback(r#"[{"reroute": {"circuit": "a"}, "on": ["rejected"]}]"#), true),
        (fallback(r#"[{"respond": {}, "on": ["failed"]}]"#), true),
        (
            json!({ "defaults": { "trip": { "slow_ratio": {} }, "classify": { "slow_after": "1s" } } }),
            true,
        ),
        (
            json!({ "defaults": { "trip": { "slow_ratio": { "ratio": 0 } }, "classify": { "slow_after": "1s" } } }),
            false,
        ),
        (
            json!({ "defaults": { "trip": { "slow_ratio": { "minimum_requests": 0 } }, "classify": { "slow_after": "1s" } } }),
            false,
        ),
        (
            json!({ "defaults": { "trip": { "slow_ratio": { "window": "1ms" } }, "classify": { "slow_after": "1s" } } }),
            false,
        ),
        (json!({ "circuits": { "a": { "open": { "jitter": 2 } } } }), false),
    ] {
        assert_eq!(agreed(&validator, &document), expected, "{document}");
    }
}

/// As the description of the schema lists them.
#[test]
fn what_only_the_reader_knows_it_refuses() {
    let validator = validator();
    for (text, problem) in [
        (r#"{"namespace": "a", "namespace": "b"}"#, "given twice"),
        (
            r#"{"defaults": {"open": {"duration": "1m", "max_duration": "59s"}}}"#,
            "shorter than duration",
        ),
        (r#"{"circuits": {"a": {"open": {"duration": "10m"}}}}"#, "(inherited) is shorter"),
        (r#"{"defaults": {"trip": {"slow_ratio": {}}}}"#, "expected classify.slow_after"),
        (r#"{"defaults": {"classify": {"failure_statuses": ["504-500"]}}}"#, "is not a status"),
        (
            r#"{"defaults": {"fallback": [{"cache": {"annotate_json": {"/a": 1, "/a/b": 2}}}]}}"#,
            "lies within",
        ),
    ] {
        assert!(validator.is_valid(&serde_json::from_str(text).unwrap()), "{text}");
        let error = Config::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

/// The configurations in a text, by their braces: after `value: |`, or all of the text.
fn configurations(yaml: &str) -> Vec<Value> {
    let texts = yaml.split("value: |").skip(1);
    texts
        .map(|text| serde_json::Deserializer::from_str(text).into_iter().next().unwrap().unwrap())
        .collect()
}

fn without_comments(jsonc: &str) -> String {
    jsonc.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_example_is_valid() {
    let validator = validator();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut examples: Vec<(String, Value)> = Vec::new();
    for entry in fs::read_dir(root.join("envoy")).unwrap() {
        let path = entry.unwrap().path();
        // It has an Envoy run envoy.yaml.
        let is_other = path.ends_with("docker-compose.yaml");
        if path.extension().is_some_and(|it| it == "yaml") && !is_other {
            let found = configurations(&fs::read_to_string(&path).unwrap());
            assert!(!found.is_empty(), "{path:?} has no configuration");
            examples.extend(found.into_iter().map(|it| (path.display().to_string(), it)));
        }
    }
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    examples.extend(configurations(&readme).into_iter().map(|it| ("README.md".to_owned(), it)));
    for block in readme.split("```jsonc\n").skip(1) {
        let json = without_comments(block.split("```").next().unwrap());
        examples.push(("README.md".to_owned(), serde_json::from_str(&json).unwrap()));
    }
    assert!(examples.len() >= 6, "{examples:?}");
    for (place, example) in examples {
        let errors: Vec<_> = validator.iter_errors(&example).map(|it| it.to_string()).collect();
        assert!(errors.is_empty() && parse(&example).is_ok(), "{place}: {errors:?}");
    }
}
