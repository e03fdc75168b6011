//! The circuits as a reader of the status is shown them.

use std::rc::Rc;

use super::index::owner_of;
use super::ledger::Others;
use super::{Failed, Host, Panel, Past, Seat};
use crate::breaker::{Lease, Phase, Record, Stage, State, Tally, TripReason};
use crate::config::{CircuitPolicy, Mode};
use crate::metrics::Metric;
use crate::time::{Span, Timestamp};

/// One circuit at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub name: String,
    pub mode: Mode,
    pub state: State,
    pub generation: u32,
    /// Why it opened, while it is not closed.
    pub reason: Option<String>,
    /// What counts towards a trip; while not closed, what counted when it tripped.
    pub tally: Tally,
    /// How long ago the last failure was.
    pub last_failure: Option<Span>,
    /// How long ago it opened, while it is not closed.
    pub opened: Option<Span>,
    /// Until the next probe may pass, while it is not closed.
    pub retry_after: Option<Span>,
    pub successes_total: u64,
    pub failures_total: u64,
    pub rejected_total: u64,
    pub would_reject_total: u64,
    pub would_reject_succeeded_total: u64,
    /// The state that is forced, for how long yet, and why.
    pub forced: Option<(State, Span, String)>,
    /// Only of a circuit that is asked for alone.
    pub details: Option<Details>,
}

/// What a reader of one circuit is told besides. Spans are ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    pub probes: Vec<Probe>,
    /// The oldest first.
    pub transitions: Vec<(Span, Past)>,
    pub failures: Vec<(Span, Failed)>,
    pub policy: Rc<CircuitPolicy>,
}

/// A probe in flight: since when, how far, and for how long yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub granted: Span,
    pub stage: &'static str,
    /// `None`: its headers are good, and all it has to do is to last.
    pub left: Option<Span>,
}

impl<H: Host> Panel<H> {
    /// Every circuit there is, and those configured by name that have no slot, in order of their
    /// names.
    pub fn views(&mut self) -> Vec<View> {
        self.count_rejections();
        let index = self.load_index();
        let named: Vec<String> = self.config.named().map(str::to_owned).collect();
        let others = self.ledger.others(&self.store);
        let slots = index.by_name();
        let now = self.now();
        index
            .names_with(&named)
            .into_iter()
            .filter_map(|name| self.view_with(name, slots.contains_key(name), &others, now))
            .collect()
    }

    /// One circuit; `None` where it is unknown.
    pub fn view(&mut self, name: &str) -> Option<View> {
        self.publish_failures();
        self.count_rejections();
        let others = self.ledger.others(&self.store);
        let has_slot = self.load_index().slot_of(name).is_some();
        let view = self.view_with(name, has_slot, &others, self.now())?;
        Some(View { details: Some(self.details(name)), ..view })
    }

    fn details(&self, name: &str) -> Details {
        let policy = self.config.policy(name);
        let guarded = match self.seats.get(name.as_bytes()) {
            Some(Seat::Guarded(seat)) => self.circuits.get(*seat).and_then(Option::as_ref),
            _ => None,
        };
        let Some(guarded) = guarded else {
            return Details { probes: vec![], transitions: vec![], failures: vec![], policy };
        };
        let now = self.now();
        let history = self.history(guarded.slot, guarded.circuit.owner());
        let ago = |at| now.since(at);
        Details {
            probes: probes(&guarded.circuit.snapshot().phase, now),
            transitions: history.transitions.into_iter().map(|it| (ago(it.at), it)).collect(),
            failures: history.failures.into_iter().map(|it| (ago(it.at), it)).collect(),
            policy,
        }
    }

    fn view_with(
        &mut self,
        name: &str,
        has_slot: bool,
        others: &Others,
        now: Timestamp,
    ) -> Option<View> {
        // A look must not give out a slot: only those that have one are looked up.
        if has_slot && let Seat::Guarded(seat) = self.seat(name.as_bytes()) {
            self.refresh(seat);
            return self.view_of(seat, others, now);
        }
        let is_named = self.config.named().any(|named| named == name);
        is_named.then(|| self.view_of_off(name))
    }

    fn view_of(&self, seat: usize, others: &Others, now: Timestamp) -> Option<View> {
        let guarded = self.circuits.get(seat)?.as_ref()?;
        let host = self.store.shared();
        let record = guarded.circuit.snapshot();
        let phase = shown(&record.phase, now);
        let tally = match record.phase {
            Phase::Closed { windows, run, .. } => {
                let own = guarded.circuit.evidence(now);
                let all = own.merged(others.evidence(record.owner, record.generation, now));
                let run = run.after(all.last_success).count();
                guarded.policy.breaker.trip.shown(run, windows.longest(now).plus(all.longest))
            }
            Phase::Open { trips, .. } | Phase::HalfOpen { trips, .. } => trips.tally,
        };
        let total = |metric| guarded.metrics.value(host, metric);
        let note = || {
            let (generation, note) = self.history(guarded.slot, record.owner).note;
            if generation == record.generation { note } else { String::new() }
        };
        let reason = phase.reason.map(|reason| match reason {
            TripReason::Forced => format!("override: {}", note()),
            reason => reason.to_string(),
        });
        let forced = record.forced(now).map(|(state, until)| (state, until.since(now), note()));
        Some(View {
            name: guarded.name.to_string(),
            mode: guarded.policy.mode,
            state: record.state_at(now),
            generation: record.generation,
            reason,
            tally,
            last_failure: record.last_failure.map(|at| now.since(at)),
            opened: phase.opened,
            retry_after: phase.retry_after,
            successes_total: total(Metric::Successes),
            failures_total: total(Metric::Failures),
            rejected_total: total(Metric::Rejected),
            would_reject_total: total(Metric::WouldReject),
            would_reject_succeeded_total: total(Metric::WouldRejectSucceeded),
            forced,
            details: None,
        })
    }

    /// A circuit that has a name but no record.
    fn view_of_off(&self, name: &str) -> View {
        let policy = self.config.policy(name);
        let record = Record::new(owner_of(name), self.epoch, &policy.breaker);
        View {
            name: name.to_owned(),
            mode: policy.mode,
            state: record.state(),
            generation: record.generation,
            reason: None,
            tally: Tally::NONE,
            last_failure: None,
            opened: None,
            retry_after: None,
            successes_total: 0,
            failures_total: 0,
            rejected_total: 0,
            would_reject_total: 0,
            would_reject_succeeded_total: 0,
            forced: None,
            details: None,
        }
    }
}

fn probes(phase: &Phase, now: Timestamp) -> Vec<Probe> {
    let Phase::HalfOpen { probes, .. } = phase else { return Vec::new() };
    let view = |lease: &Lease| {
        let (stage, left) = match lease.stage {
            Stage::Sending { until } => ("sending", Some(until.since(now))),
            Stage::Waiting { until } => ("waiting", Some(until.since(now))),
            Stage::Answered { .. } => ("answered", None),
        };
        Probe { granted: now.since(lease.granted), stage, left }
    };
    probes.iter().flatten().map(view).collect()
}

struct Shown {
    reason: Option<TripReason>,
    opened: Option<Span>,
    retry_after: Option<Span>,
}

fn shown(phase: &Phase, now: Timestamp) -> Shown {
    let (trips, retry_after) = match phase {
        Phase::Closed { .. } => return Shown { reason: None, opened: None, retry_after: None },
        Phase::Open { until, trips } => (trips, until.since(now)),
        Phase::HalfOpen { trips, .. } => (trips, Span::ZERO),
    };
    Shown {
        reason: Some(trips.reason),
        opened: Some(now.since(trips.at)),
        retry_after: Some(retry_after),
    }
}
