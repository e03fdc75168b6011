//! The code as text, without its tests.

use std::fs;
use std::path::Path;

use crate::pages::root;

/// All files of `src`, one after the other.
pub(crate) fn code() -> String {
    let mut code = String::new();
    read_all(&root().join("src"), &mut code);
    code
}

fn read_all(directory: &Path, code: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(without_tests(&fs::read_to_string(path).unwrap()));
        }
    }
}

fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

/// The strings that stand in it and satisfy `is_wanted`.
pub(crate) fn strings(is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let code = code();
    let mut found: Vec<String> =
        code.split('"').filter(|text| is_wanted(text)).map(str::to_owned).collect();
    found.sort();
    found.dedup();
    assert!(!found.is_empty());
    found
}

/// The fields of a struct of `src/status.rs`, as they are in JSON; what is flattened has none.
pub(crate) fn fields_of(name: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("src/status.rs")).unwrap();
    let (_, rest) = text.split_once(&format!("\nstruct {name} {{\n")).unwrap();
    let (fields, _) = rest.split_once("\n}").unwrap();
    let names = fields.lines().filter_map(|line| line.trim().split_once(": "));
    names
        .filter(|(_, of)| *of != "Option<Details>,")
        .map(|(name, _)| name.trim_start_matches("r#").to_owned())
        .collect()
}
