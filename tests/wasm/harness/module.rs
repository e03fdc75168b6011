//! The module under test, built and compiled once per test process.
//!
//! It is always built, by the same `make` rule that builds the release: a path to a module somebody built earlier would
//! let the tests pass against old code.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use wasmtime::{Config, Engine, Module, Strategy};

use super::coverage;

/// What an outer `cargo` or `make` leaves in the environment for the native build would corrupt the inner one: coverage
/// flags do not exist on wasm32, and a job server's file descriptors are not inherited.
const LEAKING: [&str; 9] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "LLVM_PROFILE_FILE",
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
];

pub static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut config = Config::new();
    // A single pass compiler: seconds less per run than an optimising one built without optimisation.
    config.strategy(Strategy::Winch);
    // A callback that never returns becomes a trap instead of a test run that hangs.
    config.consume_fuel(true);
    Engine::new(&config).expect("an engine")
});

static FUSEBOX: LazyLock<Module> = LazyLock::new(|| match coverage::is_wanted() {
    true => built("covered", "dist/covered.wasm"),
    false => built("build", "dist/fusebox.wasm"),
});

static COUNTING: LazyLock<Module> = LazyLock::new(|| built("counting", "dist/counting.wasm"));

fn built(rule: &str, artifact: &str) -> Module {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut make = Command::new("make");
    make.args(["-s", rule]).current_dir(root);
    for name in LEAKING {
        make.env_remove(name);
    }
    let output = make.output().expect("`make` starts");
    assert!(
        output.status.success(),
        "`make {rule}` failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let bytes = std::fs::read(root.join(artifact)).expect("`make` leaves the artifact");
    Module::new(&ENGINE, bytes).expect("the artifact is a wasm module")
}

/// The filter, as it is shipped; or with counters of its lines, for `make coverage`.
pub fn fusebox() -> Module {
    FUSEBOX.clone()
}

/// The same filter, which counts its allocations.
pub fn counting() -> Module {
    COUNTING.clone()
}

/// A guest written for one test, in WebAssembly text.
pub fn guest(text: &str) -> Module {
    let bytes = wat::parse_str(text).expect("the guest is well-formed WebAssembly text");
    Module::new(&ENGINE, bytes).expect("the guest is a wasm module")
}
