//! The README says what the code does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use fusebox::config::Config;
use fusebox::metrics::{Metric, ProxyMetric, Row};

const README: &str = include_str!("../README.md");

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn without_comments(jsonc: &str) -> String {
    jsonc.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_documented_configuration_is_the_default_one() {
    let [documented] = blocks("jsonc")[..] else { panic!("one block of jsonc") };
    let documented = Config::parse(without_comments(documented).as_bytes()).unwrap();
    let default = Config::parse(br#"{"status": {}}"#).unwrap();
    assert_eq!(documented, default);
}

#[test]
fn the_configuration_of_the_example_is_accepted() {
    let yaml = blocks("yaml")[0];
    let json = yaml.split("value: |").nth(1).unwrap().split("- name:").next().unwrap();
    let config = Config::parse(json.as_bytes()).unwrap();
    assert_eq!(config.named().collect::<Vec<_>>(), ["backend"]);
}

#[test]
fn the_error_shown_is_the_error_given() {
    let wrong = br#"{"circuits": {"hf_api": {"trip": {"failure_ratio": {"ratio": 1.5}}}}}"#;
    let error = Config::parse(wrong).unwrap_err().to_string();
    assert!(README.contains(&format!("\n{error}\n")), "{error}");
}

#[test]
fn the_metrics_are_those_of_the_code_in_its_order() {
    let line = |prefix: &str, row: Row| format!("| `{prefix}{}` | {} |\n", row.name, row.meaning);
    let circuits: String = Metric::ALL.iter().map(|metric| line("", metric.row())).collect();
    assert!(README.contains(&format!("|---|---|\n{circuits}\n")), "expected:\n{circuits}");
    let proxy: String =
        ProxyMetric::ALL.iter().map(|metric| line("circuit_breaker.", metric.row())).collect();
    assert!(README.contains(&format!("|---|---|\n{proxy}\n")), "expected:\n{proxy}");
}

#[derive(serde::Deserialize)]
struct Ending {
    ending: String,
    counts: String,
    why: String,
}

#[test]
fn every_ending_counts_as_the_tests_prove() {
    let rows: Vec<Ending> = serde_json::from_str(include_str!("endings.json")).unwrap();
    let table: String = rows
        .iter()
        .map(|row| format!("| {} | {} | {} |\n", row.ending, row.counts, row.why))
        .collect();
    assert!(README.contains(&format!("|---|---|---|\n{table}\n")), "expected:\n{table}");
}
