//! The ways from one phase to another. Each takes the record as it is and gives the next one
//! with the transition to tell of: rule 4.

use super::{
    Cause, Decision, Lease, MAX_PROBES, Phase, Policy, Record, Recovered, Run, Tally, Transition,
    TripReason, Trips, Windows,
};
use crate::time::{Span, Timestamp};

/// A transition on its way into a decision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) record: Record,
    pub(super) transition: Transition,
}

impl Moved {
    pub(super) fn decide<T>(self, answer: T) -> Decision<T> {
        Decision { answer, next: Some(self.record), transition: Some(self.transition) }
    }
}

/// Closed to open. A relapse within the last wait since the circuit closed goes on growing it.
pub(super) fn trip(
    policy: &Policy,
    record: &Record,
    now: Timestamp,
    recovered: Option<Recovered>,
    (reason, tally, retry_after): (TripReason, Tally, Option<Span>),
) -> Moved {
    let relapse = recovered.filter(|recovered| now.since(recovered.at) < recovered.wait);
    let in_a_row = relapse.map_or(0, |recovered| recovered.in_a_row);
    let trips = Trips { in_a_row, at: now, wait: Span::ZERO, reason, tally };
    opened(policy, record, now, trips, retry_after)
}

/// Half-open to open, with the next, longer wait.
pub(super) fn reopen(
    policy: &Policy,
    record: &Record,
    now: Timestamp,
    trips: Trips,
    (reason, retry_after): (TripReason, Option<Span>),
) -> Moved {
    opened(policy, record, now, Trips { reason, ..trips }, retry_after)
}

/// Open to half-open; the request that causes it is the first probe.
pub(super) fn half_open(record: &Record, trips: Trips, first: Lease) -> Moved {
    let mut probes = [None; MAX_PROBES];
    if let Some(slot) = probes.first_mut() {
        *slot = Some(first);
    }
    moved(record, Phase::HalfOpen { probes, passed: 0, stalled: None, trips }, Cause::WaitOver)
}

/// Half-open to closed, with nothing counted yet.
pub(super) fn close(
    policy: &Policy,
    record: &Record,
    now: Timestamp,
    trips: Trips,
    passed: u32,
) -> Moved {
    let recovered =
        Recovered { at: now.whole_millis(), in_a_row: trips.in_a_row, wait: trips.wait };
    moved(record, fresh(policy, Some(recovered), None), Cause::Recovered { probes: passed })
}

/// From anywhere to open. What comes after it waits as after a first trip.
pub(super) fn force_open(
    policy: &Policy,
    record: &Record,
    now: Timestamp,
    until: Timestamp,
) -> Moved {
    let tally = match record.phase {
        Phase::Closed { windows, run, .. } => policy.trip.shown(run.count(), windows.longest(now)),
        Phase::Open { trips, .. } | Phase::HalfOpen { trips, .. } => trips.tally,
    };
    let wait = until.since(now.whole_millis());
    let trips = Trips { in_a_row: 0, at: now, wait, reason: TripReason::Forced, tally };
    moved(record, Phase::Open { until, trips }, Cause::Tripped(TripReason::Forced))
}

/// From anywhere to closed.
pub(super) fn force_closed(policy: &Policy, record: &Record, until: Timestamp) -> Moved {
    moved(record, fresh(policy, None, Some(until)), Cause::ForcedClosed)
}

/// A circuit that was forced closed counts for itself again.
pub(super) fn unforce_closed(policy: &Policy, record: &Record) -> Moved {
    moved(record, fresh(policy, None, None), Cause::ForceOver)
}

/// Closed, with nothing counted yet.
fn fresh(policy: &Policy, recovered: Option<Recovered>, forced_until: Option<Timestamp>) -> Phase {
    Phase::Closed { windows: Windows::of(&policy.trip), run: Run::NONE, recovered, forced_until }
}

fn opened(
    policy: &Policy,
    record: &Record,
    now: Timestamp,
    trips: Trips,
    retry_after: Option<Span>,
) -> Moved {
    let in_a_row = trips.in_a_row.saturating_add(1);
    let wait = policy.open.wait(in_a_row, record.owner, now, retry_after);
    let trips = Trips { in_a_row, at: now, wait, ..trips };
    let phase = Phase::Open { until: now.whole_millis() + wait, trips };
    moved(record, phase, Cause::Tripped(trips.reason))
}

fn moved(record: &Record, phase: Phase, reason: Cause) -> Moved {
    let next = Record { generation: record.generation.wrapping_add(1), phase, ..*record };
    let open_for = match phase {
        Phase::Open { trips, .. } => Some(trips.wait),
        _ => None,
    };
    let transition = Transition {
        from: record.state(),
        to: next.state(),
        reason,
        generation: next.generation,
        open_for,
    };
    Moved { record: next, transition }
}
