//! One circuit as one worker sees it: the policy, a snapshot of the record, and the successes this
//! worker has counted.
//!
//! The record in shared data is the truth. The snapshot answers where being at most one sync old
//! is good enough: admitting while closed, rejecting until the wait is over. All else goes through
//! the store.

use std::mem;
use std::rc::Rc;

use crate::breaker::{
    self, Call, Decision, Evidence, Forced, Lapsed, Outcome, Owner, Pace, Permit, Phase, Policy,
    PolicyId, Record, RejectReason, Rejection, Request, Settled, State, Tally, Transition, Verdict,
    Windows,
};
use crate::clock::{Clock, WorkerClock};
use crate::store::{SharedData, Store, StoreError};
use crate::time::{Span, Timestamp};

/// Some syncs: the time as last read is that good.
const SOON: Span = Span::from_millis(100);

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
    /// Policies of newer configurations that were found in the record, and how many there were
    /// since that was last asked.
    conflict: Option<PolicyId>,
    conflicts: u32,
}

/// The fast successes one worker has counted, of the snapshot's generation.
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
        let snapshot = Record::new(place.owner, epoch, &policy);
        let successes = Successes::none(0, &policy);
        Self { place, policy, epoch, snapshot, successes, conflict: None, conflicts: 0 }
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

    /// How often the record was found to be shaped by a newer configuration with another policy,
    /// each of them once, since this was last asked.
    pub fn take_conflicts(&mut self) -> u32 {
        mem::take(&mut self.conflicts)
    }

    /// May a request pass now? `may_probe` is only called where it might have to be a probe.
    pub fn admit<S: SharedData + Clock>(
        &mut self,
        store: &Store<S>,
        clock: &WorkerClock,
        is_complete: bool,
        may_probe: impl FnOnce() -> bool,
    ) -> Result<Told<Admission>, Evicted> {
        let latest = clock.latest();
        let now = if self.is_quiet(latest) { latest } else { clock.read(store.shared()) };
        let policy = self.policy;
        let request = Request { is_complete, may_probe: true };
        let decision = breaker::admit(&policy, &self.snapshot, now, request);
        let is_certain = self.snapshot.state() != State::HalfOpen && decision.next.is_none();
        let decided = if is_certain {
            Ok(decision)
        } else {
            let request = Request { may_probe: may_probe(), ..request };
            self.update(store, |record| breaker::admit(&policy, record, now, request))
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

    /// Takes the end of an admitted call. `peers` reads what the other workers know, and is only
    /// called when a rule might trip.
    pub fn settle<S: SharedData + Clock>(
        &mut self,
        store: &Store<S>,
        clock: &WorkerClock,
        permit: &Permit,
        call: &Call,
        peers: impl FnOnce(Timestamp) -> Evidence,
    ) -> Result<Told<Settled>, Evicted> {
        let is_local = match call.outcome {
            Outcome::Success => call.pace == Pace::Fast,
            Outcome::Failure { .. } => false,
            Outcome::Ignored => true,
        };
        if permit.probe.is_none() && is_local {
            return Ok(Told::quietly(self.settle_locally(permit, call.outcome, clock.latest())));
        }
        let policy = self.policy;
        let now = clock.read(store.shared());
        self.judge(store, now, peers, |record, evidence| {
            breaker::settle(&policy, record, now, permit, call, evidence)
        })
    }

    /// Counts an admitted call that is taking too long.
    pub fn slow<S: SharedData + Clock>(
        &mut self,
        store: &Store<S>,
        clock: &WorkerClock,
        permit: &Permit,
        peers: impl FnOnce(Timestamp) -> Evidence,
    ) -> Result<Told<Settled>, Evicted> {
        let policy = self.policy;
        let now = clock.read(store.shared());
        self.judge(store, now, peers, |record, evidence| {
            breaker::slow(&policy, record, now, permit, evidence)
        })
    }

    /// Decides by what this worker knows, and where that is not enough by what all of them know.
    fn judge<S: SharedData>(
        &mut self,
        store: &Store<S>,
        now: Timestamp,
        peers: impl FnOnce(Timestamp) -> Evidence,
        decide: impl Fn(&Record, &Evidence) -> Decision<Settled>,
    ) -> Result<Told<Settled>, Evicted> {
        let known = self.evidence(now);
        let mut decided = self.update(store, |record| decide(record, &known));
        if let Ok(Decision { answer: Settled::AskPeers, .. }) = decided {
            let all = Evidence { is_complete: true, ..known.merged(peers(now)) };
            decided = self.update(store, |record| decide(record, &all));
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

    /// Forces a state for so long. `None` where the store gave up.
    pub fn force<S: SharedData + Clock>(
        &mut self,
        store: &Store<S>,
        clock: &WorkerClock,
        to: Forced,
        span: Span,
    ) -> Result<Option<Told<bool>>, Evicted> {
        let policy = self.policy;
        let now = clock.read(store.shared());
        let until = now.whole_millis() + span;
        self.steer(store, |record| breaker::force(&policy, record, now, to, until).with(true))
    }

    /// Ends what was forced, if anything was. `None` where the store gave up.
    pub fn unforce<S: SharedData + Clock>(
        &mut self,
        store: &Store<S>,
        clock: &WorkerClock,
    ) -> Result<Option<Told<bool>>, Evicted> {
        let policy = self.policy;
        let now = clock.read(store.shared());
        self.steer(store, |record| breaker::unforce(&policy, record, now))
    }

    fn steer<S: SharedData>(
        &mut self,
        store: &Store<S>,
        decide: impl Fn(&Record) -> Decision<bool>,
    ) -> Result<Option<Told<bool>>, Evicted> {
        match self.update(store, decide) {
            Ok(Decision { answer, transition, .. }) => {
                Ok(Some(Told { answer, lapsed: Lapsed::default(), transition }))
            }
            Err(Refused::Evicted) => Err(Evicted),
            Err(Refused::Store) => Ok(None),
        }
    }

    /// Notes that the client has sent all of a probe's request.
    pub fn request_sent<S: SharedData + Clock>(
        &mut self,
        store: &Store<S>,
        clock: &WorkerClock,
        permit: &Permit,
    ) {
        let policy = self.policy;
        let now = clock.read(store.shared());
        // Where it fails the lease gives the slot back.
        let _ = self.update(store, |record| breaker::request_sent(&policy, record, now, permit));
    }

    /// Notes that good response headers of a probe have arrived. What it settles with is the permit
    /// from now on.
    pub fn headers_arrived<S: SharedData + Clock>(
        &mut self,
        store: &Store<S>,
        clock: &WorkerClock,
        permit: &mut Permit,
    ) {
        let now = clock.read(store.shared());
        let noted = self.update(store, |record| breaker::headers_arrived(record, now, permit));
        // Where it fails the probe is judged by its end or its lease.
        if let Ok(Decision { answer, .. }) = noted {
            *permit = answer;
        }
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

    /// Whether time alone may change it.
    pub const fn is_timed(&self) -> bool {
        match self.snapshot.phase {
            Phase::HalfOpen { .. } => true,
            Phase::Closed { forced_until, .. } => forced_until.is_some(),
            Phase::Open { .. } => false,
        }
    }

    pub fn is_forced_closed(&self, now: Timestamp) -> bool {
        matches!(self.snapshot.forced(now), Some((State::Closed, _)))
    }

    /// Closed, and every failure followed by a success, or open for a while yet: nothing here
    /// depends on the exact time. An older one promises a wait that is longer by a sync.
    fn is_quiet(&self, latest: Timestamp) -> bool {
        match &self.snapshot.phase {
            Phase::Closed { run, .. } => run.after(self.successes.last).count() == 0,
            Phase::Open { until, .. } => latest + SOON < *until,
            Phase::HalfOpen { .. } => false,
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
            self.successes.windows.add(now, Tally::success(Pace::Fast));
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
                let epoch =
                    |next| Record { config_epoch: self.epoch, policy: self.policy.id, ..next };
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
        found.map_or_else(|| self.absent(), |record| record.adopted(self.epoch, &self.policy))
    }

    /// Where there is no record, there was none yet or it was lost: what was admitted under that one
    /// is of an earlier generation.
    fn absent(&self) -> Record {
        let Record { generation, last_failure, phase, .. } = &self.snapshot;
        let is_untouched = last_failure.is_none()
            && matches!(phase, Phase::Closed { recovered: None, forced_until: None, .. });
        let generation = generation.wrapping_add(u32::from(!is_untouched));
        Record { generation, ..Record::new(self.place.owner, self.epoch, &self.policy) }
    }

    fn take(&mut self, record: Option<Record>) {
        self.snapshot = self.adopted(record.as_ref());
        let theirs = self.snapshot.policy;
        if self.snapshot.is_at_odds_with(self.epoch, self.policy.id)
            && self.conflict != Some(theirs)
        {
            self.conflict = Some(theirs);
            self.conflicts = self.conflicts.saturating_add(1);
        }
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
