//! Transitions in words: a line for the log, a document for the webhook.

use std::fmt;

use serde::Serialize;

use crate::breaker::{Cause, TripReason};
use crate::config::Mode;
use crate::panel::Event;
use crate::time::{Span, Timestamp};

impl fmt::Display for TripReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConsecutiveFailures { failures } => {
                write!(f, "{failures} consecutive failure{}", plural(*failures))
            }
            Self::FailureRatio { failures, requests, window } => {
                write!(f, "{failures} of {requests} requests failed within {window}")
            }
            Self::Failures { failures, window } => {
                write!(f, "{failures} failure{} within {window}", plural(*failures))
            }
            Self::SlowRatio { slow, requests, window } => {
                write!(f, "{slow} of {requests} requests were slow within {window}")
            }
            Self::ProbeFailed => f.write_str("probe failed"),
            Self::ProbeTimedOut => f.write_str("probe timed out"),
            Self::ProbeSlow => f.write_str("probe was slow"),
            Self::Forced => f.write_str("override"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tripped(reason) => reason.fmt(f),
            Self::WaitOver => f.write_str("wait over"),
            Self::ForcedClosed => f.write_str("override"),
            Self::ForceOver => f.write_str("override over"),
            Self::Recovered { probes } => {
                write!(f, "{probes} probe{} succeeded", plural(*probes))
            }
        }
    }
}

/// The log line of a transition.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transition = &self.transition;
        write!(
            f,
            "circuit breaker state change circuit={} from={} to={} reason={:?} generation={}",
            Word(&self.circuit),
            transition.from.as_str(),
            transition.to.as_str(),
            self.reason(),
            transition.generation,
        )?;
        if let Some(span) = transition.open_for {
            write!(f, " open_for={span}")?;
        }
        match self.mode {
            Mode::Enforce => Ok(()),
            mode => write!(f, " mode={}", mode.as_str()),
        }
    }
}

/// What the webhook is told of a transition.
#[derive(Serialize)]
struct StateChange<'a> {
    event: &'static str,
    circuit: &'a str,
    mode: &'static str,
    from: &'static str,
    to: &'static str,
    reason: String,
    generation: u32,
    /// Unix seconds.
    timestamp: f64,
}

impl Event {
    /// Why, with an operator's own words where it was their doing.
    pub fn reason(&self) -> String {
        match &self.note {
            Some(note) => format!("override: {note}"),
            None => self.transition.reason.to_string(),
        }
    }

    /// The document for the webhook. `wall` is the time since the unix epoch, `now` the same
    /// instant on the monotonic clock.
    pub fn document(&self, now: Timestamp, wall: Span) -> Vec<u8> {
        let Self { circuit, mode, at, transition, .. } = self;
        let ago = now.whole_millis().since(at.whole_millis());
        let change = StateChange {
            event: "state_change",
            circuit,
            mode: mode.as_str(),
            from: transition.from.as_str(),
            to: transition.to.as_str(),
            reason: self.reason(),
            generation: transition.generation,
            timestamp: wall.less(ago).as_unix_seconds(),
        };
        // Text and numbers always serialise.
        serde_json::to_vec(&change).unwrap_or_default()
    }
}

/// A value of a `key=value` line: quoted and escaped where it would not read as one word.
#[derive(Debug)]
pub struct Word<'a>(pub &'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_word = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=');
        if !self.0.is_empty() && self.0.chars().all(is_word) {
            f.write_str(self.0)
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}

const fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::breaker::{State, Transition};
    use crate::config::Mode;

    fn opened(circuit: &str) -> Event {
        Event {
            circuit: Rc::from(circuit),
            mode: Mode::Enforce,
            note: None,
            at: Timestamp::from_nanos(5_000_000_007),
            transition: Transition {
                from: State::Closed,
                to: State::Open,
                reason: Cause::Tripped(TripReason::ConsecutiveFailures { failures: 5 }),
                generation: 3,
                open_for: Some(Span::from_secs(30)),
            },
        }
    }

    #[test]
    fn a_transition_is_one_line_of_key_value_pairs() {
        assert_eq!(
            opened("hf_api").to_string(),
            "circuit breaker state change circuit=hf_api from=closed to=open \
             reason=\"5 consecutive failures\" generation=3 open_for=30s"
        );
    }

    #[test]
    fn a_circuit_that_only_watches_says_so() {
        let line = Event { mode: Mode::Shadow, ..opened("hf_api") }.to_string();
        assert!(line.ends_with(" open_for=30s mode=shadow"), "{line}");
    }

    #[test]
    fn an_operators_words_are_the_reason_and_stay_data() {
        let event = Event { note: Some(Rc::from("a \"b\"\nlevel=warn")), ..opened("hf_api") };
        let line = event.to_string();
        assert!(line.contains(r#"reason="override: a \"b\"\nlevel=warn" generation"#), "{line}");
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        let line = opened("a b\nlevel=warn").to_string();
        assert!(line.contains(r#"circuit="a b\nlevel=warn" from"#), "{line}");
    }

    #[test]
    fn the_webhook_is_told_all_of_a_transition_and_when_it_was() {
        let now = Timestamp::from_nanos(7_000_000_000);
        let document = opened("hf_api").document(now, Span::from_millis(1_703_700_002_250));
        let expected = r#"{"event":"state_change","circuit":"hf_api","mode":"enforce","from":"closed","to":"open","reason":"5 consecutive failures","generation":3,"timestamp":1703700000.25}"#;
        assert_eq!(String::from_utf8(document).unwrap(), expected);
    }

    #[test]
    fn a_name_cannot_forge_a_document() {
        let name = "a\",\"to\":\"closed\n";
        let document = opened(name).document(Timestamp::ZERO, Span::ZERO);
        let read: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!((&read["circuit"], &read["to"]), (&name.into(), &"open".into()));
        assert_eq!(read["timestamp"], 0.0);
    }

    #[test]
    fn reasons_give_their_figures() {
        let window = Span::from_secs(10);
        let ratio = TripReason::FailureRatio { failures: 12, requests: 20, window };
        assert_eq!(ratio.to_string(), "12 of 20 requests failed within 10s");
        let failures = TripReason::Failures { failures: 1, window };
        assert_eq!(failures.to_string(), "1 failure within 10s");
        assert_eq!(Cause::Recovered { probes: 2 }.to_string(), "2 probes succeeded");
    }
}
