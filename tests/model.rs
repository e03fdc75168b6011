//! Every interleaving of a few workers over the real `admit`, `settle`, `lapse` and `Store`.
//!
//! A worker takes two steps for each thing it does: it reads the record, and some time later it
//! finishes the update from what it read. In between the others do what they like, time passes, and
//! the worker may die. The second step is the real [`Store::update`] over shared data whose first
//! answer is the stale one.
//!
//! A checker that finds nothing proves nothing, so the same model is run over shared data that
//! swaps blindly, and there it must find a fault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::cell::RefCell;
use std::num::{NonZeroU8, NonZeroU32};

use fusebox::breaker::{
    self, Backoff, Decision, Evidence, HalfOpen, Jitter, Multiplier, Outcome, Owner, Permit, Phase,
    Policy, PolicyId, Record, Request, Settled, State as Circuit, Transition, TripRules, Verdict,
};
use fusebox::store::{HostError, SharedData, Store, Swapped, Token};
use fusebox::time::{Span, Timestamp};
use stateright::{Checker, HasDiscoveries, Model, Property};

const OWNER: Owner = Owner(7);
const KEY: &str = "circuit";
/// A request without a body that may be a probe.
const GET: Request = Request { is_complete: true, may_probe: true };

/// A cell of shared data: its bytes and its cas.
type Cell = Option<(Vec<u8>, u32)>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    now: u64,
    shared: Cell,
    workers: Vec<Worker>,
    /// Generations whose transition was told, each as often as it was.
    told: Vec<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Worker {
    /// Requests in flight.
    permits: Vec<Permit>,
    /// What it is about to do, with the record as it read it.
    begun: Option<(Op, Cell)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Op {
    Admit,
    /// Of the request at this place.
    Settle(usize, Outcome),
    Headers(usize),
    Lapse,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Action {
    Begin(usize, Op),
    Finish(usize),
    Die(usize),
    Wait,
}

#[derive(Clone, Copy)]
struct Workers {
    count: usize,
    policy: Policy,
    /// Whether swaps succeed whatever the token.
    is_broken: bool,
    /// The last second.
    end: u64,
    /// Requests in flight per worker at most.
    in_flight: usize,
    /// Writes at most.
    writes: u32,
}

/// Trips at the first failure, opens for a second, probes on a lease of one: the shortest lives
/// in which everything can happen.
fn policy(probes: u8) -> Policy {
    Policy {
        id: PolicyId(0),
        trip: TripRules {
            consecutive_failures: NonZeroU32::new(1),
            failure_ratio: None,
            failures: None,
            slow_ratio: None,
        },
        open: Backoff::new(
            Span::from_secs(1),
            Multiplier::new(1.0).unwrap(),
            Span::from_secs(1),
            Jitter::NONE,
        )
        .unwrap(),
        half_open: HalfOpen {
            probes: NonZeroU8::new(probes).unwrap(),
            successes: NonZeroU32::new(u32::from(probes)).unwrap(),
            probe_timeout: Span::from_secs(1),
        },
    }
}

/// Shared data as a worker meets it that read some time ago.
struct Delayed {
    first: RefCell<Option<Cell>>,
    shared: RefCell<Cell>,
    is_broken: bool,
}

impl SharedData for Delayed {
    fn get(&self, _: &str) -> Result<Option<(Vec<u8>, Token)>, HostError> {
        let cell = self.first.take().unwrap_or_else(|| self.shared.borrow().clone());
        Ok(cell.map(|(bytes, cas)| (bytes, Token::new(cas).unwrap())))
    }

    fn swap(&self, _: &str, bytes: &[u8], token: Token) -> Result<Swapped, HostError> {
        let mut shared = self.shared.borrow_mut();
        let cas = shared.as_ref().map_or(0, |(_, cas)| *cas);
        if shared.is_some() && cas != token.get() && !self.is_broken {
            return Ok(Swapped::Lost);
        }
        *shared = Some((bytes.to_vec(), cas + 1));
        Ok(Swapped::Won)
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<Swapped, HostError> {
        self.swap(key, bytes, Token::MAX)
    }

    fn put(&self, _: &str, _: &[u8]) -> Result<(), HostError> {
        unreachable!("records are never overwritten")
    }
}

impl State {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO + Span::from_secs(self.now)
    }

    fn record(&self, policy: &Policy) -> Record {
        let stored = self.shared.as_ref().and_then(|(bytes, _)| Record::decode(bytes));
        stored.unwrap_or_else(|| Record::new(OWNER, Timestamp::ZERO, policy))
    }

    /// Probes in flight whose lease is still good.
    fn live_probes(&self, policy: &Policy) -> usize {
        let generation = self.record(policy).generation;
        let permits = self.workers.iter().flat_map(|worker| &worker.permits);
        permits
            .filter(|permit| permit.generation == generation)
            .filter(|permit| {
                let lease = policy.half_open.probe_timeout;
                permit.probe.is_some_and(|probe| probe.granted + lease > self.now())
            })
            .count()
    }
}

impl Workers {
    /// Runs the real store on `op`, from what was read.
    fn update<T: Copy>(
        &self,
        state: &mut State,
        read: Cell,
        decide: impl Fn(&Record) -> Decision<T>,
    ) -> T {
        let store = Store::new(Delayed {
            first: RefCell::new(Some(read)),
            shared: RefCell::new(state.shared.clone()),
            is_broken: self.is_broken,
        });
        let (decision, _) = store
            .update(KEY, |found| {
                let fresh = Record::new(OWNER, Timestamp::ZERO, &self.policy);
                decide(found.unwrap_or(&fresh))
            })
            .unwrap();
        state.shared = store.shared().shared.borrow().clone();
        if let Some(Transition { generation, .. }) = decision.transition {
            state.told.push(generation);
            state.told.sort_unstable();
        }
        decision.answer
    }

    fn finish(&self, state: &mut State, worker: usize) {
        let Some((op, read)) = state.workers[worker].begun.take() else {
            return;
        };
        let (policy, now) = (self.policy, state.now());
        match op {
            Op::Admit => {
                let decide = |record: &Record| breaker::admit(&policy, record, now, GET);
                if let (Verdict::Admit(permit), _) = self.update(state, read, decide) {
                    state.workers[worker].permits.push(permit);
                }
            }
            Op::Settle(place, outcome) => {
                let permit = state.workers[worker].permits.remove(place);
                let settled = self.update(state, read, |record| {
                    breaker::settle(
                        &policy,
                        record,
                        now,
                        &permit,
                        &outcome.into(),
                        &Evidence::ALONE,
                    )
                });
                assert_ne!(settled, Settled::AskPeers, "all evidence was given");
            }
            Op::Headers(place) => {
                let permit = state.workers[worker].permits[place];
                self.update(state, read, |record| breaker::headers_arrived(record, now, &permit));
            }
            Op::Lapse => {
                self.update(state, read, |record| breaker::lapse(&policy, record, now));
            }
        }
    }
}

impl Model for Workers {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let workers = vec![Worker::default(); self.count];
        vec![State { now: 0, shared: None, workers, told: Vec::new() }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (n, worker) in state.workers.iter().enumerate() {
            if worker.begun.is_some() {
                actions.push(Action::Finish(n));
                actions.push(Action::Die(n));
                continue;
            }
            if worker.permits.len() < self.in_flight {
                actions.push(Action::Begin(n, Op::Admit));
            }
            for (place, permit) in worker.permits.iter().enumerate() {
                for outcome in
                    [Outcome::Success, Outcome::Failure { reset: false }, Outcome::Ignored]
                {
                    actions.push(Action::Begin(n, Op::Settle(place, outcome)));
                }
                if permit.probe.is_some() {
                    actions.push(Action::Begin(n, Op::Headers(place)));
                }
            }
            if matches!(state.record(&self.policy).phase, Phase::HalfOpen { .. }) {
                actions.push(Action::Begin(n, Op::Lapse));
            }
        }
        if state.now < self.end {
            actions.push(Action::Wait);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(n, op) => state.workers[n].begun = Some((op, state.shared.clone())),
            Action::Finish(n) => self.finish(&mut state, n),
            Action::Die(n) => state.workers[n] = Worker::default(),
            Action::Wait => state.now += 1,
        }
        (state != *last).then_some(state)
    }

    /// A probe that is ignored again and again writes for ever: a whole life (trip, half-open,
    /// close or reopen, and again) takes fewer writes than this.
    fn within_boundary(&self, state: &State) -> bool {
        state.shared.as_ref().is_none_or(|(_, cas)| *cas <= self.writes)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("at most `probes` live probes", |model: &Self, state: &State| {
                state.live_probes(&model.policy) <= usize::from(model.policy.half_open.probes.get())
            }),
            Property::always("a transition is told once", |_, state: &State| {
                state.told.iter().zip(1..).all(|(told, expected)| *told == expected)
            }),
            Property::always(
                "the generation is that of the last transition",
                |model: &Self, state: &State| {
                    state.record(&model.policy).generation
                        == state.told.last().copied().unwrap_or_default()
                },
            ),
            Property::always(
                "half-open never outlives its leases",
                |model: &Self, state: &State| {
                    // Whatever was lost: an admit after the last deadline finds a way on.
                    let late = state.now() + Span::from_secs(2);
                    let record = state.record(&model.policy);
                    match record.phase {
                        Phase::HalfOpen { .. } => {
                            let decision = breaker::admit(&model.policy, &record, late, GET);
                            matches!(decision.answer.0, Verdict::Admit(_))
                                || decision.transition.is_some()
                        }
                        _ => true,
                    }
                },
            ),
            Property::sometimes("it recovers", |model: &Self, state: &State| {
                let record = state.record(&model.policy);
                record.generation >= 3 && record.state() == Circuit::Closed
            }),
            Property::sometimes(
                "a probe is lost and the circuit reopens",
                |model: &Self, state: &State| {
                    matches!(
                        state.record(&model.policy).phase,
                        Phase::Open { trips, .. }
                            if trips.reason == breaker::TripReason::ProbeTimedOut
                    )
                },
            ),
        ]
    }
}

fn check(model: Workers, until: HasDiscoveries) -> impl Checker<Workers> {
    let name = format!("{} workers, {} probes", model.count, model.policy.half_open.probes);
    let checker = model.checker().threads(2).finish_when(until).spawn_bfs().join();
    println!("{name}: {} states", checker.unique_state_count());
    checker
}

fn workers(count: usize, probes: u8, writes: u32) -> Workers {
    Workers { count, policy: policy(probes), is_broken: false, end: 3, in_flight: 1, writes }
}

#[test]
fn two_workers_and_one_probe_keep_the_promises_in_every_interleaving() {
    check(workers(2, 1, 5), HasDiscoveries::All).assert_properties();
}

#[test]
fn two_workers_and_two_probes_keep_the_promises_in_every_interleaving() {
    check(workers(2, 2, 5), HasDiscoveries::All).assert_properties();
}

#[test]
fn a_store_that_swaps_blindly_is_caught() {
    let model = Workers { is_broken: true, ..workers(2, 1, 5) };
    for property in ["at most `probes` live probes", "a transition is told once"] {
        let until = HasDiscoveries::AnyOf([property].into());
        assert!(check(model, until).discovery(property).is_some(), "not caught: {property}");
    }
}
