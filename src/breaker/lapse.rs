//! What time alone brings about: a probe whose stream lives on after good headers has passed, one
//! whose lease ran out has failed, and one that its client has not finished gives its slot back
//! (rule 5); a circuit that was forced closed counts for itself again.

use super::transition::{close, reopen, unforce_closed};
use super::{Decision, PROBE_GRACE, Phase, Policy, Record, Stage, TripReason};
use crate::time::Timestamp;

/// What [`lapse`] found, for the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lapsed {
    /// Probes that passed by outliving their headers.
    pub passed: u32,
    /// Probes whose lease ran out.
    pub timed_out: u32,
}

/// Ends the leases that time has decided.
pub fn lapse(policy: &Policy, record: &Record, now: Timestamp) -> Decision<Lapsed> {
    let mut lapsed = Lapsed::default();
    let (mut probes, passed, mut stalled, trips) = match record.phase {
        Phase::HalfOpen { probes, passed, stalled, trips } => (probes, passed, stalled, trips),
        Phase::Closed { forced_until: Some(until), .. } if until <= now => {
            return unforce_closed(policy, record).decide(lapsed);
        }
        Phase::Closed { .. } | Phase::Open { .. } => return Decision::unchanged(lapsed),
    };
    let mut is_changed = false;
    for slot in &mut probes {
        match slot.map(|lease| lease.stage) {
            Some(Stage::Answered { at }) if at + PROBE_GRACE <= now => {
                lapsed.passed = lapsed.passed.saturating_add(1);
            }
            Some(Stage::Waiting { until }) if until <= now => {
                lapsed.timed_out = lapsed.timed_out.saturating_add(1);
            }
            Some(Stage::Sending { until }) if until <= now => stalled = stalled.max(Some(until)),
            _ => continue,
        }
        *slot = None;
        is_changed = true;
    }
    let passed = passed.saturating_add(lapsed.passed);
    if passed >= policy.half_open.successes.get() {
        close(policy, record, now, trips, passed).decide(lapsed)
    } else if lapsed.timed_out > 0 {
        reopen(policy, record, now, trips, (TripReason::ProbeTimedOut, None)).decide(lapsed)
    } else if is_changed {
        let phase = Phase::HalfOpen { probes, passed, stalled, trips };
        Decision::write(lapsed, Record { phase, ..*record })
    } else {
        Decision::unchanged(lapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::tests::*;
    use crate::breaker::{State, headers_arrived};
    use crate::time::Span;

    #[test]
    fn a_lease_that_runs_out_without_headers_reopens_with_the_longer_wait() {
        let policy = policy();
        let (record, _) = probing(&policy);
        let deadline = at(61_000);
        let before = Timestamp::from_nanos(deadline.as_nanos() - 1);
        assert_eq!(lapse(&policy, &record, before), Decision::unchanged(Lapsed::default()));

        let decision = lapse(&policy, &record, deadline);
        assert_eq!(decision.answer, Lapsed { passed: 0, timed_out: 1 });
        let transition = decision.transition.unwrap();
        assert_eq!((transition.from, transition.to), (State::HalfOpen, State::Open));
        assert_eq!(transition.open_for, Some(Span::from_secs(60)));
    }

    #[test]
    fn a_stream_that_outlives_its_headers_by_a_second_has_passed() {
        let policy = policy();
        let (record, permit) = probing(&policy);
        let at = permit.started + Span::from_millis(100);
        let record = headers_arrived(&record, at, &permit).next.unwrap();
        assert_eq!(lapse(&policy, &record, at + Span::from_millis(999)).next, None);
        let decision = lapse(&policy, &record, at + PROBE_GRACE);
        assert_eq!(decision.answer, Lapsed { passed: 1, timed_out: 0 });
        assert_eq!(decision.next.unwrap().state(), State::Closed);
    }

    #[test]
    fn headers_at_the_last_moment_outlive_the_lease() {
        let policy = policy();
        let (record, permit) = probing(&policy);
        let deadline = at(61_000);
        let record = headers_arrived(&record, deadline, &permit).next.unwrap();
        assert_eq!(lapse(&policy, &record, deadline + Span::from_millis(1)).next, None);
    }
}
