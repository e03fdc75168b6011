//! What is of use at a desk: `fusebox schema`.
//!
//! Native, behind the feature `cli`: nothing of it is in the module.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::schema;

/// A circuit breaker for Envoy, at a desk
#[derive(Debug, Parser)]
#[command(name = "fusebox", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the JSON Schema of the configuration
    Schema,
}

/// Runs the command that the process was given, and says how it should exit.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Schema => Ok::<_, String>(schema::text()),
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
