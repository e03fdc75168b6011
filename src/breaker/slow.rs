//! What a call that is taking too long changes, before it has an outcome: an upstream that hangs
//! trips its circuit long before the calls run into their timeouts.

use super::settle::judge;
use super::transition::reopen;
use super::{Decision, Evidence, Permit, Phase, Policy, Record, Settled, Tally, TripReason};
use crate::time::Timestamp;

/// Counts the call that `permit` admitted as slow. To be told once for each; its outcome is settled
/// as ever when it comes.
pub fn slow(
    policy: &Policy,
    record: &Record,
    now: Timestamp,
    permit: &Permit,
    evidence: &Evidence,
) -> Decision<Settled> {
    if permit.generation != record.generation {
        return Decision::unchanged(Settled::Stale);
    }
    match record.phase {
        Phase::Closed { mut windows, run, recovered, .. } => {
            windows.add(now, Tally::SLOW);
            let run = run.after(evidence.last_success);
            judge(policy, record, now, (windows, run, recovered), None, evidence)
        }
        Phase::HalfOpen { trips, .. } => {
            let mut reopened = *record;
            match reopened.lease_of(permit) {
                None if !record.has_stalled(policy, now, permit) => {
                    Decision::unchanged(Settled::Stale)
                }
                // Slow is no failure, unless a rule looks at it.
                _ if policy.trip.slow_ratio.is_none() => Decision::unchanged(Settled::Counted),
                _ => reopen(policy, record, now, trips, (TripReason::ProbeSlow, None))
                    .decide(Settled::Counted),
            }
        }
        // No permit is given out while open.
        Phase::Open { .. } => Decision::unchanged(Settled::Stale),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::breaker::tests::*;
    use crate::breaker::{Call, Outcome, Pace, Ratio, RatioRule, State, WindowSpan, settle};
    use crate::time::Span;

    /// Trips when 4 of at least 5 calls within 10 s are slow.
    fn policy_of_slow() -> Policy {
        let mut policy = policy();
        policy.trip.slow_ratio = Some(RatioRule {
            ratio: Ratio::new(0.8).unwrap(),
            minimum_requests: NonZeroU32::new(5).unwrap(),
            window: WindowSpan::new(Span::from_secs(10)).unwrap(),
        });
        policy
    }

    const PERMIT: Permit = Permit { generation: 0, started: Timestamp::ZERO, probe: None };

    fn slow_alone(policy: &Policy, record: Record) -> Record {
        slow(policy, &record, at(1_000), &PERMIT, &Evidence::ALONE).next.unwrap()
    }

    fn ends(policy: &Policy, record: Record, outcome: Outcome) -> Record {
        let call = Call { pace: Pace::Slow, ..outcome.into() };
        let settled = settle(policy, &record, at(1_001), &PERMIT, &call, &Evidence::ALONE);
        settled.next.unwrap()
    }

    #[test]
    fn calls_that_hang_trip_the_circuit_before_they_end() {
        let policy = policy_of_slow();
        let hanging = (0..4).fold(closed(&policy), |record, _| slow_alone(&policy, record));
        assert_eq!(hanging.state(), State::Closed);
        let tripped = slow_alone(&policy, hanging);
        let Phase::Open { trips, .. } = tripped.phase else { panic!() };
        let window = Span::from_secs(10);
        assert_eq!(trips.reason, TripReason::SlowRatio { slow: 5, requests: 5, window });
    }

    #[test]
    fn a_slow_call_counts_as_slow_once_and_with_its_outcome_once() {
        let policy = policy_of_slow();
        for (outcome, failures) in [(Outcome::Success, 0), (FAILURE, 1)] {
            let ended = ends(&policy, slow_alone(&policy, closed(&policy)), outcome);
            let Phase::Closed { windows, .. } = ended.phase else { panic!() };
            let tally = windows.longest(at(1_001));
            assert_eq!((tally.slow, tally.timed()), (1, 1));
            assert_eq!((tally.failures, tally.requests()), (failures, 1));
        }
    }

    #[test]
    fn a_slow_success_ends_a_run() {
        let policy = policy();
        let failed = (0..4).fold(closed(&policy), |r, _| call(&policy, r, at(1_000), FAILURE));
        let ended = ends(&policy, slow_alone(&policy, failed), Outcome::Success);
        let again = (0..4).fold(ended, |r, _| call(&policy, r, at(1_002), FAILURE));
        assert_eq!(again.state(), State::Closed);
    }

    #[test]
    fn fast_calls_of_other_workers_keep_the_ratio_below_its_threshold() {
        let policy = policy_of_slow();
        let hanging = (0..4).fold(closed(&policy), |record, _| slow_alone(&policy, record));
        let alone = Evidence { is_complete: false, ..Evidence::ALONE };
        let asked = slow(&policy, &hanging, at(1_000), &PERMIT, &alone);
        assert_eq!(asked, Decision::unchanged(Settled::AskPeers));
        let theirs = Tally { successes: 2, fast: 2, ..Tally::NONE };
        let all = Evidence { slow: theirs, ..Evidence::ALONE };
        let decision = slow(&policy, &hanging, at(1_000), &PERMIT, &all);
        assert_eq!(decision.next.unwrap().state(), State::Closed);
    }

    #[test]
    fn a_slow_probe_fails_only_where_a_rule_looks_at_slowness() {
        let (record, permit) = probing(&policy());
        let slow_with =
            |policy: &Policy| slow(policy, &record, at(32_000), &permit, &Evidence::ALONE);
        assert_eq!(slow_with(&policy()), Decision::unchanged(Settled::Counted));
        let reopened = slow_with(&policy_of_slow());
        assert_eq!(reopened.transition.unwrap().to, State::Open);
    }

    #[test]
    fn a_slow_call_of_an_older_generation_changes_nothing() {
        let policy = policy_of_slow();
        let (half_open, _) = probing(&policy);
        for record in [half_open, open(&policy)] {
            let decision = slow(&policy, &record, at(31_000), &PERMIT, &Evidence::ALONE);
            assert_eq!(decision, Decision::unchanged(Settled::Stale));
        }
    }
}
