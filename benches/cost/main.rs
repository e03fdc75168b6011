//! What each kind of request costs, in figures that no other load on the machine disturbs.
//!
//! `cargo test` compares them with the table in `benches/cost.md`, and `cargo test --bench cost -- --write` makes them the
//! table. `cargo bench --bench cost` prints them as well, once it has compiled wasmtime anew.

// As in the tests whose harness this is.
#![allow(dead_code, unused_macros, unused_imports, unreachable_pub, missing_debug_implementations)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../tests/wasm/harness/mod.rs"]
mod harness;

mod kinds;
mod measure;
mod table;

use std::fs;
use std::process::ExitCode;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/cost.md");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_given = |option: &str| arguments.iter().any(|argument| argument == option);
    let mut filters = arguments.iter().filter(|argument| !argument.starts_with('-'));
    if is_given("--list") || filters.any(|filter| !"cost".contains(filter.as_str())) {
        return ExitCode::SUCCESS;
    }
    let measured = table::render(&measure::all(kinds::KINDS));
    if is_given("--bench") {
        println!("{measured}");
    }
    if is_given("--write") {
        fs::write(COMMITTED, measured).expect("the table can be written");
        return ExitCode::SUCCESS;
    }
    let committed = fs::read_to_string(COMMITTED).unwrap_or_default();
    let changes = table::changes(&committed, &measured);
    if changes.is_empty() {
        println!("{} kinds of request cost what benches/cost.md says", kinds::KINDS.len());
        return ExitCode::SUCCESS;
    }
    eprintln!("The costs are not those of benches/cost.md:\n");
    changes.iter().for_each(|change| eprintln!("  {change}"));
    eprintln!("\nIf that is as it should be: cargo test --bench cost -- --write");
    ExitCode::FAILURE
}
