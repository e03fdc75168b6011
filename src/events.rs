//! Transitions in words.

use std::fmt;

use crate::breaker::{Cause, TripReason};
use crate::config::Mode;
use crate::panel::Event;

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
            "circuit breaker state change circuit={} from={} to={} reason=\"{}\" generation={}",
            Word(&self.circuit),
            transition.from.as_str(),
            transition.to.as_str(),
            transition.reason,
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
    use crate::time::Span;

    fn opened(circuit: &str) -> Event {
        Event {
            circuit: Rc::from(circuit),
            mode: Mode::Enforce,
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
    fn a_name_cannot_forge_a_line() {
        let line = opened("a b\nlevel=warn").to_string();
        assert!(line.contains(r#"circuit="a b\nlevel=warn" from"#), "{line}");
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
