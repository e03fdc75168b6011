//! May this request pass?

use super::lapse::{Lapsed, lapse};
use super::transition::half_open;
use super::{
    Decision, Lease, MAX_PROBES, Permit, Phase, Policy, Probe, RESERVE, Record, RejectReason,
    Rejection, Request, Verdict,
};
use crate::time::{Span, Timestamp};

/// How soon to come back while half-open.
const HALF_OPEN_RETRY: Span = Span::from_secs(1);

/// The verdict, with what time had decided before (rule 5).
pub fn admit(
    policy: &Policy,
    record: &Record,
    now: Timestamp,
    request: Request,
) -> Decision<(Verdict, Lapsed)> {
    let lapsed = lapse(policy, record, now);
    let current = lapsed.next.as_ref().unwrap_or(record);
    let admitted = admit_now(policy, current, now, request);
    Decision {
        answer: (admitted.answer, lapsed.answer),
        next: admitted.next.or(lapsed.next),
        // One of the two at most: what lapses leaves half-open for a phase that admits or rejects
        // without a transition.
        transition: lapsed.transition.or(admitted.transition),
    }
}

fn admit_now(
    policy: &Policy,
    record: &Record,
    now: Timestamp,
    request: Request,
) -> Decision<Verdict> {
    match record.phase {
        Phase::Closed { .. } => Decision::unchanged(Verdict::Admit(Permit {
            generation: record.generation,
            started: now,
            probe: None,
        })),
        Phase::Open { until, .. } if now < until => reject(RejectReason::Open, until.since(now)),
        Phase::Open { .. } | Phase::HalfOpen { .. } if !request.may_probe => {
            reject(RejectReason::NoProbe, HALF_OPEN_RETRY)
        }
        Phase::HalfOpen { stalled: Some(at), .. } if !request.is_complete && now < at + RESERVE => {
            reject(RejectReason::NoProbe, HALF_OPEN_RETRY)
        }
        Phase::Open { trips, .. } => {
            let first = Lease::granted(policy, now, request);
            let moved = half_open(record, trips, first);
            let permit = probe_permit(&moved.record, now, 0, first);
            moved.decide(Verdict::Admit(permit))
        }
        Phase::HalfOpen { mut probes, passed, stalled, trips } => {
            let in_flight = probes.iter().flatten().count();
            let free = probes.iter().position(Option::is_none);
            let allowed = usize::from(policy.half_open.probes.get()).min(MAX_PROBES);
            let Some(slot) = free.filter(|_| in_flight < allowed) else {
                return reject(RejectReason::ProbesInFlight, HALF_OPEN_RETRY);
            };
            let lease = Lease::granted(policy, now, request);
            if let Some(held) = probes.get_mut(slot) {
                *held = Some(lease);
            }
            let phase = Phase::HalfOpen { probes, passed, stalled, trips };
            let next = Record { phase, ..*record };
            Decision::write(Verdict::Admit(probe_permit(&next, now, slot as u8, lease)), next)
        }
    }
}

fn probe_permit(record: &Record, now: Timestamp, slot: u8, lease: Lease) -> Permit {
    let probe = Some(Probe { slot, granted: lease.granted, is_answered: false });
    Permit { generation: record.generation, started: now, probe }
}

fn reject(reason: RejectReason, retry_after: Span) -> Decision<Verdict> {
    Decision::unchanged(Verdict::Reject(Rejection { reason, retry_after }))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use super::*;
    use crate::breaker::State;
    use crate::breaker::tests::*;

    fn verdict(policy: &Policy, record: &Record, now: Timestamp) -> Verdict {
        admit(policy, record, now, GET).answer.0
    }

    #[test]
    fn a_closed_circuit_admits_without_a_write() {
        let policy = policy();
        let decision = admit(&policy, &closed(&policy), at(5), GET);
        assert_eq!(decision.next, None);
        let expected = Permit { generation: 0, started: at(5), probe: None };
        assert_eq!(decision.answer.0, Verdict::Admit(expected));
    }

    #[test]
    fn an_open_circuit_rejects_until_its_wait_is_over_without_a_write() {
        let policy = policy();
        let record = open(&policy);
        for (millis, left) in [(1_000, 30_000), (30_999, 1)] {
            let decision = admit(&policy, &record, at(millis), GET);
            assert_eq!(decision.next, None);
            let expected =
                Rejection { reason: RejectReason::Open, retry_after: Span::from_millis(left) };
            assert_eq!(decision.answer.0, Verdict::Reject(expected));
        }
    }

    #[test]
    fn the_wait_that_was_promised_is_the_wait_that_works() {
        let policy = policy();
        let record = open(&policy);
        let asked = at(7_654);
        let Verdict::Reject(rejection) = verdict(&policy, &record, asked) else {
            panic!("admitted");
        };
        let promised = asked + rejection.retry_after;
        assert!(matches!(verdict(&policy, &record, promised), Verdict::Admit(_)));
        let early = Timestamp::from_nanos(promised.as_nanos() - 1);
        assert!(matches!(verdict(&policy, &record, early), Verdict::Reject(_)));
    }

    #[test]
    fn the_request_that_ends_the_wait_is_the_first_probe_and_counts_as_one() {
        let policy = policy();
        let decision = admit(&policy, &open(&policy), at(31_000), GET);
        let transition = decision.transition.unwrap();
        assert_eq!((transition.from, transition.to), (State::Open, State::HalfOpen));
        let next = decision.next.unwrap();
        let expected =
            Rejection { reason: RejectReason::ProbesInFlight, retry_after: Span::from_secs(1) };
        assert_eq!(verdict(&policy, &next, at(31_000)), Verdict::Reject(expected));
    }

    #[test]
    fn a_request_that_may_not_probe_waits_for_one_that_may_without_a_write() {
        let policy = policy();
        let (mut probing, _) = probing(&policy);
        if let Phase::HalfOpen { probes, .. } = &mut probing.phase {
            *probes = [None; MAX_PROBES];
        }
        for record in [open(&policy), probing] {
            let post = Request { may_probe: false, ..GET };
            let decision = admit(&policy, &record, at(31_000), post);
            assert_eq!((decision.next, decision.transition), (None, None));
            let expected =
                Rejection { reason: RejectReason::NoProbe, retry_after: Span::from_secs(1) };
            assert_eq!(decision.answer.0, Verdict::Reject(expected));
            let get = admit(&policy, &record, at(31_000), GET);
            assert!(permit(get.answer.0).probe.is_some());
        }
    }

    #[test]
    fn never_more_probes_than_the_policy_allows() {
        let mut policy = policy();
        policy.half_open.probes = NonZeroU8::new(16).unwrap();
        let mut record = open(&policy);
        let mut admitted = 0;
        for _ in 0..40 {
            let decision = admit(&policy, &record, at(31_000), GET);
            admitted += usize::from(matches!(decision.answer.0, Verdict::Admit(_)));
            record = decision.next.unwrap_or(record);
        }
        assert_eq!(admitted, 16);
    }

    #[test]
    fn a_probe_lost_on_a_lease_reopens_at_the_next_request() {
        let policy = policy();
        let (record, _) = probing(&policy);
        let decision = admit(&policy, &record, at(61_000), GET);
        assert_eq!(decision.answer.1.timed_out, 1);
        assert_eq!(decision.transition.unwrap().to, State::Open);
        assert!(matches!(decision.answer.0, Verdict::Reject(_)));
    }
}
