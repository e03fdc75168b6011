//! What was found, for people and as JSON.

use std::cmp::Reverse;
use std::fmt::{self, Write};
use std::path::Path;

use jiff::Timestamp as Instant;
use serde_json::{Value, json};

use super::log::{Bad, Cluster, Log};
use super::run::{Change, Rejected, Story};
use crate::breaker::State;
use crate::config::Mode;
use crate::events::Word;
use crate::time::{Span, Timestamp};

/// Characters of a timeline.
const WIDTH: u64 = 64;

#[derive(Debug)]
pub(super) struct Report<'a> {
    path: &'a Path,
    log: &'a Log,
    begin: Timestamp,
    end: Timestamp,
    /// Those that rejected the most come first, then by name.
    circuits: Vec<(&'a Cluster, &'a Story)>,
}

impl<'a> Report<'a> {
    pub(super) fn new(path: &'a Path, log: &'a Log, stories: &'a [Story]) -> Self {
        let mut circuits: Vec<_> = log.clusters.iter().zip(stories).collect();
        circuits.sort_by_key(|(cluster, story)| {
            (Reverse((story.rejected.requests, story.opened())), &cluster.name)
        });
        let begin = log.requests.first().map(|request| request.began).unwrap_or_default();
        Self { path, log, begin, end: log.end(), circuits }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // A string takes whatever is written.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, to: &mut String) -> fmt::Result {
        let Log { requests, lines, without_cluster, bad, examples, .. } = self.log;
        writeln!(
            to,
            "{}: {}, {} to a cluster",
            self.path.display(),
            Count(*lines, "line"),
            Count(requests.len() as u64, "request")
        )?;
        if !requests.is_empty() {
            let span = self.end.since(self.begin);
            writeln!(to, "from {} to {}, {}", When(self.begin), When(self.end), Lasting(span))?;
        }
        if *without_cluster > 0 {
            let requests = Count(*without_cluster, "request");
            writeln!(to, "{requests} without a cluster, left out")?;
        }
        match *bad {
            0 => {}
            1 => writeln!(to, "1 line that is no request, left out:")?,
            n => writeln!(to, "{n} lines that are no request, left out; the first:")?,
        }
        for Bad { line, problem } in examples {
            writeln!(to, "  line {line}: {problem}")?;
        }
        for (cluster, story) in &self.circuits {
            writeln!(to)?;
            self.write_circuit(to, cluster, story)?;
        }
        Ok(())
    }

    fn write_circuit(&self, to: &mut String, cluster: &Cluster, story: &Story) -> fmt::Result {
        let Story { requests, succeeded, failed, ignored, slow, unguarded, rejected, .. } = story;
        let mode = match cluster.mode {
            Mode::Enforce => "",
            Mode::Shadow => " (shadow: as if enforced)",
            Mode::Off => " (off)",
        };
        writeln!(to, "{}{mode}", Word(&cluster.name))?;
        writeln!(
            to,
            "  {}: {succeeded} succeeded, {failed} failed, {ignored} count as nothing",
            Count(*requests, "request")
        )?;
        if *slow > 0 {
            writeln!(to, "  {slow} of those admitted were slow")?;
        }
        if *unguarded > 0 && cluster.mode != Mode::Off {
            writeln!(to, "  {unguarded} passed unguarded, for want of a circuit")?;
        }
        if story.changes.is_empty() {
            return writeln!(to, "  never opened");
        }
        let opened = match story.opened() {
            1 => "once".to_owned(),
            n => format!("{n} times"),
        };
        let not_closed = Lasting(story.not_closed(self.begin, self.end));
        writeln!(to, "  opened {opened}; open or half-open for {not_closed} in all")?;
        let share = rejected.requests as f64 / *requests as f64 * 100.0;
        writeln!(
            to,
            "  rejected {} ({share:.1} %), of which {} had succeeded",
            rejected.requests, rejected.succeeded
        )?;
        writeln!(to, "\n  [{}]  - closed  # open  o half-open", self.bar(story))?;
        for change in &story.changes {
            self.write_change(to, change)?;
        }
        Ok(())
    }

    fn write_change(&self, to: &mut String, change: &Change) -> fmt::Result {
        let Change { at, to: state, reason, open_for, rejected, .. } = change;
        write!(to, "  {}  {:9}  {reason}", When(*at), state.as_str())?;
        if let Some(span) = open_for {
            write!(to, ", for {}", Lasting(*span))?;
        }
        if rejected.requests > 0 {
            let Rejected { requests, succeeded } = rejected;
            write!(to, ": rejected {requests}, of which {succeeded} had succeeded")?;
        }
        writeln!(to)
    }

    /// The whole log in one line. A state that lasted for a part of a character is shown, the worst
    /// of several.
    fn bar(&self, story: &Story) -> String {
        let step = (self.end.since(self.begin).as_nanos() / WIDTH).max(1);
        let place = |at: Timestamp| at.since(self.begin).as_nanos() / step;
        let states = story.states(self.begin, self.end);
        let shown = |n: u64| {
            let is_there =
                |it: &&(State, Timestamp, Timestamp)| (place(it.1)..=place(it.2)).contains(&n);
            let worst =
                states.iter().filter(is_there).map(|(state, ..)| *state).max_by_key(|state| {
                    match state {
                        State::Closed => 0,
                        State::HalfOpen => 1,
                        State::Open => 2,
                    }
                });
            match worst {
                Some(State::Open) => '#',
                Some(State::HalfOpen) => 'o',
                Some(State::Closed) | None => '-',
            }
        };
        (0..WIDTH).map(shown).collect()
    }

    pub(super) fn json(&self) -> String {
        let circuits: Vec<Value> =
            self.circuits.iter().map(|(cluster, story)| self.circuit(cluster, story)).collect();
        let log = self.log;
        let bad: Vec<Value> = log
            .examples
            .iter()
            .map(|it| json!({ "line": it.line, "problem": it.problem }))
            .collect();
        let report = json!({
            "log": self.path.display().to_string(),
            "from": When(self.begin).to_string(),
            "to": When(self.end).to_string(),
            "lines": log.lines,
            "requests": log.requests.len(),
            "without_cluster": log.without_cluster,
            "bad_lines": log.bad,
            "first_bad_lines": bad,
            "circuits": circuits,
        });
        // Text and numbers always serialise.
        serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
    }

    fn circuit(&self, cluster: &Cluster, story: &Story) -> Value {
        let transitions: Vec<Value> = story.changes.iter().map(transition).collect();
        json!({
            "name": cluster.name,
            "mode": cluster.mode.as_str(),
            "requests": story.requests,
            "succeeded": story.succeeded,
            "failed": story.failed,
            "ignored": story.ignored,
            "slow": story.slow,
            "unguarded": story.unguarded,
            "opened": story.opened(),
            "not_closed_seconds": seconds(story.not_closed(self.begin, self.end)),
            "rejected": story.rejected.requests,
            "rejected_succeeded": story.rejected.succeeded,
            "transitions": transitions,
        })
    }
}

fn transition(change: &Change) -> Value {
    json!({
        "at": When(change.at).to_string(),
        "from": change.from.as_str(),
        "to": change.to.as_str(),
        "reason": change.reason,
        "open_for_seconds": change.open_for.map(seconds),
        "rejected": change.rejected.requests,
        "rejected_succeeded": change.rejected.succeeded,
    })
}

fn seconds(span: Span) -> f64 {
    span.as_unix_seconds()
}

/// `1 line`, `2 lines`.
struct Count(u64, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

/// RFC 3339, to the millisecond.
struct When(Timestamp);

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Instant::from_nanosecond(i128::from(self.0.as_nanos())) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => f.write_str("later than any clock"),
        }
    }
}

/// `2h 5m 3.250s`.
struct Lasting(Span);

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_nanos() / 1_000_000;
        let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
        if hours > 0 {
            write!(f, "{hours}h ")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes}m ")?;
        }
        write!(f, "{}s", (millis % 60_000) as f64 / 1_000.0)
    }
}
