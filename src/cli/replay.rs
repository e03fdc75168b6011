//! `fusebox replay`: what the circuits would have done to the requests of an access log.
//!
//! The log holds what really happened, and the circuits are the filter's own. What the log does not
//! say the replay does not know: see `docs/replay.md`.

mod flags;
mod log;
mod memory;
mod report;
mod run;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{encoding, is_stdin, read_config};
use crate::config::Config;
use log::{Log, Names};
use report::Report;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The access log, a JSON object per line, in any order; "-" reads it from standard input
    log: PathBuf,
    /// The configuration to try, as JSON; without it the built-in defaults
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    names: Names,
}

pub(super) fn run(arguments: &Arguments) -> Result<String, String> {
    let config = match &arguments.config {
        Some(path) if is_stdin(path) && is_stdin(&arguments.log) => {
            return Err("-: both the log and the configuration, expected one of them".to_owned());
        }
        Some(path) => read_config(path)?,
        None => Config::parse(b"").map_err(|error| error.to_string())?,
    };
    let in_file = |error: io::Error| format!("{}: {error}", arguments.log.display());
    let mut lines = open(&arguments.log).map_err(in_file)?;
    begin(&mut lines, &arguments.log)?;
    let log = Log::read(lines, &arguments.names, &config).map_err(in_file)?;
    if log.lines > 0 && log.requests.is_empty() {
        let why = log.why_it_is_none(&arguments.names);
        return Err(format!("{}: {why}", arguments.log.display()));
    }

    let progress = bar(Some(log.requests.len() as u64), "replaying");
    let stories = run::replay(&log, config, || progress.inc(1));
    progress.finish_and_clear();

    let report = Report::new(&arguments.log, &log, &stories);
    Ok(if arguments.json { report.json() } else { report.text() })
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    if is_stdin(path) {
        return Ok(Box::new(BufReader::new(bar(None, "reading").wrap_read(io::stdin()))));
    }
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    Ok(Box::new(BufReader::with_capacity(1 << 20, bar(Some(length), "reading").wrap_read(file))))
}

/// Passes over a byte order mark, and refuses what is no text at all.
fn begin(lines: &mut impl BufRead, path: &Path) -> Result<(), String> {
    let path = path.display();
    let start = lines.fill_buf().map_err(|error| format!("{path}: {error}"))?;
    match encoding::not_text(start) {
        None => {}
        Some("gzip") => {
            let way = "zcat access.log.gz | fusebox replay -";
            return Err(format!("{path}: gzip, expected text: {way}"));
        }
        Some(kind) => return Err(format!("{path}: {kind}, expected UTF-8")),
    }
    if start.starts_with(encoding::BYTE_ORDER_MARK) {
        lines.consume(encoding::BYTE_ORDER_MARK.len());
    }
    Ok(())
}

/// On standard error, and only where that is a terminal.
fn bar(length: Option<u64>, what: &'static str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = if length.is_some() { "{msg} {percent} % {wide_bar}" } else { "{msg} {bytes}" };
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
    bar.with_style(style).with_message(what)
}
