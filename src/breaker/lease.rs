//! The life of a probe's lease, from its grant to good response headers: rule 5.

use super::{Decision, Lease, Permit, Phase, Policy, Probe, Record, Request, Stage, State};
use crate::time::Timestamp;

impl Lease {
    /// A client that takes its time over a request is not the upstream's doing: until it has sent
    /// all of it the upstream owes no answer.
    pub(super) fn granted(policy: &Policy, now: Timestamp, request: Request) -> Self {
        let until = deadline(policy, now);
        let stage =
            if request.is_complete { Stage::Waiting { until } } else { Stage::Sending { until } };
        Self { granted: now, stage }
    }
}

/// The client has sent all of a probe's request: from here on the upstream has its time.
pub fn request_sent(
    policy: &Policy,
    record: &Record,
    now: Timestamp,
    permit: &Permit,
) -> Decision<()> {
    advance(record, permit, |stage| match stage {
        Stage::Sending { .. } => Some(Stage::Waiting { until: deadline(policy, now) }),
        Stage::Waiting { .. } | Stage::Answered { .. } => None,
    })
}

/// Good response headers of a probe have arrived: from here on its stream only has to stay alive.
/// The answer is the permit from here on. One that has no lease any more is judged by its end.
pub fn headers_arrived(record: &Record, now: Timestamp, permit: &Permit) -> Decision<Permit> {
    let advanced = advance(record, permit, |stage| match stage {
        Stage::Sending { .. } | Stage::Waiting { .. } => {
            Some(Stage::Answered { at: now.whole_millis() })
        }
        Stage::Answered { .. } => None,
    });
    let is_noted = advanced.next.is_some();
    let probe =
        permit.probe.map(|probe| Probe { is_answered: probe.is_answered || is_noted, ..probe });
    advanced.with(Permit { probe, ..*permit })
}

fn advance(
    record: &Record,
    permit: &Permit,
    next: impl FnOnce(Stage) -> Option<Stage>,
) -> Decision<()> {
    let mut advanced = *record;
    let Some(Some(lease)) = advanced.lease_of(permit) else {
        return Decision::unchanged(());
    };
    match next(lease.stage) {
        Some(stage) => {
            lease.stage = stage;
            Decision::write((), advanced)
        }
        None => Decision::unchanged(()),
    }
}

fn deadline(policy: &Policy, now: Timestamp) -> Timestamp {
    now.whole_millis() + policy.half_open.probe_timeout
}

impl Record {
    /// The slot whose lease `permit` holds.
    pub(super) fn lease_of(&mut self, permit: &Permit) -> Option<&mut Option<Lease>> {
        let probe = permit.probe.filter(|_| permit.generation == self.generation)?;
        let Phase::HalfOpen { probes, .. } = &mut self.phase else {
            return None;
        };
        let slot = probes.get_mut(usize::from(probe.slot))?;
        slot.is_some_and(|lease| lease.granted == probe.granted).then_some(slot)
    }

    /// Whether a permit without a lease is that of a probe whose client was slow: of those that
    /// are still to end, only the ones that have passed by time have given their slots back too.
    pub(super) fn has_stalled(&self, policy: &Policy, now: Timestamp, permit: &Permit) -> bool {
        let has_had_its_time =
            |probe: Probe| !probe.is_answered && deadline(policy, probe.granted) <= now;
        permit.generation == self.generation
            && self.state() == State::HalfOpen
            && permit.probe.is_some_and(has_had_its_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::tests::*;
    use crate::breaker::{
        Evidence, Outcome, Probe, RESERVE, Ratio, RatioRule, RejectReason, Settled, TripReason,
        Verdict, WindowSpan, admit, lapse, settle, slow,
    };
    use crate::time::Span;
    use std::num::{NonZeroU8, NonZeroU32};

    const UPLOAD: Request = Request { is_complete: false, may_probe: true };

    /// Half-open since 31 s with a probe whose client is still sending.
    fn uploading(policy: &Policy) -> (Record, Permit) {
        let decision = admit(policy, &open(policy), at(31_000), UPLOAD);
        (decision.next.unwrap(), permit(decision.answer.0))
    }

    #[test]
    fn a_client_that_never_finishes_its_request_gives_the_slot_back_without_a_verdict() {
        let policy = policy();
        let (record, _) = uploading(&policy);
        assert_eq!(lapse(&policy, &record, at(60_999)).next, None);
        let decision = lapse(&policy, &record, at(61_000));
        assert_eq!((decision.answer.timed_out, decision.transition), (0, None));
        let next = decision.next.unwrap();
        assert_eq!(next.state(), State::HalfOpen);
        assert!(matches!(admit(&policy, &next, at(61_000), GET).answer.0, Verdict::Admit(_)));
    }

    /// Half-open since 31 s, with the permit of a probe whose slot was given back at 61 s.
    fn stalled(policy: &Policy) -> (Record, Permit) {
        let (record, permit) = uploading(policy);
        (lapse(policy, &record, at(61_000)).next.unwrap(), permit)
    }

    fn ends(policy: &Policy, record: &Record, permit: &Permit, how: Outcome) -> Decision<Settled> {
        settle(policy, record, at(62_000), permit, &how.into(), &Evidence::ALONE)
    }

    #[test]
    fn requests_that_never_end_neither_reopen_nor_hold_more_slots_than_there_are() {
        let policy = policy();
        let mut record = open(&policy);
        let mut now = at(31_000);
        for _ in 0..100 {
            let decision = admit(&policy, &record, now, UPLOAD);
            assert!(matches!(decision.answer.0, Verdict::Admit(_)));
            now = now + Span::from_secs(30);
            record = lapse(&policy, &decision.next.unwrap(), now).next.unwrap();
            assert_eq!((record.state(), record.generation), (State::HalfOpen, 2));
            let Phase::HalfOpen { probes, .. } = record.phase else { panic!() };
            assert_eq!(probes, [None; crate::breaker::MAX_PROBES]);
            now = now + RESERVE;
        }
        assert_eq!(call(&policy, record, now, Outcome::Success).state(), State::Closed);
    }

    #[test]
    fn a_slot_that_a_slow_client_gave_back_is_for_requests_that_are_all_there_for_a_while() {
        let policy = policy();
        let (record, _) = stalled(&policy);
        let over = at(61_000) + RESERVE;
        let before = Timestamp::from_nanos(over.as_nanos() - 1);
        let decision = admit(&policy, &record, before, UPLOAD);
        let Verdict::Reject(rejection) = decision.answer.0 else { panic!("admitted") };
        assert_eq!((rejection.reason, decision.next), (RejectReason::NoProbe, None));
        for (now, request) in [(before, GET), (over, UPLOAD)] {
            assert!(matches!(admit(&policy, &record, now, request).answer.0, Verdict::Admit(_)));
        }
    }

    #[test]
    fn a_slot_is_kept_from_the_end_of_the_last_lease_that_a_slow_client_held() {
        let mut policy = policy();
        policy.half_open.probes = NonZeroU8::new(2).unwrap();
        let (record, _) = uploading(&policy);
        let both = admit(&policy, &record, at(35_000), UPLOAD).next.unwrap();
        for record in [both, lapse(&policy, &both, at(61_000)).next.unwrap()] {
            let lapsed = lapse(&policy, &record, at(65_500)).next.unwrap();
            let Phase::HalfOpen { stalled, .. } = lapsed.phase else { panic!() };
            assert_eq!(stalled, Some(at(65_000)));
        }
    }

    #[test]
    fn a_probe_whose_client_was_slow_passes_when_it_is_answered() {
        let policy = policy();
        let (record, permit) = stalled(&policy);
        assert_eq!(request_sent(&policy, &record, at(61_900), &permit).next, None);
        let noted = headers_arrived(&record, at(61_950), &permit);
        assert_eq!((noted.next, noted.answer), (None, permit));
        let passed = ends(&policy, &record, &permit, Outcome::Success);
        assert_eq!(
            (passed.answer, passed.next.unwrap().state()),
            (Settled::Counted, State::Closed)
        );
    }

    #[test]
    fn it_passes_beside_the_probe_that_has_its_slot_now() {
        let mut policy = policy();
        policy.half_open.successes = NonZeroU32::new(3).unwrap();
        let (record, permit) = stalled(&policy);
        let decision = admit(&policy, &record, at(61_500), GET);
        let other = crate::breaker::tests::permit(decision.answer.0);
        let passed = ends(&policy, &decision.next.unwrap(), &permit, Outcome::Success);
        let Phase::HalfOpen { probes, passed: 1, .. } = passed.next.unwrap().phase else {
            panic!("{passed:?}")
        };
        assert_eq!(probes[0].map(|lease| lease.granted), other.probe.map(|probe| probe.granted));
    }

    #[test]
    fn a_probe_whose_client_was_slow_reopens_when_it_fails() {
        let policy = policy();
        let (record, permit) = stalled(&policy);
        let failed = ends(&policy, &record, &permit, FAILURE);
        assert_eq!(failed.transition.unwrap().open_for, Some(Span::from_secs(60)));
        let failed = failed.next.unwrap();
        assert_eq!(failed.last_failure, Some(at(62_000)));
        let Phase::Open { trips, .. } = failed.phase else { panic!() };
        assert_eq!(trips.reason, TripReason::ProbeFailed);
    }

    #[test]
    fn a_probe_whose_client_was_slow_fails_by_being_slow_only_where_a_rule_looks_at_that() {
        let mut policy = policy();
        let (record, permit) = stalled(&policy);
        let late = |policy: &Policy| slow(policy, &record, at(62_000), &permit, &Evidence::ALONE);
        assert_eq!(late(&policy), Decision::unchanged(Settled::Counted));
        policy.trip.slow_ratio = Some(RatioRule {
            ratio: Ratio::new(0.8).unwrap(),
            minimum_requests: NonZeroU32::new(5).unwrap(),
            window: WindowSpan::new(Span::from_secs(10)).unwrap(),
        });
        assert_eq!(late(&policy).transition.unwrap().to, State::Open);
    }

    #[test]
    fn a_probe_whose_client_gives_up_after_its_lease_changes_nothing() {
        let policy = policy();
        let (record, permit) = stalled(&policy);
        let ended = ends(&policy, &record, &permit, Outcome::Ignored);
        assert_eq!(ended, Decision::unchanged(Settled::Counted));
    }

    #[test]
    fn a_probe_whose_client_was_slow_is_nobodys_once_its_half_open_is_over() {
        let policy = policy();
        let (record, permit) = stalled(&policy);
        let reopened = call(&policy, record, at(61_000), FAILURE);
        let probing = admit(&policy, &reopened, at(130_000), GET).next.unwrap();
        for record in [reopened, probing, call(&policy, record, at(61_000), Outcome::Success)] {
            for outcome in [Outcome::Success, FAILURE, Outcome::Ignored] {
                let ended = ends(&policy, &record, &permit, outcome);
                assert_eq!(ended, Decision::unchanged(Settled::Stale));
            }
        }
    }

    #[test]
    fn a_stream_that_has_passed_by_time_is_not_taken_for_one_whose_client_was_slow() {
        let mut policy = policy();
        policy.half_open.successes = NonZeroU32::new(2).unwrap();
        let (record, permit) = uploading(&policy);
        let answered = headers_arrived(&record, at(40_000), &permit);
        let passed = lapse(&policy, &answered.next.unwrap(), at(41_000)).next.unwrap();
        assert_eq!(passed.state(), State::HalfOpen);
        for outcome in [Outcome::Success, FAILURE, Outcome::Ignored] {
            let ended = ends(&policy, &passed, &answered.answer, outcome);
            assert_eq!(ended, Decision::unchanged(Settled::Stale));
        }
    }

    #[test]
    fn the_upstream_has_the_whole_lease_from_the_end_of_the_request() {
        let policy = policy();
        let (record, permit) = uploading(&policy);
        let sent = request_sent(&policy, &record, at(60_000), &permit).next.unwrap();
        assert_eq!(lapse(&policy, &sent, at(89_999)).next, None);
        assert_eq!(lapse(&policy, &sent, at(90_000)).answer.timed_out, 1);
        assert_eq!(request_sent(&policy, &sent, at(70_000), &permit).next, None);
    }

    #[test]
    fn an_answer_before_the_end_of_the_request_is_an_answer() {
        let policy = policy();
        let (record, permit) = uploading(&policy);
        let answered = headers_arrived(&record, at(31_100), &permit).next.unwrap();
        assert_eq!(request_sent(&policy, &answered, at(31_200), &permit).next, None);
        assert_eq!(lapse(&policy, &answered, at(32_100)).answer.passed, 1);
    }

    #[test]
    fn what_another_generation_or_lease_tells_is_not_this_probes() {
        let (record, permit) = probing(&policy());
        let late = Permit { generation: permit.generation - 1, ..permit };
        assert_eq!(headers_arrived(&record, permit.started, &late).next, None);
        let granted = permit.started + Span::from_nanos(1);
        let probe = permit.probe.map(|probe| Probe { granted, ..probe });
        let other = Permit { probe, ..permit };
        assert_eq!(headers_arrived(&record, permit.started, &other).next, None);
    }
}
