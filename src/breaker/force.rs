//! A state that an operator sets: until its time is up, no outcome and no probe changes it.

use super::transition::{force_closed, force_open, unforce_closed};
use super::{Decision, Phase, Policy, Record, State, TripReason};
use crate::time::Timestamp;

/// What a circuit can be forced to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forced {
    /// Rejects without probes, and is half-open afterwards.
    Open,
    /// Admits and counts, but never trips, and counts afresh afterwards.
    Closed,
}

/// Forces a state until then; a state that is forced already is replaced.
pub fn force(
    policy: &Policy,
    record: &Record,
    now: Timestamp,
    to: Forced,
    until: Timestamp,
) -> Decision<()> {
    match to {
        Forced::Open => force_open(policy, record, now, until).decide(()),
        Forced::Closed => force_closed(policy, record, until).decide(()),
    }
}

/// Ends what was forced, as if its time were up. Says whether there was anything to end.
pub fn unforce(policy: &Policy, record: &Record, now: Timestamp) -> Decision<bool> {
    match (record.forced(now), record.phase) {
        (Some((State::Open, _)), Phase::Open { trips, .. }) => {
            // The transition comes with the first request, as after any wait.
            Decision::write(true, Record { phase: Phase::Open { until: now, trips }, ..*record })
        }
        (Some(_), _) => unforce_closed(policy, record).decide(true),
        (None, _) => Decision::unchanged(false),
    }
}

impl Record {
    /// The state that is forced at `now`, and until when.
    pub fn forced(&self, now: Timestamp) -> Option<(State, Timestamp)> {
        let until = match self.phase {
            Phase::Closed { forced_until, .. } => forced_until?,
            Phase::Open { until, trips } if trips.reason == TripReason::Forced => until,
            Phase::Open { .. } | Phase::HalfOpen { .. } => return None,
        };
        (now < until).then_some((self.state(), until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::tests::*;
    use crate::breaker::{
        Cause, Evidence, Permit, RejectReason, Rejection, Settled, Verdict, admit, lapse, settle,
    };
    use crate::time::Span;

    fn forced(record: &Record, to: Forced) -> Record {
        let decision = force(&policy(), record, at(1_000), to, at(61_000));
        assert_eq!(decision.next.unwrap().generation, record.generation + 1);
        decision.next.unwrap()
    }

    /// The call fails.
    fn ends(record: &Record, now: Timestamp, permit: &Permit) -> Decision<Settled> {
        settle(&policy(), record, now, permit, &FAILURE.into(), &Evidence::ALONE)
    }

    #[test]
    fn forced_open_rejects_until_its_time_is_up_and_is_half_open_then() {
        let policy = policy();
        let record = forced(&closed(&policy), Forced::Open);
        assert_eq!(record.forced(at(60_999)), Some((State::Open, at(61_000))));
        assert_eq!(record.forced(at(61_000)), None);
        let early = admit(&policy, &record, at(60_000), GET);
        let expected = Rejection { reason: RejectReason::Open, retry_after: Span::from_secs(1) };
        assert_eq!((early.answer.0, early.next), (Verdict::Reject(expected), None));
        let probe = admit(&policy, &record, at(61_000), GET);
        assert_eq!(probe.transition.unwrap().to, State::HalfOpen);
    }

    #[test]
    fn a_probe_that_fails_afterwards_waits_as_after_a_first_trip() {
        let policy = policy();
        let record = forced(&closed(&policy), Forced::Open);
        let decision = admit(&policy, &record, at(61_000), GET);
        let permit = permit(decision.answer.0);
        let failed = ends(&decision.next.unwrap(), at(61_500), &permit);
        assert_eq!(failed.transition.unwrap().open_for, Some(Span::from_secs(30)));
    }

    #[test]
    fn forced_closed_counts_and_never_trips() {
        let policy = policy();
        let mut record = forced(&open(&policy), Forced::Closed);
        assert_eq!(record.state(), State::Closed);
        for n in 0..100 {
            record = call(&policy, record, at(2_000 + n), FAILURE);
        }
        assert_eq!(record.state(), State::Closed);
        let Phase::Closed { windows, .. } = record.phase else { panic!() };
        assert_eq!(windows.longest(at(2_100)).failures, 100);
        assert_eq!(record.last_failure, Some(at(2_099)));
    }

    #[test]
    fn once_its_time_is_up_a_forced_closed_circuit_counts_afresh() {
        let policy = policy();
        let record = forced(&closed(&policy), Forced::Closed);
        let failing = (0..9).fold(record, |record, _| call(&policy, record, at(60_000), FAILURE));
        assert_eq!(lapse(&policy, &failing, at(60_999)).next, None);
        let over = lapse(&policy, &failing, at(61_000));
        let transition = over.transition.unwrap();
        assert_eq!((transition.from, transition.to), (State::Closed, State::Closed));
        assert_eq!(transition.reason, Cause::ForceOver);
        let fresh = over.next.unwrap();
        assert_eq!(fresh.forced(at(61_000)), None);
        assert_eq!(call(&policy, fresh, at(61_000), FAILURE).state(), State::Closed);
    }

    #[test]
    fn the_last_word_counts() {
        let policy = policy();
        let record = forced(&forced(&closed(&policy), Forced::Open), Forced::Closed);
        assert_eq!(record.forced(at(2_000)), Some((State::Closed, at(61_000))));
        let record = forced(&record, Forced::Open);
        assert_eq!(record.forced(at(2_000)), Some((State::Open, at(61_000))));
    }

    #[test]
    fn what_is_forced_can_be_ended_at_once() {
        let policy = policy();
        let open = forced(&closed(&policy), Forced::Open);
        let ended = unforce(&policy, &open, at(2_000));
        assert!(ended.answer);
        assert_eq!(ended.next.unwrap().state_at(at(2_000)), State::HalfOpen);
        let ended = unforce(&policy, &forced(&closed(&policy), Forced::Closed), at(2_000));
        assert_eq!(ended.transition.unwrap().reason, Cause::ForceOver);
        for record in [closed(&policy), crate::breaker::tests::open(&policy)] {
            assert_eq!(unforce(&policy, &record, at(2_000)), Decision::unchanged(false));
        }
    }

    #[test]
    fn outcomes_of_requests_that_were_in_flight_change_nothing() {
        let policy = policy();
        let record = forced(&closed(&policy), Forced::Closed);
        let before = Permit { generation: 0, started: at(0), probe: None };
        let late = ends(&record, at(2_000), &before);
        assert_eq!(late.next, None);
    }
}
