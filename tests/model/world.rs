//! All workers over one record, and every step that any of them could take next.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};

use fusebox::breaker::{Outcome, Permit, Phase, Policy, Record, State as Circuit};
use fusebox::circuit::Admission;
use fusebox::time::{Span, Timestamp};
use stateright::{Model, Property};

use crate::flaw::Flaw;
use crate::kept::{Kept, fingerprint};
use crate::policy::policy;
use crate::properties;
use crate::seen::Seen;
use crate::shared::{Stored, Version, record_of};
use crate::telling::Telling;
use crate::worker::{Begun, Done, OWNER, Op, Worker, at};

const OUTCOMES: [Outcome; 3] =
    [Outcome::Success, Outcome::Failure { reset: false }, Outcome::Ignored];
/// Failures that a circuit which is forced closed counts at most: they change nothing else.
const MOST_COUNTED: u32 = 1;

/// What is explored.
#[derive(Clone)]
pub struct Workers {
    pub count: usize,
    pub policy: Policy,
    /// The last second.
    pub end: u64,
    /// Requests in flight per worker at most.
    pub in_flight: usize,
    /// Whether clients send requests that they may never finish.
    pub has_uploads: bool,
    pub budget: Budget,
    pub flaw: Option<Flaw>,
    /// What was done before: most steps differ in nothing that the worker could see.
    pub done: Arc<RwLock<HashMap<u64, Arc<Done>>>>,
    /// From where a way back is known.
    pub ways_back: Arc<RwLock<HashSet<u64>>>,
    pub seen: Arc<Seen>,
}

/// How much may happen of what could happen without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// What operators do.
    pub orders: u8,
    /// Requests that end without a verdict.
    pub ignored: u8,
    pub deaths: u8,
}

/// No bound of its own: the states repeat.
pub const UNBOUNDED: u8 = u8::MAX;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub now: u64,
    pub stored: Stored,
    pub workers: Vec<Worker>,
    /// Probes at the upstream whose workers are dead.
    pub orphans: Vec<Permit>,
    pub left: Budget,
    pub telling: Telling,
    /// The highest generation there ever was.
    pub highest: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A worker reads; what needs no write is done with that.
    Begin(usize, Op),
    /// And later swaps, and tells what the swap has won.
    Finish(usize),
    /// And later swaps, and dies before it tells anyone.
    FinishAndDie(usize),
    /// A worker dies, and another takes its place. What it had begun is never done.
    Die(usize),
    Wait,
    Rot,
}

impl State {
    pub fn now(&self) -> Timestamp {
        at(self.now)
    }

    /// The time as read by a request that asks to pass. Readings of nanoseconds do not repeat, and
    /// probes are told apart by them.
    fn reading(&self) -> Timestamp {
        let begun = self.workers.iter().filter_map(|worker| worker.begun.as_ref());
        let permits = self.workers.iter().flat_map(|worker| &worker.permits).chain(&self.orphans);
        let probes = permits.filter_map(|permit| permit.probe);
        let used: Vec<Timestamp> =
            begun.map(|begun| begun.at).chain(probes.map(|probe| probe.granted)).collect();
        let mut reading = self.now();
        while used.contains(&reading) {
            reading = reading.next();
        }
        reading
    }

    /// The record, or the one that its absence means.
    pub fn record(&self, policy: &Policy) -> Arc<Record> {
        let fresh = || Arc::new(Record::new(OWNER, Timestamp::ZERO, policy));
        record_of(&self.stored).unwrap_or_else(fresh)
    }

    /// The same state with everything in it that tells nothing apart made the same: workers are
    /// interchangeable, and so are requests; a cas only has to be that of the record or not.
    fn canonical(mut self, policy: &Policy) -> Self {
        let record = self.record(policy);
        let now = self.now();
        self.orphans.retain(|permit| properties::is_live(policy, &record, now, permit));
        self.orphans.sort_by_key(fingerprint);
        let mut versions: Vec<u32> = self.versions().map(|version| version.cas).collect();
        versions.sort_unstable();
        versions.dedup();
        for version in self.versions() {
            version.cas = 1 + versions.binary_search(&version.cas).unwrap() as u32;
        }
        for worker in &mut self.workers {
            worker.permits.sort_by_key(fingerprint);
        }
        self.workers.sort_by_cached_key(fingerprint);
        self
    }

    fn versions(&mut self) -> impl Iterator<Item = &mut Version> {
        let begun = self.workers.iter_mut().filter_map(|worker| worker.begun.as_mut());
        begun.filter_map(|begun| begun.read.as_mut()).chain(self.stored.as_mut())
    }
}

impl Workers {
    pub fn new(count: usize, probes: u8) -> Self {
        Self {
            count,
            policy: policy(probes),
            end: 4,
            in_flight: 1,
            has_uploads: false,
            budget: Budget { orders: 0, ignored: UNBOUNDED, deaths: UNBOUNDED },
            flaw: None,
            done: Arc::default(),
            ways_back: Arc::default(),
            seen: Arc::default(),
        }
    }

    pub fn until(self, end: u64) -> Self {
        Self { end, ..self }
    }

    /// The same with a flaw.
    pub fn broken(mut self, flaw: Flaw) -> Self {
        if flaw == Flaw::LeasesNeverEnd {
            self.policy.half_open.probe_timeout = Span::from_secs(1_000_000);
        }
        Self { flaw: Some(flaw), ..self }
    }

    /// The worker reads the clock and the record.
    pub fn begin(&self, state: &mut State, n: usize, op: Op) {
        let at = if matches!(op, Op::Admit { .. }) { state.reading() } else { state.now() };
        let begun = Begun { op, at, read: state.stored.clone() };
        let done = self.perform(state, n, &begun);
        if done.has_swapped {
            if self.flaw == Some(Flaw::TellsEarly) {
                state.telling.tell(done.transition);
            }
            state.workers[n].begun = Some(begun);
        } else {
            // Nobody can tell when this is finished.
            self.look_at(state, &done);
            state.workers[n] = done.worker.clone();
        }
    }

    /// The worker does what it has begun.
    pub fn finish(&self, state: &mut State, n: usize, dies: bool) {
        let Some(begun) = state.workers[n].begun.take() else { return };
        let done = self.perform(state, n, &begun);
        self.look_at(state, &done);
        state.stored = done.stored.clone();
        state.workers[n] = done.worker.clone();
        state.highest = state.highest.max(record_of(&state.stored).map_or(0, |r| r.generation));
        match self.flaw {
            _ if dies => {
                state.telling.lose(done.transition);
                self.die(state, n);
            }
            Some(Flaw::TellsEarly) => {}
            Some(Flaw::ForgetsAfterRaces) if done.has_lost => {}
            _ => state.telling.tell(done.transition),
        }
    }

    fn perform(&self, state: &State, n: usize, begun: &Begun) -> Arc<Done> {
        let worker = &state.workers[n];
        let key = fingerprint(&(worker, begun, &state.stored));
        if let Some(done) = self.done.read().unwrap().get(&key) {
            return done.clone();
        }
        let done = worker.perform(&self.policy, begun, state.stored.clone(), self.flaw);
        let done = Arc::new(done);
        self.done.write().unwrap().insert(key, done.clone());
        done
    }

    fn die(&self, state: &mut State, n: usize) {
        spend(&mut state.left.deaths);
        let new = Worker::new(&self.policy, &state.stored, state.now());
        let dead = std::mem::replace(&mut state.workers[n], new);
        state.orphans.extend(dead.permits);
    }

    fn look_at(&self, state: &State, done: &Done) {
        let truth = state.record(&self.policy);
        let count = match done.admission {
            _ if done.has_lost => &self.seen.lost_races,
            Some(Admission::Admit(permit)) if permit.generation < truth.generation => {
                &self.seen.late_admissions
            }
            Some(Admission::Reject(_)) if !done.has_swapped && truth.state() == Circuit::Closed => {
                &self.seen.late_rejections
            }
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn requests(&self, worker: &Worker, ops: &mut Vec<Op>) {
        if worker.permits.len() < self.in_flight {
            ops.push(Op::Admit { is_complete: true });
            if self.has_uploads {
                ops.push(Op::Admit { is_complete: false });
            }
        }
        let mut permits = worker.permits.clone();
        permits.dedup();
        for permit in permits {
            ops.extend(OUTCOMES.map(|outcome| Op::Settle(permit, outcome)));
            if permit.probe.is_some() {
                ops.push(Op::Headers(permit));
                if self.has_uploads {
                    ops.push(Op::Sent(permit));
                }
            }
        }
    }
}

fn spend(left: &mut u8) {
    if *left != UNBOUNDED {
        *left -= 1;
    }
}

impl Model for Workers {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let new = Worker::new(&self.policy, &None, at(1));
        vec![State {
            now: 1,
            stored: None,
            workers: vec![new; self.count],
            orphans: Vec::new(),
            left: self.budget,
            telling: Telling::default(),
            highest: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (n, worker) in state.workers.iter().enumerate() {
            let may_die = state.left.deaths > 0;
            actions.extend(may_die.then_some(Action::Die(n)));
            if worker.begun.is_some() {
                actions.push(Action::Finish(n));
                actions.extend(may_die.then_some(Action::FinishAndDie(n)));
                continue;
            }
            let mut ops = vec![Op::Sync];
            self.requests(worker, &mut ops);
            ops.retain(|op| !op.is_ignored() || state.left.ignored > 0);
            if state.left.orders > 0 {
                ops.extend([Op::ForceOpen, Op::ForceClosed, Op::Release]);
            }
            actions.extend(ops.into_iter().map(|op| Action::Begin(n, op)));
        }
        if state.now < self.end {
            actions.push(Action::Wait);
        }
        if self.flaw == Some(Flaw::RecordRots) && state.stored.is_some() {
            actions.push(Action::Rot);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(n, op) => {
                match op {
                    Op::ForceOpen | Op::ForceClosed | Op::Release => spend(&mut state.left.orders),
                    _ if op.is_ignored() => spend(&mut state.left.ignored),
                    _ => {}
                }
                self.begin(&mut state, n, op);
            }
            Action::Finish(n) => self.finish(&mut state, n, false),
            Action::FinishAndDie(n) => self.finish(&mut state, n, true),
            Action::Die(n) => self.die(&mut state, n),
            Action::Wait => state.now += 1,
            Action::Rot => {
                if let Some(version) = &mut state.stored {
                    *version = Version { bytes: Kept::new(&[0xff]), cas: version.cas + 1 };
                }
            }
        }
        let state = state.canonical(&self.policy);
        (state != *last).then_some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        match state.record(&self.policy).phase {
            Phase::Closed { run, .. } => run.count() <= MOST_COUNTED,
            _ => true,
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}
