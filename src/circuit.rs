//! One circuit as one worker sees it: the policy, a snapshot of the record, and the successes this
//! worker has counted.
//!
//! The record in shared data is the truth. The snapshot answers where being at most one sync old
//! is good enough: admitting while closed, rejecting until the wait is over. All else goes through
//! the store.

use std::rc::Rc;

use crate::breaker::{
    self, Decision, Evidence, Lapsed, Outcome, Owner, Permit, Phase, Policy, Record, RejectReason,
    Rejection, Settled, State, Tally, Transition, Verdict, Windows,
};
use crate::clock::{Clock, WorkerClock};
use crate::store::{SharedData, Store, StoreError};
use crate::time::{Span, Timestamp};

/// Which record a circuit decides on.
#[derive(Clone, Debug)]
pub struct Place {
    pub key: Rc<str>,
    pub owner: Owner,
}

#[derive(Debug)]
pub struct Circuit {
    place: Place,
    policy: Policy,
    /// When the configuration that gave the policy was applied.
    epoch: Timestamp,
    snapshot: Record,
    successes: Successes,
}

/// The successes one worker has counted, of the snapshot's generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Successes {
    pub generation: u32,
    /// By the clock as last read, and so never later than it was: a success before a run of
    /// failures elsewhere must not end it.
    pub last: Option<Timestamp>,
    pub windows: Windows,
}

/// May this request pass?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Admit(Permit),
    /// The store gave up on a closed circuit (rule 9): the request passes and is not counted.
    Untracked,
    Reject(Rejection),
}

/// An answer with what there is to tell about it.
#[derive(Clone, Copy, Debug)]
pub struct Told<T> {
    pub answer: T,
    pub lapsed: Lapsed,
    pub transition: Option<Transition>,
}

impl<T> Told<T> {
    fn quietly(answer: T) -> Self {
        Self { answer, lapsed: Lapsed::default(), transition: None }
    }
}

/// The slot now belongs to another cluster: this circuit is to be looked up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evicted;

/// Why a record could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Evicted,
    Store,
}

impl From<StoreError> for Refused {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

impl Circuit {
    pub fn new(place: Place, policy: Policy, epoch: Timestamp) -> Self {
        let snapshot = Record::new(place.owner, epoch, &policy.trip);
        let successes = Successes::none(0, &policy);
        Self { place, policy, epoch, snapshot, successes }
    }

    pub const fn owner(&self) -> Owner {
        self.place.owner
    }

    pub const fn snapshot(&self) -> &Record {
        &self.snapshot
    }

    pub const fn successes(&self) -> &Successes {
        &self.successes
    }

    /// What this worker knows that the record does not.
    pub fn evidence(&self, now: Timestamp) -> Evidence {
        Evidence::of(&self.successes.windows, self.successes.last, now)
    }

    /// May a request pass now?
    pub fn admit<S: SharedData + Clock>(
        &mut self,
        store: &Store<S>,
        clock: &WorkerClock,
    ) -> Result<Told<Admission>, Evicted> {
        let now = if self.is_quiet() { clock.latest() } else { clock.read(store.shared()) };
        let decision = breaker::admit(&self.policy, &self.snapshot, now);
        let is_certain = self.snapshot.state() != State::HalfOpen && decision.next.is_none();
        let decided = if is_certain {
            Ok(decision)
        } else {
            let policy = self.policy;
            self.update(store, |record| breaker::admit(&policy, record, now))
        };
        match decided {
            Ok(Decision { answer: (verdict, lapsed), transition, .. }) => {
                let answer = match verdict {
                    Verdict::Admit(permit) => Admission::Admit(permit),
                    Verdict::Reject(rejection) => Admission::Reject(rejection),
                };
                Ok(Told { answer, lapsed, transition })
            }
            Err(Refused::Evicted) => Err(Evicted),
            Err(Refused::Store) => Ok(Told::quietly(self.admit_blindly())),
        }
    }

    /// Takes the outcome of an admitted request. `peers` reads what the other workers know, and is
    /// only called when a rule might trip.
    pub fn settle<S: SharedData + Clock>(
        &mut self,
        store: &Store<S>,
        clock: &WorkerClock,
        permit: &Permit,
        outcome: Outcome,
        peers: impl FnOnce(Timestamp) -> Evidence,
    ) -> Result<Told<Settled>, Evicted> {
        if permit.probe.is_none() && !matches!(outcome, Outcome::Failure { .. }) {
            return Ok(Told::quietly(self.settle_locally(permit, outcome, clock.latest())));
        }
        let policy = self.policy;
        let now = clock.read(store.shared());
        let known = self.evidence(now);
        let settle = |record: &Record, evidence: &Evidence| {
            breaker::settle(&policy, record, now, permit, outcome, evidence)
        };
        let mut decided = self.update(store, |record| settle(record, &known));
        if let Ok(Decision { answer: Settled::AskPeers, .. }) = decided {
            let all = Evidence { is_complete: true, ..known.merged(peers(now)) };
            decided = self.update(store, |record| settle(record, &all));
        }
        match decided {
            Ok(Decision { answer, transition, .. }) => {
                Ok(Told { answer, lapsed: Lapsed::default(), transition })
            }
            Err(Refused::Evicted) => Err(Evicted),
            // The verdict is lost; a probe's lease ends it.
            Err(Refused::Store) => Ok(Told::quietly(Settled::Stale)),
        }
    }

    /// Notes that good response headers of a probe have arrived.
    pub fn headers_arrived<S: SharedData + Clock>(
        &mut self,
        store: &Store<S>,
        clock: &WorkerClock,
        permit: &Permit,
    ) {
        let now = clock.read(store.shared());
        // Where it fails the probe is judged by its end or its lease.
        let _ = self.update(store, |record| breaker::headers_arrived(record, now, permit));
    }

    /// Reads the record again.
    pub fn refresh<S: SharedData>(&mut self, store: &Store<S>) -> Result<(), Evicted> {
        match store.load::<Record>(&self.place.key) {
            Ok(Some(record)) if record.owner != self.place.owner => Err(Evicted),
            Ok(record) => {
                self.take(record);
                Ok(())
            }
            // The snapshot stands until the host answers again.
            Err(_) => Ok(()),
        }
    }

    /// Ends the leases that time has decided (rule 5).
    pub fn lapse<S: SharedData>(
        &mut self,
        store: &Store<S>,
        now: Timestamp,
    ) -> Result<Told<()>, Evicted> {
        if breaker::lapse(&self.policy, &self.snapshot, now).next.is_none() {
            return Ok(Told::quietly(()));
        }
        let policy = self.policy;
        match self.update(store, |record| breaker::lapse(&policy, record, now)) {
            Ok(Decision { answer: lapsed, transition, .. }) => {
                Ok(Told { answer: (), lapsed, transition })
            }
            Err(Refused::Evicted) => Err(Evicted),
            Err(Refused::Store) => Ok(Told::quietly(())),
        }
    }

    /// Closed, and every failure followed by a success: nothing here depends on the exact time.
    fn is_quiet(&self) -> bool {
        match &self.snapshot.phase {
            Phase::Closed { run, .. } => run.after(self.successes.last).count() == 0,
            _ => false,
        }
    }

    /// Rule 9: what the snapshot allows when the store does not answer.
    fn admit_blindly(&self) -> Admission {
        let reason = match self.snapshot.state() {
            State::Closed => return Admission::Untracked,
            State::Open => RejectReason::Open,
            State::HalfOpen => RejectReason::ProbesInFlight,
        };
        Admission::Reject(Rejection { reason, retry_after: Span::from_secs(1) })
    }

    fn settle_locally(&mut self, permit: &Permit, outcome: Outcome, now: Timestamp) -> Settled {
        if permit.generation != self.snapshot.generation {
            return Settled::Stale;
        }
        if outcome == Outcome::Success {
            self.successes.last = Some(now);
            self.successes.windows.add(now, Tally::SUCCESS);
        }
        Settled::Counted
    }

    /// Changes the record, and takes the result as the snapshot. A record of another cluster is
    /// left alone; an absent one is a closed one.
    fn update<S: SharedData, T>(
        &mut self,
        store: &Store<S>,
        decide: impl Fn(&Record) -> Decision<T>,
    ) -> Result<Decision<T>, Refused> {
        let owner = self.place.owner;
        let (decision, record) = store.update(&self.place.key, |found| match found {
            Some(record) if record.owner != owner => Decision::unchanged(None),
            found => {
                let decision = decide(&self.adopted(found));
                // Whoever closes the circuit gives the windows their shape: where that was an older
                // configuration, the newer one finds its own epoch missing and reshapes (rule 10).
                let is_closing = decision.transition.is_some_and(|t| t.to == State::Closed);
                let epoch = |next| Record { config_epoch: self.epoch, ..next };
                Decision {
                    answer: Some(decision.answer),
                    next: if is_closing { decision.next.map(epoch) } else { decision.next },
                    transition: decision.transition,
                }
            }
        })?;
        let answer = decision.answer.ok_or(Refused::Evicted)?;
        self.take(record);
        Ok(Decision { answer, next: decision.next, transition: decision.transition })
    }

    fn adopted(&self, found: Option<&Record>) -> Record {
        found.map_or_else(
            || Record::new(self.place.owner, self.epoch, &self.policy.trip),
            |record| record.adopted(self.epoch, &self.policy.trip),
        )
    }

    fn take(&mut self, record: Option<Record>) {
        self.snapshot = self.adopted(record.as_ref());
        if self.successes.generation != self.snapshot.generation {
            self.successes = Successes::none(self.snapshot.generation, &self.policy);
        }
    }
}

impl Successes {
    const fn none(generation: u32, policy: &Policy) -> Self {
        Self { generation, last: None, windows: Windows::of(&policy.trip) }
    }
}
