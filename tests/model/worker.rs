//! One worker: what it remembers, and how it does one thing through the real [`Circuit`].

use std::rc::Rc;

use fusebox::breaker::{Evidence, Forced, Outcome, Owner, Permit, Phase, Policy, Transition};
use fusebox::circuit::{Admission, Circuit, Place, Told};
use fusebox::clock::WorkerClock;
use fusebox::store::Store;
use fusebox::time::{Span, Timestamp};

use crate::flaw::Flaw;
use crate::kept::Kept;
use crate::policy::SECOND;
use crate::shared::{Host, Stored, Version};

pub const OWNER: Owner = Owner(7);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Worker {
    /// The record as it last saw it.
    snapshot: Option<Kept>,
    /// When it last read the clock, where the snapshot makes a difference to that.
    latest: Timestamp,
    /// Its requests in flight.
    pub permits: Vec<Permit>,
    pub begun: Option<Begun>,
}

/// What a worker is about to do, with the time and the record as it read them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Begun {
    pub op: Op,
    pub at: Timestamp,
    pub read: Stored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Reads the record again and ends what time has decided.
    Sync,
    Admit {
        is_complete: bool,
    },
    Sent(Permit),
    Headers(Permit),
    Settle(Permit, Outcome),
    ForceOpen,
    ForceClosed,
    Release,
}

impl Op {
    /// Whether it ends a probe without a verdict.
    pub fn is_ignored(self) -> bool {
        matches!(self, Self::Settle(Permit { probe: Some(_), .. }, Outcome::Ignored))
    }
}

/// What came of it.
pub struct Done {
    pub worker: Worker,
    pub stored: Stored,
    /// Whether there was anything to write.
    pub has_swapped: bool,
    pub has_lost: bool,
    pub transition: Option<Transition>,
    pub admission: Option<Admission>,
}

impl Worker {
    /// A worker that has just started, which is to have read the record.
    pub fn new(policy: &Policy, stored: &Stored, now: Timestamp) -> Self {
        let idle = Self::default();
        let begun = Begun { op: Op::Sync, at: now, read: stored.clone() };
        let mut circuit = idle.circuit(policy);
        let store = Store::new(Host::new(begun.read, None, now, None));
        circuit.refresh(&store).unwrap();
        idle.with(&circuit, now)
    }

    /// Does what was begun, over what is `stored` by now.
    pub fn perform(
        &self,
        policy: &Policy,
        begun: &Begun,
        stored: Stored,
        flaw: Option<Flaw>,
    ) -> Done {
        let Begun { op, at, read } = begun;
        let store = Store::new(Host::new(read.clone(), stored, *at, flaw));
        let mut circuit = self.circuit(policy);
        let clock = self.clock();
        let mut permits = self.permits.clone();
        let mut admission = None;
        let alone = |_| Evidence::ALONE;
        let transition = match *op {
            Op::Sync if flaw == Some(Flaw::NeverSyncs) => None,
            Op::Sync => {
                let now = clock.read(store.shared());
                circuit.refresh(&store).unwrap();
                circuit.lapse(&store, now).unwrap().transition
            }
            Op::Admit { is_complete } => {
                let told = circuit.admit(&store, &clock, is_complete, || true).unwrap();
                if let Admission::Admit(permit) = told.answer {
                    // Only a reset asks when a request started that is no probe.
                    let started = permit.probe.map_or(Timestamp::ZERO, |probe| probe.granted);
                    permits.push(Permit { started, ..permit });
                }
                admission = Some(told.answer);
                told.transition
            }
            Op::Sent(permit) => {
                circuit.request_sent(&store, &clock, &permit);
                None
            }
            Op::Headers(permit) => {
                let place = permits.iter().position(|known| *known == permit).unwrap();
                circuit.headers_arrived(&store, &clock, &mut permits[place]);
                None
            }
            Op::Settle(permit, outcome) => {
                let place = permits.iter().position(|known| *known == permit).unwrap();
                let is_overdue = permit.probe.is_some()
                    && permit.started.whole_millis() + policy.half_open.probe_timeout <= *at;
                let call = match flaw {
                    Some(Flaw::ForgetsSlowClients) if is_overdue => Outcome::Ignored,
                    _ => outcome,
                };
                permits.remove(place);
                circuit.settle(&store, &clock, &permit, &call.into(), alone).unwrap().transition
            }
            Op::ForceOpen => forced(circuit.force(&store, &clock, Forced::Open, SECOND).unwrap()),
            Op::ForceClosed => {
                forced(circuit.force(&store, &clock, Forced::Closed, SECOND).unwrap())
            }
            Op::Release => forced(circuit.unforce(&store, &clock).unwrap()),
        };
        let latest = if clock.latest() < *at { self.latest } else { *at };
        let worker = Self { permits, begun: None, ..self.clone() }.with(&circuit, latest);
        let host = store.shared();
        Done {
            worker,
            stored: host.stored(),
            has_swapped: host.has_swapped(),
            has_lost: host.has_lost(),
            transition,
            admission,
        }
    }

    fn circuit(&self, policy: &Policy) -> Circuit {
        let place = Place { key: Rc::from("circuit"), owner: OWNER };
        let mut circuit = Circuit::new(place, *policy, Timestamp::ZERO);
        if let Some(bytes) = self.snapshot {
            let seen = Some(Version { bytes, cas: 1 });
            circuit.refresh(&Store::new(Host::new(seen, None, Timestamp::ZERO, None))).unwrap();
        }
        circuit
    }

    /// Just short of the time that was read: the next reading may be the same, and need not be told
    /// apart from it.
    fn clock(&self) -> WorkerClock {
        let clock = WorkerClock::default();
        let before = Timestamp::from_nanos(self.latest.as_nanos().saturating_sub(2));
        clock.read(&Host::new(None, None, before, None));
        clock
    }

    /// With the snapshot of `circuit`.
    fn with(self, circuit: &Circuit, latest: Timestamp) -> Self {
        let snapshot = circuit.snapshot();
        let is_dated = match snapshot.phase {
            Phase::Closed { forced_until, .. } => forced_until.is_some(),
            Phase::Open { .. } => true,
            Phase::HalfOpen { .. } => false,
        };
        let latest = if is_dated { latest } else { Timestamp::ZERO };
        Self { snapshot: Some(Kept::new(&snapshot.encode())), latest, ..self }
    }
}

fn forced(told: Option<Told<bool>>) -> Option<Transition> {
    told.and_then(|told| told.transition)
}

pub fn at(secs: u64) -> Timestamp {
    Timestamp::ZERO + Span::from_secs(secs)
}
