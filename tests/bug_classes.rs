//! `bug_classes.md` names tests that there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("bug_classes.md");

/// The cells of each row.
fn rows() -> Vec<Vec<&'static str>> {
    let lines = TABLE.lines().filter(|line| line.starts_with("| ")).skip(1);
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// The names in backticks.
fn tests(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn exists(test: &str) -> bool {
    let (place, name) = test.split_once("::").unwrap_or_else(|| panic!("`{test}` has no place"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    [("tests/wasm/", ".rs"), ("tests/", ".rs"), ("src/", ".rs"), ("", ".rs"), ("envoy/e2e/", ".py")]
        .iter()
        .filter_map(|(folder, end)| {
            fs::read_to_string(root.join(format!("{folder}{place}{end}"))).ok()
        })
        .any(|text| {
            text.contains(&format!("\ndef {name}("))
                || text
                    .split("#[test]")
                    .skip(1)
                    .any(|after| after.trim_start().starts_with(&format!("fn {name}(")))
        })
}

#[test]
fn every_class_has_tests_and_every_test_named_is_one() {
    for row in rows() {
        let [class, _, _, named] = row[..] else { panic!("four cells: {row:?}") };
        assert!(tests(named).count() > 0, "{class} has no test");
        for test in tests(named) {
            assert!(exists(test), "{class}: there is no test `{test}`");
        }
    }
}

#[test]
fn no_class_is_left_out() {
    let mut classes: Vec<_> = rows().iter().map(|row| row[0]).collect();
    classes.dedup();
    assert_eq!(classes.concat(), "ABCDEFGHIJKLMNOPQR");
}
