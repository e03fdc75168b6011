//! Traffic over virtual time through the real core: panels of several workers over one shared
//! data, with a clock that only the test moves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use fusebox::breaker::{Outcome, State};
use fusebox::clock::Clock;
use fusebox::config::Config;
use fusebox::metrics::{Counters, Kind, MetricId};
use fusebox::panel::{Admitted, Panel, Seen, Ticket};
use fusebox::store::{HostError, SharedData, Swapped, Token};
use fusebox::time::{Span, Timestamp};

const CLUSTER: &[u8] = b"up";
const FAILURE: Outcome = Outcome::Failure { reset: false };
const TICK: Span = Span::from_millis(10);

/// What all workers share: the host.
#[derive(Default)]
struct World {
    now: Timestamp,
    shared: HashMap<String, (Vec<u8>, u32)>,
    last_cas: u32,
    metrics: HashMap<String, u32>,
    values: Vec<u64>,
}

#[derive(Clone, Default)]
struct Host(Rc<RefCell<World>>);

impl Clock for Host {
    fn monotonic(&self) -> Timestamp {
        self.0.borrow().now
    }
}

impl SharedData for Host {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Token)>, HostError> {
        let found = self.0.borrow().shared.get(key).cloned();
        Ok(found.map(|(bytes, cas)| (bytes, Token::new(cas).unwrap())))
    }

    fn swap(&self, key: &str, bytes: &[u8], token: Token) -> Result<Swapped, HostError> {
        let is_current = self.0.borrow().shared.get(key).is_none_or(|(_, cas)| *cas == token.get());
        if !is_current {
            return Ok(Swapped::Lost);
        }
        self.put(key, bytes).map(|()| Swapped::Won)
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<Swapped, HostError> {
        self.swap(key, bytes, Token::MAX)
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), HostError> {
        let mut world = self.0.borrow_mut();
        world.last_cas += 1;
        let cas = world.last_cas;
        world.shared.insert(key.to_owned(), (bytes.to_vec(), cas));
        Ok(())
    }
}

impl Counters for Host {
    fn define(&self, _: Kind, name: &str) -> Option<MetricId> {
        let mut world = self.0.borrow_mut();
        let next = world.values.len() as u32;
        let id = *world.metrics.entry(name.to_owned()).or_insert(next);
        if id == next {
            world.values.push(0);
        }
        Some(MetricId(id))
    }

    fn increment(&self, id: MetricId, by: u64) {
        self.0.borrow_mut().values[id.0 as usize] += by;
    }

    fn set(&self, id: MetricId, value: u64) {
        self.0.borrow_mut().values[id.0 as usize] = value;
    }

    fn value(&self, id: MetricId) -> Option<u64> {
        self.0.borrow().values.get(id.0 as usize).copied()
    }
}

/// Workers under the default configuration.
struct Simulation {
    host: Host,
    workers: Vec<Panel<Host>>,
    next_tick: Timestamp,
}

impl Simulation {
    fn new(workers: usize) -> Self {
        let host = Host::default();
        host.0.borrow_mut().now = Timestamp::ZERO + Span::from_secs(1_000);
        let config = Config::parse(b"").unwrap();
        let workers = (0..workers).map(|_| Panel::new(host.clone(), config.clone())).collect();
        let next_tick = host.monotonic() + TICK;
        Self { host, workers, next_tick }
    }

    fn now(&self) -> Timestamp {
        self.host.monotonic()
    }

    /// Time passes, and the workers sync, one after the other.
    fn advance(&mut self, by: Span) {
        let end = self.now() + by;
        while self.next_tick <= end {
            self.host.0.borrow_mut().now = self.next_tick;
            self.workers.iter_mut().for_each(Panel::sync);
            self.next_tick = self.next_tick + TICK;
        }
        self.host.0.borrow_mut().now = end;
    }

    /// `None` where the request was rejected.
    fn admit(&mut self, worker: usize) -> Option<Ticket> {
        match self.workers[worker].admit(CLUSTER, true, || None) {
            Admitted::Passed(ticket, _) => Some(ticket),
            Admitted::Rejected(_) => None,
            Admitted::Unguarded => panic!("not guarded"),
        }
    }

    fn settle(&mut self, worker: usize, ticket: &Ticket, outcome: Outcome) {
        self.workers[worker].settle(ticket, &outcome.into(), None, Seen::default());
    }

    /// Whether the request was admitted.
    fn call(&mut self, worker: usize, outcome: Outcome) -> bool {
        let ticket = self.admit(worker);
        ticket.inspect(|ticket| self.settle(worker, ticket, outcome)).is_some()
    }

    fn state(&mut self) -> State {
        self.workers[0].view("up").unwrap().state
    }

    fn metric(&self, metric: &str) -> u64 {
        let world = self.host.0.borrow();
        world.values[world.metrics[&format!("circuit_breaker.up.{metric}")] as usize]
    }
}

/// The same numbers for the same seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

#[test]
fn one_request_a_minute_trips_and_recovers() {
    let minute = Span::from_secs(60);
    let mut simulation = Simulation::new(3);
    simulation.call(0, Outcome::Success);
    for n in 0..5 {
        simulation.advance(minute);
        assert_eq!(simulation.state(), State::Closed, "after {n} failures");
        assert!(simulation.call(n % 3, FAILURE));
    }
    assert_eq!(simulation.state(), State::Open);
    // The waits, 30 s and then 60 s, are over when the next request comes: it is the probe.
    for n in 0..2 {
        simulation.advance(minute);
        assert!(simulation.call(n, FAILURE));
        assert_eq!(simulation.state(), State::Open);
    }
    // The third, of 120 s less some jitter, is not.
    simulation.advance(minute);
    assert!(!simulation.call(0, Outcome::Success));
    simulation.advance(minute);
    assert!(simulation.call(2, Outcome::Success));
    assert_eq!(simulation.state(), State::Closed);
}

/// `per_second` requests for `seconds`, spread over 4 workers, each up to 30 ms in flight; `failing`
/// of a thousand fail.
fn flood(seed: u64, per_second: u64, seconds: u64, failing: u64) -> Simulation {
    let mut simulation = Simulation::new(4);
    let mut random = Random(seed);
    let mut in_flight: Vec<(Timestamp, usize, Ticket)> = Vec::new();
    let step = Span::from_millis(1);
    for _ in 0..seconds * 1_000 {
        simulation.advance(step);
        let now = simulation.now();
        let (ended, flying): (Vec<_>, Vec<_>) =
            in_flight.into_iter().partition(|(end, ..)| *end <= now);
        in_flight = flying;
        for (_, worker, ticket) in ended {
            let outcome = if random.below(1_000) < failing { FAILURE } else { Outcome::Success };
            simulation.settle(worker, &ticket, outcome);
        }
        for _ in 0..per_second / 1_000 {
            let worker = random.below(4) as usize;
            let end = now + Span::from_millis(random.below(30));
            in_flight.extend(simulation.admit(worker).map(|ticket| (end, worker, ticket)));
        }
    }
    simulation
}

#[test]
fn ten_thousand_a_second_with_one_error_in_a_thousand_never_trip_by_chance() {
    for seed in 1..=4 {
        let mut simulation = flood(seed, 10_000, 20, 1);
        assert_eq!(simulation.metric("opened"), 0, "seed {seed}");
        assert!(simulation.metric("failures") > 100, "seed {seed}");
        assert_eq!(simulation.state(), State::Closed, "seed {seed}");
    }
}

/// The same flood does trip once the upstream is really ill.
#[test]
fn ten_thousand_a_second_with_six_errors_in_ten_trip_at_once() {
    let simulation = flood(1, 10_000, 1, 600);
    assert_eq!(simulation.metric("opened"), 1);
    assert!(simulation.metric("failures") < 200, "{}", simulation.metric("failures"));
}
