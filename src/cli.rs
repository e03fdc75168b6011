//! What is of use at a desk: `fusebox check`, `fusebox replay`, `fusebox schema`.
//!
//! Native, behind the feature `cli`: nothing of it is in the module.

mod check;
mod encoding;
mod replay;

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, schema};

/// A circuit breaker for Envoy, at a desk
#[derive(Debug, Parser)]
#[command(name = "fusebox", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration and show the policies it gives to clusters
    Check(check::Arguments),
    /// Show what the circuits would have done to the requests of an access log
    Replay(Box<replay::Arguments>),
    /// Print the JSON Schema of the configuration
    Schema,
}

/// Runs the command that the process was given, and says how it should exit.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Schema => Ok(schema::text()),
    };
    match done.and_then(|text| print(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            // Where not even this can be written, the exit code still tells.
            let _ = writeln!(io::stderr(), "{line}");
            ExitCode::FAILURE
        }
    }
}

/// A reader that has seen enough, such as `head`, is no error.
fn print(text: &str) -> Result<(), String> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("output: {error}")),
        _ => Ok(()),
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads and checks a configuration. What is wrong with it is said in the words of Envoy's log.
fn read_config(path: &Path) -> Result<Config, String> {
    parse_config(path, &read_bytes(path)?)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = if is_stdin(path) {
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    read.map_err(|error| format!("{}: {error}", path.display()))
}

fn parse_config(path: &Path, bytes: &[u8]) -> Result<Config, String> {
    Config::parse(bytes).map_err(|error| {
        let problem = match encoding::not_json(bytes) {
            Some(what) => what.to_owned(),
            None => error.to_string(),
        };
        format!("{}: {problem}", path.display())
    })
}
