//! This worker's circuits by cluster name.
//!
//! The panel finds the circuit of a cluster (or makes one, giving it a slot in the shared index),
//! hands requests to it, keeps it in step with the other workers at every [`Panel::sync`], and adds
//! to the metrics. What is to be logged it leaves in [`Panel::take_events`].

mod index;
mod ledger;
mod pulse;
mod views;

use std::collections::HashMap;
use std::mem;
use std::rc::Rc;

use fnv::FnvHashMap;

use self::index::{Index, MAX_NAME_BYTES, Tenant, owner_of};
use self::ledger::Ledger;
use self::pulse::{Change, News, Pulse};
pub use self::views::View;
use crate::breaker::{
    Decision, Evidence, Lapsed, Outcome, Owner, Permit, Record, Rejection, Settled, State,
    Transition,
};
use crate::circuit::{Admission, Circuit, Evicted, Place};
use crate::clock::{Clock, WorkerClock};
use crate::config::{CircuitPolicy, Config, Mode};
use crate::metrics::{CircuitMetrics, Counters, Metric, ProxyMetric, ProxyMetrics};
use crate::store::{SharedData, Store};
use crate::time::Timestamp;

/// The format of everything in shared data: another version does not read this one's keys.
const FORMAT: u32 = 1;

/// What the panel needs of the host.
pub trait Host: SharedData + Clock + Counters {}

impl<T: SharedData + Clock + Counters> Host for T {}

#[derive(Debug)]
pub struct Panel<H> {
    store: Store<H>,
    clock: WorkerClock,
    config: Config,
    /// When the configuration was applied.
    epoch: Timestamp,
    prefix: String,
    seats: FnvHashMap<Vec<u8>, Seat>,
    /// By the number in [`Seat::Guarded`].
    circuits: Vec<Option<Guarded>>,
    ledger: Ledger,
    /// How much of the pulse has been read.
    seen: u64,
    /// Changes the others have not been told yet.
    untold: Vec<Change>,
    /// Circuits with successes to publish.
    with_news: Vec<usize>,
    /// Circuits that were half-open when last looked at.
    half_open: Vec<usize>,
    /// The circuit that the next sync reads again without being told to.
    next_refresh: usize,
    /// Whether a name was refused since the last sync.
    has_untracked: bool,
    /// Whether a circuit may still be evicted before the next sync: it costs a look at all.
    may_evict: bool,
    metrics: ProxyMetrics,
    events: Vec<Event>,
}

/// What a cluster name stands for.
#[derive(Clone, Copy, Debug)]
enum Seat {
    Guarded(usize),
    Off,
    /// No slot was to be had; asked again after the next sync.
    Untracked,
}

#[derive(Debug)]
struct Guarded {
    name: Rc<str>,
    slot: u16,
    policy: Rc<CircuitPolicy>,
    circuit: Circuit,
    metrics: CircuitMetrics,
    protocol: Protocol,
    /// Successes since the last sync.
    unreported: u32,
}

/// What a circuit's requests have been so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Unknown,
    Http,
    /// At least some of them.
    Grpc,
}

/// A transition of a circuit, to be logged.
#[derive(Clone, Debug)]
pub struct Event {
    pub circuit: Rc<str>,
    pub transition: Transition,
}

/// What is to be done with a request.
#[derive(Debug)]
pub enum Admitted {
    /// The cluster has no circuit, or the request is not counted.
    Unguarded,
    Passed(Ticket),
    Rejected {
        circuit: Rc<str>,
        policy: Rc<CircuitPolicy>,
        rejection: Rejection,
    },
}

/// A permit with the circuit that gave it.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    seat: usize,
    owner: Owner,
    permit: Permit,
}

impl Ticket {
    pub const fn is_probe(&self) -> bool {
        self.permit.probe.is_some()
    }
}

impl<H: Host> Panel<H> {
    /// A panel with the circuits that are configured by name and those already known to others.
    pub fn new(host: H, config: Config) -> Self {
        let metrics = ProxyMetrics::define(&host);
        let clock = WorkerClock::default();
        let epoch = clock.read(&host);
        let prefix = format!("fusebox/{FORMAT}/{}/", config.namespace);
        let mut panel = Self {
            ledger: Ledger::new(&prefix),
            store: Store::new(host),
            clock,
            epoch,
            prefix,
            seats: FnvHashMap::default(),
            circuits: Vec::new(),
            seen: 0,
            untold: Vec::new(),
            with_news: Vec::new(),
            half_open: Vec::new(),
            next_refresh: 0,
            has_untracked: false,
            may_evict: true,
            metrics,
            events: Vec::new(),
            config,
        };
        panel.open_known();
        panel
    }

    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The transitions since this was last asked.
    pub fn take_events(&mut self) -> Vec<Event> {
        mem::take(&mut self.events)
    }

    /// May a request to `cluster` pass?
    pub fn admit(&mut self, cluster: &[u8]) -> Admitted {
        // The second try is for a slot that turned out to have been given away.
        for _ in 0..2 {
            let seat = match self.seat(cluster) {
                Seat::Guarded(seat) => seat,
                Seat::Off => return Admitted::Unguarded,
                Seat::Untracked => break,
            };
            let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) else {
                break;
            };
            match guarded.circuit.admit(&self.store, &self.clock) {
                Ok(told) => {
                    self.tell(seat, told.lapsed, told.transition);
                    return self.admitted(seat, told.answer);
                }
                Err(Evicted) => self.forget(seat),
            }
        }
        self.metrics.add(self.store.shared(), ProxyMetric::Untracked, 1);
        Admitted::Unguarded
    }

    /// Takes the outcome of a request. Where another cluster served it than the one that admitted
    /// it, the permit is given back and the outcome counts for the one that served.
    pub fn settle(&mut self, ticket: &Ticket, outcome: Outcome, served_by: Option<&[u8]>) {
        let admitted_by = self.guarded(ticket).map(|guarded| Rc::clone(&guarded.name));
        match (served_by, admitted_by) {
            (Some(server), Some(name)) if server != name.as_bytes() => {
                self.release(ticket);
                if let Some(moved) = self.moved(ticket, server) {
                    self.settle_here(&moved, outcome);
                }
            }
            _ => self.settle_here(ticket, outcome),
        }
    }

    /// Notes that good response headers of a probe have arrived.
    pub fn headers_arrived(&mut self, ticket: &Ticket) {
        let seat = self.circuits.get_mut(ticket.seat).and_then(Option::as_mut);
        if let Some(guarded) = seat.filter(|guarded| guarded.circuit.owner() == ticket.owner) {
            guarded.circuit.headers_arrived(&self.store, &self.clock, &ticket.permit);
        }
    }

    /// Whether a request may be gRPC: nobody knows before the first one, and a circuit that has
    /// seen one may see another.
    pub fn may_speak_grpc(&self, ticket: &Ticket) -> bool {
        self.guarded(ticket).is_some_and(|guarded| guarded.protocol != Protocol::Http)
    }

    /// Notes what a request turned out to be.
    pub fn note_protocol(&mut self, ticket: &Ticket, is_grpc: bool) {
        if let Some(guarded) = self.guarded_mut(ticket) {
            guarded.protocol = match (guarded.protocol, is_grpc) {
                (_, true) => Protocol::Grpc,
                (Protocol::Unknown, false) => Protocol::Http,
                (protocol, false) => protocol,
            };
        }
    }

    /// Keeps this worker in step with the others. Runs every tick.
    pub fn sync(&mut self) {
        let now = self.clock.read(self.store.shared());
        self.read_pulse();
        self.refresh_one();
        self.end_leases(now);
        self.publish(now);
        self.tell_others();
        self.release_untracked();
        self.report_faults();
    }

    /// Gives a probe's slot back without a verdict.
    fn release(&mut self, ticket: &Ticket) {
        let seat = self.circuits.get_mut(ticket.seat).and_then(Option::as_mut);
        let Some(guarded) = seat.filter(|guarded| guarded.circuit.owner() == ticket.owner) else {
            return;
        };
        let Ticket { permit, .. } = ticket;
        // Where it fails the lease ends it.
        let _ = guarded
            .circuit
            .settle(&self.store, &self.clock, permit, Outcome::Ignored, |_| Evidence::ALONE);
    }

    fn settle_here(&mut self, ticket: &Ticket, outcome: Outcome) {
        let Ticket { seat, owner, permit } = *ticket;
        let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) else {
            return;
        };
        if guarded.circuit.owner() != owner {
            return;
        }
        let ledger = &self.ledger;
        let store = &self.store;
        let settled = guarded.circuit.settle(store, &self.clock, &permit, outcome, |now| {
            ledger.peers(store, owner, permit.generation, now)
        });
        let Ok(told) = settled else {
            return self.forget(seat);
        };
        match (told.answer, outcome) {
            (Settled::Counted, Outcome::Success) => {
                if guarded.unreported == 0 {
                    self.with_news.push(seat);
                }
                guarded.unreported = guarded.unreported.saturating_add(1);
            }
            (answer, outcome) => {
                let metric = match (answer, outcome) {
                    (Settled::Counted, Outcome::Failure { .. }) => Metric::Failures,
                    (Settled::Counted, _) => Metric::Ignored,
                    _ => Metric::StaleResults,
                };
                guarded.metrics.add(store.shared(), metric, 1);
            }
        }
        self.tell(seat, told.lapsed, told.transition);
    }

    /// A permit of the cluster that served in place of the one that admitted; while its circuit is
    /// not closed the request was nobody's probe and has nothing to say.
    fn moved(&mut self, ticket: &Ticket, server: &[u8]) -> Option<Ticket> {
        let Seat::Guarded(seat) = self.seat(server) else {
            return None;
        };
        let circuit = &self.circuits.get(seat)?.as_ref()?.circuit;
        let generation = circuit.snapshot().generation;
        let permit = Permit { generation, probe: None, ..ticket.permit };
        (circuit.snapshot().state() == State::Closed).then_some(Ticket {
            seat,
            owner: circuit.owner(),
            permit,
        })
    }

    fn admitted(&mut self, seat: usize, admission: Admission) -> Admitted {
        let Some(guarded) = self.circuits.get(seat).and_then(Option::as_ref) else {
            return Admitted::Unguarded;
        };
        let host = self.store.shared();
        match admission {
            Admission::Admit(permit) => {
                if permit.probe.is_some() {
                    guarded.metrics.add(host, Metric::Probes, 1);
                }
                Admitted::Passed(Ticket { seat, owner: guarded.circuit.owner(), permit })
            }
            Admission::Untracked => {
                self.metrics.add(host, ProxyMetric::Untracked, 1);
                Admitted::Unguarded
            }
            Admission::Reject(rejection) => {
                guarded.metrics.add(host, Metric::Rejected, 1);
                Admitted::Rejected {
                    circuit: Rc::clone(&guarded.name),
                    policy: Rc::clone(&guarded.policy),
                    rejection,
                }
            }
        }
    }

    /// Rule 2: what a change that has been stored means to everyone else.
    fn tell(&mut self, seat: usize, lapsed: Lapsed, transition: Option<Transition>) {
        let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) else {
            return;
        };
        let host = self.store.shared();
        guarded.metrics.add(host, Metric::ProbeTimeouts, lapsed.timed_out.into());
        guarded.metrics.add(host, Metric::Successes, lapsed.passed.into());
        if guarded.circuit.snapshot().state() == State::HalfOpen && !self.half_open.contains(&seat)
        {
            self.half_open.push(seat);
        }
        if let Some(transition) = transition {
            guarded.metrics.add(host, Metric::of_transition(transition.to), 1);
            guarded.metrics.set_state(host, transition.to);
            self.untold.push(Change::Circuit(guarded.slot));
            self.events.push(Event { circuit: Rc::clone(&guarded.name), transition });
            self.tell_others();
        }
    }

    fn guarded(&self, ticket: &Ticket) -> Option<&Guarded> {
        let guarded = self.circuits.get(ticket.seat)?.as_ref()?;
        (guarded.circuit.owner() == ticket.owner).then_some(guarded)
    }

    fn guarded_mut(&mut self, ticket: &Ticket) -> Option<&mut Guarded> {
        let guarded = self.circuits.get_mut(ticket.seat)?.as_mut()?;
        (guarded.circuit.owner() == ticket.owner).then_some(guarded)
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// Finding and making circuits.
impl<H: Host> Panel<H> {
    fn open_known(&mut self) {
        // Read first: what changes from here on is news.
        if let Ok(Some(pulse)) = self.store.load::<Pulse>(&self.key("pulse")) {
            self.seen = pulse.sequence();
        }
        for (slot, tenant) in self.load_index().tenants() {
            let policy = self.config.policy(&tenant.name);
            if policy.mode != Mode::Off {
                let seat = self.install(&tenant.name, slot, policy);
                self.seats.insert(tenant.name.clone().into_bytes(), Seat::Guarded(seat));
            }
        }
        let named: Vec<String> = self.config.named().map(str::to_owned).collect();
        for name in named {
            self.seat(name.as_bytes());
        }
        self.tell_others();
        self.report_faults();
    }

    fn seat(&mut self, cluster: &[u8]) -> Seat {
        if let Some(seat) = self.seats.get(cluster) {
            return *seat;
        }
        let seat = self.find_seat(cluster);
        // Off and untracked names are only remembered for speed.
        if self.seats.len() > 4 * usize::from(self.config.max_circuits) {
            self.seats.retain(|_, seat| matches!(seat, Seat::Guarded(_)));
        }
        self.seats.insert(cluster.to_vec(), seat);
        seat
    }

    fn find_seat(&mut self, cluster: &[u8]) -> Seat {
        let Ok(name) = str::from_utf8(cluster) else {
            return Seat::Off;
        };
        let policy = self.config.policy(name);
        if policy.mode == Mode::Off {
            return Seat::Off;
        }
        match self.slot(name) {
            Some(slot) => Seat::Guarded(self.install(name, slot, policy)),
            None => {
                self.has_untracked = true;
                Seat::Untracked
            }
        }
    }

    fn install(&mut self, name: &str, slot: u16, policy: Rc<CircuitPolicy>) -> usize {
        let key = Rc::from(self.key(&format!("circuit/{slot}")));
        let place = Place { key, owner: owner_of(name) };
        let mut circuit = Circuit::new(place.clone(), policy.breaker, self.epoch);
        if circuit.refresh(&self.store) == Err(Evicted) {
            self.claim(&place, &policy);
        }
        let metrics = CircuitMetrics::define(self.store.shared(), name);
        metrics.set_state(self.store.shared(), circuit.snapshot().state());
        let guarded = Guarded {
            name: Rc::from(name),
            slot,
            policy,
            circuit,
            metrics,
            protocol: Protocol::Unknown,
            unreported: 0,
        };
        let seat = self.circuits.iter().position(Option::is_none).unwrap_or(self.circuits.len());
        match self.circuits.get_mut(seat) {
            Some(free) => *free = Some(guarded),
            None => self.circuits.push(Some(guarded)),
        }
        self.tell(seat, Lapsed::default(), None);
        seat
    }

    /// Begins the record of a slot again that the index has given to another cluster than the
    /// record names.
    fn claim(&self, place: &Place, policy: &CircuitPolicy) {
        // Where it fails the next update finds the other owner and looks the circuit up again.
        let _ = self.store.update(&place.key, |found| match found {
            Some(record) if record.owner == place.owner => Decision::unchanged(()),
            _ => {
                let next = Record::new(place.owner, self.epoch, &policy.breaker.trip);
                Decision::write((), next)
            }
        });
    }

    /// The slot of a name: the one it has, a free one, or that of the longest-idle closed circuit.
    fn slot(&mut self, name: &str) -> Option<u16> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return None;
        }
        let most = self.config.max_circuits;
        let tenant = Tenant { name: name.to_owned(), since: self.clock.latest() };
        let placed = self.store.change(&self.key("index"), |found: Option<&Index>| {
            let index = found.cloned().unwrap_or_default();
            if let Some(slot) = index.slot_of(name) {
                return ((Some(slot), false), None);
            }
            match index.with(tenant.clone(), most) {
                Some((slot, next)) => ((Some(slot), true), Some(next)),
                None => ((None, false), None),
            }
        });
        match placed {
            Ok(((Some(slot), is_new), _)) => {
                if is_new {
                    self.untold.push(Change::Index);
                }
                Some(slot)
            }
            Ok(((None, _), _)) => self.evict_for(tenant),
            Err(_) => None,
        }
    }

    fn evict_for(&mut self, tenant: Tenant) -> Option<u16> {
        if !mem::take(&mut self.may_evict) {
            return None;
        }
        let (slot, former) = self.longest_idle()?;
        let evicted = self.store.change(&self.key("index"), |found: Option<&Index>| {
            let next = found.and_then(|index| index.with_instead(tenant.clone(), slot, &former));
            (next.is_some(), next)
        });
        if !matches!(evicted, Ok((true, _))) {
            return None;
        }
        self.untold.push(Change::Index);
        if let Some(Seat::Guarded(seat)) = self.seats.get(former.as_bytes()) {
            self.forget(*seat);
        }
        Some(slot)
    }

    fn longest_idle(&self) -> Option<(u16, String)> {
        let index = self.load_index();
        let published = self.ledger.others(&self.store);
        let mine: HashMap<Owner, Timestamp> = self
            .circuits
            .iter()
            .flatten()
            .filter_map(|guarded| Some((guarded.circuit.owner(), guarded.circuit.last_success()?)))
            .collect();
        let idle_since = |slot: u16, tenant: &Tenant| {
            let owner = owner_of(&tenant.name);
            let record = self.store.load::<Record>(&self.key(&format!("circuit/{slot}"))).ok()?;
            if record.is_some_and(|record| record.state() != State::Closed) {
                return None;
            }
            let failed = record.and_then(|record| record.last_failure);
            let seen = [
                Some(tenant.since),
                failed,
                published.last_success(owner),
                mine.get(&owner).copied(),
            ];
            seen.into_iter().flatten().max()
        };
        index
            .tenants()
            .filter_map(|(slot, tenant)| Some((idle_since(slot, tenant)?, slot, tenant)))
            .min_by_key(|(since, ..)| *since)
            .map(|(_, slot, tenant)| (slot, tenant.name.clone()))
    }

    /// Drops a circuit whose slot belongs to another cluster: it is looked up again when needed.
    fn forget(&mut self, seat: usize) {
        let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::take) else {
            return;
        };
        let host = self.store.shared();
        guarded.metrics.add(host, Metric::Successes, guarded.unreported.into());
        self.seats.remove(guarded.name.as_bytes());
        self.ledger.erase(seat);
        self.with_news.retain(|with_news| *with_news != seat);
        self.half_open.retain(|half_open| *half_open != seat);
    }

    fn load_index(&self) -> Index {
        self.store.load(&self.key("index")).ok().flatten().unwrap_or_default()
    }
}

/// Keeping in step.
impl<H: Host> Panel<H> {
    fn read_pulse(&mut self) {
        let Ok(Some(pulse)) = self.store.load::<Pulse>(&self.key("pulse")) else {
            return;
        };
        if pulse.sequence() == self.seen {
            return;
        }
        let news = pulse.since(self.seen);
        self.seen = pulse.sequence();
        match news {
            News::Changes(changes) => {
                if changes.contains(&Change::Index) {
                    self.drop_evicted();
                }
                for seat in 0..self.circuits.len() {
                    let slot = self.circuits.get(seat).and_then(Option::as_ref).map(|g| g.slot);
                    if slot.is_some_and(|slot| changes.contains(&Change::Circuit(slot))) {
                        self.refresh(seat);
                    }
                }
            }
            News::Unknown => {
                self.drop_evicted();
                (0..self.circuits.len()).for_each(|seat| self.refresh(seat));
            }
        }
    }

    /// A change whose maker died before telling is found here, late but surely.
    fn refresh_one(&mut self) {
        if self.circuits.is_empty() {
            return;
        }
        self.next_refresh = (self.next_refresh + 1) % self.circuits.len();
        self.refresh(self.next_refresh);
    }

    fn refresh(&mut self, seat: usize) {
        let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) else {
            return;
        };
        let before = guarded.circuit.snapshot().generation;
        if guarded.circuit.refresh(&self.store) == Err(Evicted) {
            return self.forget(seat);
        }
        if guarded.circuit.snapshot().generation != before {
            guarded.metrics.set_state(self.store.shared(), guarded.circuit.snapshot().state());
            self.tell(seat, Lapsed::default(), None);
        }
    }

    fn drop_evicted(&mut self) {
        let index = self.load_index();
        let slots = index.by_name();
        let evicted: Vec<usize> = self
            .circuits
            .iter()
            .enumerate()
            .filter_map(|(seat, guarded)| Some((seat, guarded.as_ref()?)))
            .filter(|(_, guarded)| slots.get(&*guarded.name) != Some(&guarded.slot))
            .map(|(seat, _)| seat)
            .collect();
        evicted.into_iter().for_each(|seat| self.forget(seat));
    }

    fn end_leases(&mut self, now: Timestamp) {
        for seat in mem::take(&mut self.half_open) {
            // The leases and headers of other workers' probes are not told: read, then judge.
            self.refresh(seat);
            let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) else {
                continue;
            };
            match guarded.circuit.lapse(&self.store, now) {
                Ok(told) => self.tell(seat, told.lapsed, told.transition),
                Err(Evicted) => self.forget(seat),
            }
        }
    }

    fn publish(&mut self, now: Timestamp) {
        for seat in mem::take(&mut self.with_news) {
            let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) else {
                continue;
            };
            let count = mem::take(&mut guarded.unreported);
            guarded.metrics.add(self.store.shared(), Metric::Successes, count.into());
            let successes = guarded.circuit.successes(now);
            self.ledger.note(seat, guarded.circuit.owner(), &successes);
        }
        self.ledger.publish(&self.store, now);
    }

    fn tell_others(&mut self) {
        if self.untold.is_empty() {
            return;
        }
        let untold = &self.untold;
        let told = self.store.change(&self.key("pulse"), |found: Option<&Pulse>| {
            ((), Some(found.unwrap_or(&Pulse::EMPTY).with(untold)))
        });
        // What could not be told is tried again at the next sync.
        if told.is_ok() {
            self.untold.clear();
        }
    }

    fn release_untracked(&mut self) {
        if mem::take(&mut self.has_untracked) {
            self.seats.retain(|_, seat| !matches!(seat, Seat::Untracked));
        }
        self.may_evict = true;
    }

    fn report_faults(&self) {
        let faults = self.store.take_faults();
        let host = self.store.shared();
        self.metrics.add(host, ProxyMetric::SharedDataConflicts, faults.conflicts.into());
        self.metrics.add(host, ProxyMetric::BadRecords, faults.bad_records.into());
    }
}
