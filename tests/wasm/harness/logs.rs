//! Log lines, kept as Envoy would print them: those below the host's level are gone.

use std::fmt;

use super::vm::VmId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

impl Level {
    pub fn from_number(number: u32) -> Option<Self> {
        use Level::{Critical, Debug, Error, Info, Trace, Warn};
        [Trace, Debug, Info, Warn, Error, Critical].get(number as usize).copied()
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    pub vm: VmId,
    pub level: Level,
    pub text: String,
}

impl Line {
    pub fn contains(&self, text: &str) -> bool {
        self.text.contains(text)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:?}][{:?}] {}", self.vm, self.level, self.text)
    }
}

/// Lines under one another, for messages of assertions.
pub fn listing(lines: &[Line]) -> String {
    match lines {
        [] => "  (no log line)".to_owned(),
        lines => lines.iter().map(|line| format!("  {line:?}")).collect::<Vec<_>>().join("\n"),
    }
}
