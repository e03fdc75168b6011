//! Fenced blocks: what each language stands for, and that it is true. What only a real Envoy can tell is tried by
//! `envoy/e2e/test_docs.py`.

use fusebox::config::Config;
use fusebox::metrics::{Metric, ProxyMetric};
use serde_json::Value;

use crate::pages::{Block, blocks, read};
use crate::source;

/// Of a language, one at least.
fn of(language: &str) -> Vec<Block> {
    let found: Vec<_> = blocks().into_iter().filter(|block| block.language == language).collect();
    assert!(!found.is_empty(), "{language}");
    found
}

#[test]
fn each_fence_names_a_language_that_is_tried() {
    const HERE: [&str; 10] = [
        "json",
        "jsonc",
        "json status",
        "json webhook",
        "http",
        "promql",
        "text error",
        "text log",
        "text report",
        "text diagram",
    ];
    const THERE: [&str; 3] = ["sh", "yaml filters", "yaml route"];
    let tried_there = read("envoy/e2e/test_docs.py");
    for language in THERE {
        assert!(tried_there.contains(&format!("blocks(\"{language}\")")), "{language}");
    }
    for block in blocks() {
        let language = block.language.as_str();
        assert!(
            HERE.contains(&language) || THERE.contains(&language),
            "{}: {language:?}",
            block.place()
        );
    }
}

#[test]
fn each_configuration_is_taken() {
    for block in of("json") {
        if let Err(error) = Config::parse(block.text.as_bytes()) {
            panic!("{}: {error}", block.place());
        }
    }
}

fn without_comments(jsonc: &str) -> String {
    jsonc.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_commented_configuration_is_the_default_one() {
    for block in of("jsonc") {
        let documented = Config::parse(without_comments(&block.text).as_bytes()).unwrap();
        let default = Config::parse(br#"{"status": {}}"#).unwrap();
        assert_eq!(documented, default, "{}", block.place());
    }
}

#[test]
fn each_configuration_within_yaml_is_taken() {
    for block in of("yaml filters") {
        let json = block.text.split("value: |").nth(1).unwrap().split("- name:").next().unwrap();
        let config = Config::parse(json.as_bytes()).unwrap();
        assert!(config.named().any(|name| name == "backend"), "{}", block.place());
    }
}

/// By a document in which the path has the value.
#[test]
fn each_error_shown_is_the_error_given() {
    for block in of("text error") {
        for line in block.text.lines() {
            let wrong = wrong_document(line);
            let error = Config::parse(wrong.as_bytes()).unwrap_err().to_string();
            assert_eq!(error, line, "{}", block.place());
        }
    }
}

fn wrong_document(line: &str) -> String {
    let (path, problem) = line.split_once(": ").unwrap();
    let value = problem.split(" is ").next().unwrap();
    // The whole path is wrong where a field is unknown: its own value does not matter.
    let value = if problem.starts_with("unknown field") { "0" } else { value };
    path.rsplit('.').fold(value.to_owned(), |inner, name| format!("{{\"{name}\": {inner}}}"))
}

#[test]
fn each_status_shown_has_the_fields_of_the_code_in_its_order() {
    for block in of("json status") {
        let shown: Value = serde_json::from_str(&block.text).unwrap();
        let circuit = shown["circuit_breaker"].as_object().unwrap();
        let mut fields = source::fields_of("Entry");
        fields.extend(source::fields_of("Details"));
        for field in &fields {
            assert!(circuit.contains_key(field), "{}: {field}", block.place());
        }
        assert_eq!(circuit.len(), fields.len(), "{}", block.place());
    }
}

#[test]
fn each_event_shown_has_the_fields_of_the_code() {
    let code = read("src/events.rs");
    for block in of("json webhook") {
        let shown: Value = serde_json::from_str(&block.text).unwrap();
        let (_, fields) = code.split_once("struct StateChange<'a> {").unwrap();
        let fields: Vec<_> = fields
            .split_once("\n}")
            .unwrap()
            .0
            .lines()
            .filter_map(|line| line.trim().split_once(": "))
            .collect();
        for (field, _) in &fields {
            assert!(shown.get(field).is_some(), "{}: {field}", block.place());
        }
        assert_eq!(shown.as_object().unwrap().len(), fields.len(), "{}", block.place());
    }
}

/// The words before the first figure or value of each line stand in the code.
#[test]
fn each_log_line_begins_as_the_code_has_it() {
    let code = source::code();
    for block in of("text log") {
        for line in block.text.lines() {
            let words = line.split('=').next().unwrap();
            let (message, first_key) = words.rsplit_once(' ').unwrap();
            assert!(
                code.contains(message) && code.contains(&format!("{first_key}=")),
                "{}: {line}",
                block.place()
            );
        }
    }
}

/// That it is the reply is tried in a real Envoy.
#[test]
fn each_reply_is_the_one_of_the_unit_test() {
    let tests = read("src/reply.rs");
    for block in of("http") {
        let (_, body) = block.text.split_once("\n\n").unwrap();
        assert!(tests.contains(body.trim_end()), "{}", block.place());
    }
}

#[test]
fn each_metric_of_a_query_is_one_of_the_code() {
    let circuits = Metric::ALL.iter().map(|metric| metric.row().name);
    let names: Vec<_> =
        circuits.chain(ProxyMetric::ALL.iter().map(|metric| metric.row().name)).collect();
    for block in of("promql") {
        let mut is_of_ours = false;
        for word in block.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if let Some(name) = word.strip_prefix("circuit_breaker_") {
                is_of_ours = true;
                assert!(names.contains(&name), "{}: {word}", block.place());
            }
        }
        assert!(is_of_ours, "{}: no metric", block.place());
    }
}
