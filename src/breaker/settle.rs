//! What the outcome of an admitted request changes.

use super::transition::{close, reopen, trip};
use super::trip::Counts;
use super::{
    Call, Decision, Outcome, Pace, Permit, Phase, Policy, Record, Recovered, Run, Tally,
    TripReason, Window, WindowSpan, Windows,
};
use crate::time::{Span, Timestamp};

/// What became of a settled permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The outcome was taken.
    Counted,
    /// Rule 4: the permit was of another generation, or its lease was gone.
    Stale,
    /// A rule might trip: settle again with the other workers' successes. Nothing was changed.
    AskPeers,
}

/// What the record does not know: the successes of this worker, or of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub last_success: Option<Timestamp>,
    /// In the failure ratio's window.
    pub ratio: Tally,
    /// In the slow ratio's window.
    pub slow: Tally,
    /// In the longest window.
    pub longest: Tally,
    /// Whether the other workers were asked.
    pub is_complete: bool,
}

impl Evidence {
    /// No worker has seen a success.
    pub const ALONE: Self = Self {
        last_success: None,
        ratio: Tally::NONE,
        slow: Tally::NONE,
        longest: Tally::NONE,
        is_complete: true,
    };

    /// What one worker knows.
    pub fn of(successes: &Windows, last_success: Option<Timestamp>, now: Timestamp) -> Self {
        Self {
            last_success,
            ratio: successes.failure_ratio.map_or(Tally::NONE, |window| window.tally(now)),
            slow: successes.slow_ratio.map_or(Tally::NONE, |window| window.tally(now)),
            longest: successes.longest(now),
            is_complete: false,
        }
    }

    /// What two workers know together.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        Self {
            last_success: self.last_success.max(other.last_success),
            ratio: self.ratio.plus(other.ratio),
            slow: self.slow.plus(other.slow),
            longest: self.longest.plus(other.longest),
            is_complete: self.is_complete,
        }
    }
}

/// Takes the end of the call that `permit` admitted.
///
/// Fast successes of a closed circuit change nothing here: they are far too many to store one by
/// one, and come back as `evidence`. Slow ones are few and stored, so that what the workers count
/// for themselves is fast.
pub fn settle(
    policy: &Policy,
    record: &Record,
    now: Timestamp,
    permit: &Permit,
    call: &Call,
    evidence: &Evidence,
) -> Decision<Settled> {
    if permit.generation != record.generation {
        return Decision::unchanged(Settled::Stale);
    }
    match (record.phase, call.outcome) {
        (Phase::Closed { mut windows, run, recovered, .. }, Outcome::Failure { reset }) => {
            windows.add(now, Tally::failure(call.pace));
            let run = run.after(evidence.last_success).extended(now, permit.started, reset);
            let failed = Record { last_failure: Some(now), ..*record };
            judge(policy, &failed, now, (windows, run, recovered), call.retry_after, evidence)
        }
        (Phase::Closed { mut windows, run, recovered, forced_until }, Outcome::Success)
            if call.pace == Pace::Slow =>
        {
            windows.add(now, Tally::success(call.pace));
            let run = run.after(Some(now));
            let phase = Phase::Closed { windows, run, recovered, forced_until };
            Decision::write(Settled::Counted, Record { phase, ..*record })
        }
        (Phase::Closed { .. }, _) => Decision::unchanged(Settled::Counted),
        (Phase::HalfOpen { .. }, _) => settle_probe(policy, record, now, permit, call),
        // No permit is given out while open.
        (Phase::Open { .. }, _) => Decision::unchanged(Settled::Stale),
    }
}

/// Trips where the counts say so, or else keeps them.
pub(super) fn judge(
    policy: &Policy,
    record: &Record,
    now: Timestamp,
    (windows, run, recovered): (Windows, Run, Option<Recovered>),
    retry_after: Option<Span>,
    evidence: &Evidence,
) -> Decision<Settled> {
    let forced_until = match record.phase {
        Phase::Closed { forced_until, .. } => forced_until,
        Phase::Open { .. } | Phase::HalfOpen { .. } => None,
    };
    let counted = Phase::Closed { windows, run, recovered, forced_until };
    if forced_until.is_some() {
        return Decision::write(Settled::Counted, Record { phase: counted, ..*record });
    }
    let counts = count(policy, &windows, &run, now, evidence);
    if !evidence.is_complete && policy.trip.might_trip(&counts) {
        return Decision::unchanged(Settled::AskPeers);
    }
    match policy.trip.check(&counts) {
        Some(reason) => {
            let longest = windows.longest(now).plus(evidence.longest);
            let shown = policy.trip.shown(run.count(), longest);
            trip(policy, record, now, recovered, (reason, shown, retry_after))
                .decide(Settled::Counted)
        }
        None => Decision::write(Settled::Counted, Record { phase: counted, ..*record }),
    }
}

/// The figures the rules look at. A window that another configuration has shaped is not this one's
/// to judge.
fn count(
    policy: &Policy,
    windows: &Windows,
    run: &Run,
    now: Timestamp,
    evidence: &Evidence,
) -> Counts {
    let tally = |window: Option<Window>, span: Option<WindowSpan>| {
        let window = window.filter(|window| span.is_some_and(|span| window.is_shaped(span)))?;
        Some(window.tally(now))
    };
    let rules = &policy.trip;
    let ratio = tally(windows.failure_ratio, rules.failure_ratio.map(|rule| rule.window));
    let failures = tally(windows.failures, rules.failures.map(|rule| rule.window));
    let slow = tally(windows.slow_ratio, rules.slow_ratio.map(|rule| rule.window));
    Counts {
        run: run.count(),
        ratio: ratio.map_or(Tally::NONE, |tally| tally.plus(evidence.ratio)),
        failures: failures.map_or(0, |tally| tally.failures),
        slow: slow.map_or(Tally::NONE, |tally| tally.plus(evidence.slow)),
    }
}

fn settle_probe(
    policy: &Policy,
    record: &Record,
    now: Timestamp,
    permit: &Permit,
    call: &Call,
) -> Decision<Settled> {
    let mut next = *record;
    match next.lease_of(permit) {
        Some(slot) => *slot = None,
        None if record.has_stalled(policy, now, permit) => {}
        None => return Decision::unchanged(Settled::Stale),
    }
    let Phase::HalfOpen { probes, passed, stalled, trips } = next.phase else {
        return Decision::unchanged(Settled::Stale);
    };
    match call.outcome {
        Outcome::Ignored if next == *record => Decision::unchanged(Settled::Counted),
        Outcome::Ignored => Decision::write(Settled::Counted, next),
        Outcome::Failure { .. } => {
            let failed = Record { last_failure: Some(now), ..next };
            let why = (TripReason::ProbeFailed, call.retry_after);
            reopen(policy, &failed, now, trips, why).decide(Settled::Counted)
        }
        Outcome::Success => {
            let passed = passed.saturating_add(1);
            if passed >= policy.half_open.successes.get() {
                return close(policy, &next, now, trips, passed).decide(Settled::Counted);
            }
            let phase = Phase::HalfOpen { probes, passed, stalled, trips };
            Decision::write(Settled::Counted, Record { phase, ..next })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::breaker::tests::*;
    use crate::breaker::{Cause, State};
    use crate::time::Span;

    fn settle_alone(record: &Record, permit: &Permit, outcome: Outcome) -> Decision<Settled> {
        settle(&policy(), record, at(31_500), permit, &outcome.into(), &Evidence::ALONE)
    }

    fn fail_with(record: &Record, now: Timestamp, evidence: Evidence) -> Decision<Settled> {
        let permit = Permit { generation: 0, started: now, probe: None };
        settle(&policy(), record, now, &permit, &FAILURE.into(), &evidence)
    }

    fn failures(count: usize) -> Record {
        let policy = policy();
        (0..count)
            .fold(closed(&policy), |record, n| call(&policy, record, at(1_000 + n as u64), FAILURE))
    }

    #[test]
    fn stays_closed_below_the_threshold_and_trips_at_it() {
        assert_eq!(failures(4).state(), State::Closed);
        let tripped = failures(5);
        assert_eq!(tripped.state(), State::Open);
        assert_eq!(tripped.generation, 1);
        let Phase::Open { trips, .. } = tripped.phase else { panic!() };
        assert_eq!(trips.reason, TripReason::ConsecutiveFailures { failures: 5 });
        assert_eq!(trips.tally, Tally { failures: 5, fast: 5, ..Tally::NONE });
    }

    #[test]
    fn a_success_of_another_worker_ends_the_run_before_it_trips() {
        let record = failures(4);
        let now = at(1_010);
        let alone = Evidence { is_complete: false, ..Evidence::ALONE };
        let asked = fail_with(&record, now, alone);
        assert_eq!(asked, Decision::unchanged(Settled::AskPeers));
        let theirs = Evidence { last_success: Some(at(1_002)), ..Evidence::ALONE };
        let settled = fail_with(&record, now, theirs);
        let Phase::Closed { run, .. } = settled.next.unwrap().phase else { panic!() };
        assert_eq!(run.count(), 2);
    }

    #[test]
    fn successes_elsewhere_keep_the_ratio_below_its_threshold() {
        let mut policy = policy();
        policy.trip.consecutive_failures = None;
        let mut record = closed(&policy);
        let mine = Tally { successes: 10, fast: 10, ..Tally::NONE };
        let theirs = Tally { successes: 400, fast: 400, ..Tally::NONE };
        let known = Evidence { ratio: mine, longest: mine, is_complete: false, ..Evidence::ALONE };
        let all = known.merged(Evidence { ratio: theirs, longest: theirs, ..Evidence::ALONE });
        for n in 0..10 {
            let permit = Permit { generation: 0, started: at(n), probe: None };
            let try_with = |evidence: &Evidence| {
                settle(&policy, &record, at(n), &permit, &FAILURE.into(), evidence)
            };
            let decision = match try_with(&known) {
                Decision { answer: Settled::AskPeers, .. } => {
                    try_with(&Evidence { is_complete: true, ..all })
                }
                decision => decision,
            };
            record = decision.next.unwrap();
        }
        assert_eq!(record.state(), State::Closed);
    }

    #[test]
    fn a_fast_success_of_a_closed_circuit_is_not_written() {
        let record = failures(4);
        let permit = Permit { generation: 0, started: at(2_000), probe: None };
        let settled = settle_alone(&record, &permit, Outcome::Success);
        assert_eq!(settled, Decision::unchanged(Settled::Counted));
    }

    #[test]
    fn an_ignored_outcome_neither_ends_nor_extends_a_run() {
        let record = failures(4);
        let permit = Permit { generation: 0, started: at(2_000), probe: None };
        assert_eq!(settle_alone(&record, &permit, Outcome::Ignored).next, None);
        assert_eq!(call(&policy(), record, at(2_000), FAILURE).state(), State::Open);
    }

    #[test]
    fn twenty_streams_of_one_dying_connection_are_one_failure_in_the_run() {
        let policy = policy();
        let mut record = closed(&policy);
        let permit = Permit { generation: 0, started: at(100), probe: None };
        let good = Tally { successes: 100, fast: 100, ..Tally::NONE };
        let traffic = Evidence { ratio: good, longest: good, ..Evidence::ALONE };
        for _ in 0..20 {
            let reset = Outcome::Failure { reset: true };
            record =
                settle(&policy, &record, at(200), &permit, &reset.into(), &traffic).next.unwrap();
        }
        let Phase::Closed { windows, run, .. } = record.phase else { panic!() };
        assert_eq!(run.count(), 1);
        assert_eq!(windows.longest(at(200)).failures, 20);
    }

    #[test]
    fn a_probe_that_succeeds_closes_the_circuit_and_starts_afresh() {
        let (record, permit) = probing(&policy());
        let decision = settle_alone(&record, &permit, Outcome::Success);
        assert_eq!(decision.transition.unwrap().reason, Cause::Recovered { probes: 1 });
        let Phase::Closed { windows, run, .. } = decision.next.unwrap().phase else { panic!() };
        assert_eq!((windows.longest(at(31_500)), run), (Tally::NONE, Run::NONE));
    }

    #[test]
    fn a_probe_that_fails_reopens_at_once_with_the_longer_wait() {
        let (record, permit) = probing(&policy());
        let transition = settle_alone(&record, &permit, FAILURE).transition.unwrap();
        assert_eq!(transition.open_for, Some(Span::from_secs(60)));
        assert_eq!(transition.reason, Cause::Tripped(TripReason::ProbeFailed));
    }

    #[test]
    fn a_probe_that_fails_is_the_last_failure_and_the_last_opening() {
        let (record, permit) = probing(&policy());
        let reopened = settle_alone(&record, &permit, FAILURE).next.unwrap();
        assert_eq!(reopened.last_failure, Some(at(31_500)));
        let Phase::Open { trips, .. } = reopened.phase else { panic!("{reopened:?}") };
        assert_eq!((trips.at, trips.in_a_row), (at(31_500), 2));
    }

    #[test]
    fn an_ignored_probe_gives_its_slot_back_without_a_verdict() {
        let (record, probe) = probing(&policy());
        let decision = settle_alone(&record, &probe, Outcome::Ignored);
        assert_eq!(decision.transition, None);
        let next = crate::breaker::admit(&policy(), &decision.next.unwrap(), at(31_500), GET);
        assert!(permit(next.answer.0).probe.is_some());
    }

    #[test]
    fn a_late_answer_of_an_older_generation_changes_nothing() {
        let (record, permit) = probing(&policy());
        for outcome in [Outcome::Success, FAILURE, Outcome::Ignored] {
            let late = Permit { generation: permit.generation - 2, probe: None, ..permit };
            assert_eq!(settle_alone(&record, &late, outcome), Decision::unchanged(Settled::Stale));
        }
    }

    #[test]
    fn a_probe_is_settled_once() {
        let mut policy = policy();
        policy.half_open.successes = NonZeroU32::new(2).unwrap();
        let (record, permit) = probing(&policy);
        let now = at(31_500);
        let success = Outcome::Success.into();
        let once = settle(&policy, &record, now, &permit, &success, &Evidence::ALONE).next.unwrap();
        assert_eq!(once.state(), State::HalfOpen);
        let twice = settle(&policy, &once, now, &permit, &success, &Evidence::ALONE);
        assert_eq!(twice, Decision::unchanged(Settled::Stale));
    }

    #[test]
    fn as_many_probes_as_asked_for_have_to_succeed() {
        let mut policy = policy();
        policy.half_open.successes = NonZeroU32::new(3).unwrap();
        let succeed = |record| call(&policy, record, at(31_000), Outcome::Success);
        let two = succeed(succeed(open(&policy)));
        assert_eq!(two.state(), State::HalfOpen);
        assert_eq!(succeed(two).state(), State::Closed);
    }

    #[test]
    fn a_relapse_waits_longer_and_a_lasting_recovery_starts_over() {
        let policy = policy();
        let (record, permit) = probing(&policy);
        let closed = settle_alone(&record, &permit, Outcome::Success).next.unwrap();
        let trip_at =
            |millis| (0..5).fold(closed, |record, _| call(&policy, record, at(millis), FAILURE));
        let wait = |record: Record| match record.phase {
            Phase::Open { trips, .. } => trips.wait,
            phase => panic!("{phase:?}"),
        };
        assert_eq!(wait(trip_at(31_500 + 29_999)), Span::from_secs(60));
        assert_eq!(wait(trip_at(31_500 + 30_000)), Span::from_secs(30));
    }

    #[test]
    fn a_window_shaped_by_another_configuration_is_not_judged() {
        let mut mine = policy();
        mine.trip.consecutive_failures = None;
        let mut newer = mine;
        newer.trip.failure_ratio = newer.trip.failure_ratio.map(|rule| crate::breaker::RatioRule {
            window: crate::breaker::WindowSpan::new(Span::from_secs(20)).unwrap(),
            ..rule
        });
        let record = closed(&mine).adopted(at(5), &newer);
        let older = (0..50).fold(record, |record, _| call(&mine, record, at(1_000), FAILURE));
        assert_eq!(older.state(), State::Closed);
        assert_eq!(call(&newer, older, at(1_000), FAILURE).state(), State::Open);
    }
}
