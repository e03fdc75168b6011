//! The commands that the documentation shows.

use std::path::Path;
use std::process::Command;
use std::{env, fs, process};

const PAGES: [&str; 2] = [include_str!("../../README.md"), include_str!("../../docs/replay.md")];
/// By the names of the examples, and by those of a mesh.
const LINE: &str = r#"{
    "time": "2026-01-31T12:00:00Z", "milliseconds": 20, "cluster": "backend", "status": 200,
    "start_time": "2026-01-31T12:00:00Z", "duration": 20, "upstream_cluster": "backend", "response_code": 200
}"#;

/// Through a shell, in a directory that has the files they name.
#[test]
fn each_command_of_the_documentation_runs() {
    let directory = env::temp_dir().join(format!("fusebox-documented-{}", process::id()));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("config.json"), "{}").unwrap();
    fs::write(directory.join("access.log"), LINE.replace('\n', "")).unwrap();
    assert!(runs(&directory, "gzip --keep access.log"));
    let pages = PAGES.concat().replace("\\\n", " ");
    let commands: Vec<_> = pages
        .lines()
        .filter(|line| line.starts_with("dist/fusebox ") || line.contains("| dist/fusebox "))
        .collect();
    assert!(commands.len() > 4);
    for command in commands {
        let command = command.replace("dist/fusebox", env!("CARGO_BIN_EXE_fusebox"));
        assert!(runs(&directory, &command), "{command}");
    }
    fs::remove_dir_all(directory).unwrap();
}

fn runs(directory: &Path, command: &str) -> bool {
    let ran = Command::new("sh").args(["-c", command]).current_dir(directory).output().unwrap();
    ran.status.success()
}
