//! The life of a probe's lease, from its grant to good response headers: rule 5.

use super::{Decision, Lease, Permit, Phase, Policy, Record, Request, Stage};
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
pub fn headers_arrived(record: &Record, now: Timestamp, permit: &Permit) -> Decision<()> {
    advance(record, permit, |stage| match stage {
        Stage::Sending { .. } | Stage::Waiting { .. } => {
            Some(Stage::Answered { at: now.whole_millis() })
        }
        Stage::Answered { .. } => None,
    })
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::tests::*;
    use crate::breaker::{MAX_STALLS, Probe, State, Verdict, admit, lapse};
    use crate::time::Span;

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

    #[test]
    fn requests_that_never_end_do_not_keep_the_circuit_half_open_for_ever() {
        let policy = policy();
        let mut record = open(&policy);
        let mut now = at(31_000);
        for stalls in 0..=MAX_STALLS {
            assert_ne!(record.generation, 3, "after {stalls} stalls");
            let decision = admit(&policy, &record, now, UPLOAD);
            now = now + Span::from_secs(30);
            let lapsed = lapse(&policy, &decision.next.unwrap(), now);
            record = lapsed.next.unwrap();
        }
        assert_eq!(record.state(), State::Open);
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
