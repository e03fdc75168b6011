//! `docs/reference.md` leaves nothing out, and every default and range in it is the code's.

use fusebox::config::Config;
use fusebox::metrics::{Metric, ProxyMetric, Row};
use serde_json::Value;

use crate::fields::{self, document, frame};
use crate::pages::read;
use crate::source;

fn reference() -> String {
    read("docs/reference.md")
}

/// A row of the tables of fields.
struct Documented {
    field: String,
    default: String,
    takes: String,
}

fn documented() -> Vec<Documented> {
    let text = reference();
    let mut rows = Vec::new();
    for table in text.split("| field | default | takes | meaning |\n").skip(1) {
        for row in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
            let [field, default, takes, _] = row.split(" | ").collect::<Vec<_>>()[..] else {
                panic!("a row that has not four cells: {row}")
            };
            let field = field.trim_start_matches("| ").trim_matches('`').to_owned();
            rows.push(Documented {
                field,
                default: default.to_owned(),
                takes: takes.replace(r"\|", "|"),
            });
        }
    }
    rows
}

fn config(document: &Value) -> Config {
    Config::parse(document.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn it_has_each_field_of_the_code_once_and_no_other() {
    let mut documented: Vec<_> = documented().into_iter().map(|row| row.field).collect();
    let mut known = fields::all();
    documented.sort();
    known.sort();
    assert_eq!(documented, known);
}

#[test]
fn each_default_is_the_codes() {
    for Documented { field, default, .. } in documented() {
        let without = frame(&field);
        match default.strip_prefix('`') {
            Some(json) => {
                let json = serde_json::from_str(json.trim_end_matches('`')).unwrap();
                assert_eq!(config(&document(&field, json)), config(&without), "{field}");
            }
            None if default == "required" => {
                Config::parse(without_it(&field).to_string().as_bytes()).unwrap_err();
            }
            None => {
                config(&without);
                let said = ["events.webhook.authority", "fallback[].respond.body"];
                assert!(said.contains(&field.as_str()), "{field} has a default to be shown");
            }
        }
    }
}

/// The object of the field, empty.
fn without_it(field: &str) -> Value {
    let (parent, _) = field.rsplit_once('.').unwrap();
    document(parent, serde_json::json!({}))
}

#[test]
fn each_field_takes_what_its_error_line_expects() {
    for Documented { field, takes, .. } in documented() {
        let expected = fields::expected(&field);
        let is_list_of_ways = field == "fallback";
        assert!(
            is_list_of_ways || takes.ends_with(&expected),
            "{field}: {takes}, expected {expected}"
        );
    }
}

#[test]
fn the_metrics_are_those_of_the_code_in_its_order() {
    let line = |prefix: &str, row: Row| format!("| `{prefix}{}` | {} |\n", row.name, row.meaning);
    let circuits: String = Metric::ALL.iter().map(|metric| line("", metric.row())).collect();
    assert!(reference().contains(&format!("|---|---|\n{circuits}\n")), "expected:\n{circuits}");
    let proxy: String =
        ProxyMetric::ALL.iter().map(|metric| line("circuit_breaker.", metric.row())).collect();
    assert!(reference().contains(&format!("|---|---|\n{proxy}\n")), "expected:\n{proxy}");
}

/// What stands below a heading, to the next of its rank.
fn section(title: &str) -> String {
    let text = reference();
    let (_, rest) = text.split_once(&format!("\n## {title}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

/// That there is a row for each in the section.
fn assert_rows(title: &str, named: &[String]) {
    let text = section(title);
    for name in named {
        assert!(text.contains(&format!("\n| `{name}` | ")), "{title}: no row for {name}");
    }
}

#[test]
fn it_has_each_header_that_fusebox_sets() {
    assert_rows(
        "What a client sees",
        &source::strings(|text| {
            matches!(
                text,
                "x-circuit-breaker"
                    | "x-circuit-breaker-fallback"
                    | "cache-status"
                    | "age"
                    | "retry-after"
            ) || text.starts_with("x-circuit-breaker") && text.is_ascii() && !text.contains(' ')
        }),
    );
}

#[test]
fn it_has_each_value_of_the_response_code_details() {
    let all = source::strings(|text| {
        let rest = text.strip_prefix("circuit_breaker_").unwrap_or_default();
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    });
    // The filter state that a route matches, which the text names.
    let (states, details): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|text| text == "circuit_breaker_route");
    assert_rows("Access log", &details);
    assert!(reference().contains(&format!("`wasm.{}`", states[0])));
}

#[test]
fn it_has_each_value_of_the_filter_state() {
    let code = source::code();
    let calls = code.split("set_filter_state(\"").skip(1);
    let values: Vec<_> = calls.map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    assert!(values.len() >= 6);
    assert_rows("Access log", &values);
}

#[test]
fn it_has_each_field_of_the_status() {
    for name in ["Entry", "Details"] {
        assert_rows("Status", &source::fields_of(name));
    }
    let text = section("Status");
    for name in ["All", "One", "Override", "Probe", "Transition", "Failure"] {
        for field in source::fields_of(name) {
            assert!(text.contains(&format!("`{field}`")), "{name}.{field}");
        }
    }
}

#[derive(serde::Deserialize)]
struct Ending {
    ending: String,
    counts: String,
    why: String,
}

#[test]
fn every_ending_counts_as_the_tests_prove() {
    let rows: Vec<Ending> = serde_json::from_str(include_str!("../endings.json")).unwrap();
    let table: String = rows
        .iter()
        .map(|row| format!("| {} | {} | {} |\n", row.ending, row.counts, row.why))
        .collect();
    assert!(reference().contains(&format!("|---|---|---|\n{table}\n")), "expected:\n{table}");
}

#[test]
fn each_alert_has_its_entry_in_the_runbook() {
    let rules = read("envoy/prometheus/rules.yaml");
    let operations = read("docs/operations.md");
    let alerts: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let entries: Vec<_> =
        operations.lines().filter_map(|line| line.strip_prefix("### CircuitBreaker")).collect();
    let named: Vec<_> =
        alerts.iter().map(|alert| alert.strip_prefix("CircuitBreaker").unwrap()).collect();
    assert_eq!(entries, named);
}
