//! `fusebox`: see [`fusebox::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    fusebox::cli::main()
}
