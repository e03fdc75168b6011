//! What must hold in every state, and what must hold in some, or else the rest was not tried.

use fusebox::breaker::{Permit, Phase, Policy, Record, State as Circuit, TripReason};
use fusebox::time::Timestamp;
use stateright::Property;

use crate::recovery::has_a_way_back;
use crate::shared::record_of;
use crate::world::{State, Workers};

pub const PROBES: &str = "at most `probes` live probes";
pub const WAY_BACK: &str = "a way back to closed";
pub const NOT_TWICE: &str = "no transition is told twice";
pub const NOT_LOST: &str = "no transition is lost but with its teller";
pub const NOT_EARLY: &str = "no transition is told before it is one";
pub const GENERATION: &str = "the generation never goes back";

const LOST_PROBE: &str = "a probe is lost and it reopens";

pub fn all(model: &Workers) -> Vec<Property<Workers>> {
    let mut all = vec![
        Property::always(PROBES, |model: &Workers, state: &State| {
            live_probes(&model.policy, state) <= usize::from(model.policy.half_open.probes.get())
        }),
        Property::always(WAY_BACK, has_a_way_back),
        Property::always(NOT_TWICE, |_, state: &State| !state.telling.has_repeated),
        Property::always(NOT_LOST, |model: &Workers, state: &State| {
            let generation = state.record(&model.policy).generation;
            !state.telling.has_skipped && generation <= state.telling.last
        }),
        Property::always(NOT_EARLY, |_, state: &State| state.telling.last <= state.highest),
        Property::always(GENERATION, |_, state: &State| {
            record_of(&state.stored).is_none_or(|record| record.generation >= state.highest)
        }),
        Property::sometimes("it recovers", |model: &Workers, state: &State| {
            let record = state.record(&model.policy);
            matches!(record.phase, Phase::Closed { recovered: Some(_), .. })
        }),
        Property::sometimes("it trips again after that", |model: &Workers, state: &State| {
            let Phase::Open { trips, .. } = state.record(&model.policy).phase else { return false };
            trips.in_a_row > 1 && trips.reason != TripReason::ProbeTimedOut
        }),
        Property::sometimes(LOST_PROBE, |model: &Workers, state: &State| {
            let Phase::Open { trips, .. } = state.record(&model.policy).phase else { return false };
            trips.reason == TripReason::ProbeTimedOut
        }),
        Property::sometimes("all probes are out", |model: &Workers, state: &State| {
            live_probes(&model.policy, state) == usize::from(model.policy.half_open.probes.get())
        }),
    ];
    // A trip, half-open, and then its lease: that takes three seconds.
    all.retain(|property| property.name != LOST_PROBE || model.end > 2);
    all
}

/// At the upstream, of workers alive and dead.
fn live_probes(policy: &Policy, state: &State) -> usize {
    let record = state.record(policy);
    let permits = state.workers.iter().flat_map(|worker| &worker.permits).chain(&state.orphans);
    permits.filter(|permit| is_live(policy, &record, state.now(), permit)).count()
}

/// Whether a probe of this half-open is still good: by the record, or by its grant, whatever the
/// record says. A probe that an earlier half-open has left behind is a request like any other.
pub fn is_live(policy: &Policy, record: &Record, now: Timestamp, permit: &Permit) -> bool {
    let Some(probe) = permit.probe else { return false };
    let holds_lease = match record.phase {
        Phase::HalfOpen { probes, .. } => {
            probes[usize::from(probe.slot)].is_some_and(|lease| lease.granted == probe.granted)
        }
        Phase::Closed { .. } | Phase::Open { .. } => false,
    };
    let is_granted = probe.granted.whole_millis() + policy.half_open.probe_timeout > now;
    permit.generation == record.generation && (holds_lease || is_granted)
}

pub fn is_closed(record: &Record) -> bool {
    record.state() == Circuit::Closed
        && !matches!(record.phase, Phase::Closed { forced_until: Some(_), .. })
}
