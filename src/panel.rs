//! This worker's circuits by cluster name.
//!
//! The panel finds the circuit of a cluster (or makes one, giving it a slot in the shared index),
//! hands requests to it, keeps it in step with the other workers at every [`Panel::sync`], and adds
//! to the metrics. What is to be logged it leaves in [`Panel::take_events`], and for the
//! webhook in [`Panel::webhook`].

mod cached;
mod flights;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod history;
mod index;
mod ledger;
mod pulse;
mod seats;
mod steer;
mod sync;
mod views;

use std::mem;
use std::rc::Rc;

use fnv::FnvHashMap;

use self::cached::Cached;
use self::flights::Flights;
pub use self::flights::{Awaited, FlightKey};
pub use self::history::{Failed, Past, Seen};
use self::ledger::Ledger;
use self::pulse::Change;
pub use self::steer::{Obeyed, Order};
pub use self::views::{Details, Probe, View};
use crate::breaker::{
    Call, Evidence, Lapsed, Outcome, Owner, Permit, Phase, Record, Rejection, Settled, State,
    Transition,
};
use crate::circuit::{Admission, Circuit, Evicted};
use crate::classify::Deadlines;
use crate::clock::{Clock, WorkerClock};
use crate::config::{CircuitPolicy, Config, Mode, Webhook};
use crate::metrics::{CircuitMetrics, Counters, Metric, ProxyMetric, ProxyMetrics};
use crate::outbox::Outbox;
use crate::reply::Rejections;
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
    pulse_key: String,
    seats: FnvHashMap<Vec<u8>, Seat>,
    /// By the number in [`Seat::Guarded`].
    circuits: Vec<Option<Guarded>>,
    ledger: Ledger,
    flights: Flights,
    cached: Option<Cached>,
    /// How much of the pulse has been read.
    seen: u64,
    /// Changes the others have not been told yet.
    untold: Vec<Change>,
    /// Circuits with successes to publish.
    with_news: Vec<usize>,
    /// Circuits with rejections to add to the metric.
    with_rejections: Vec<usize>,
    /// Circuits with failures to publish.
    with_failures: Vec<usize>,
    /// Circuits that time alone may change.
    timed: Vec<usize>,
    /// The circuit that the next sync reads again without being told to.
    next_refresh: usize,
    /// Whether a name was refused since the last sync.
    has_untracked: bool,
    /// When a circuit may be evicted again: it costs a look at all, and too many clusters for the
    /// slots must not take them from each other without end.
    may_evict_from: Timestamp,
    /// Metrics of circuits that lost their slots: defining them again would grow the host's table.
    retired: FnvHashMap<Rc<str>, CircuitMetrics>,
    metrics: ProxyMetrics,
    events: Vec<Event>,
    /// Those the webhook has yet to be told.
    outbox: Outbox<Event>,
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
    may_move: bool,
    has_misrouted: bool,
    deadlines: Deadlines,
    /// Successes since the last sync.
    unreported: u32,
    /// And rejections: a storm of them must stay cheap.
    rejected: u32,
    replies: Rc<Rejections>,
    /// The last failures since then.
    failed: Vec<Failed>,
    /// Whether it is in [`Panel::timed`].
    is_timed: bool,
}

/// What a circuit's requests have been so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Unknown,
    Http,
    /// At least some of them.
    Grpc,
}

/// A transition of a circuit, to be told to whoever reads of it.
#[derive(Clone, Debug)]
pub struct Event {
    pub circuit: Rc<str>,
    pub mode: Mode,
    pub at: Timestamp,
    /// An operator's reason, where the state was forced.
    pub note: Option<Rc<str>>,
    pub transition: Transition,
}

/// What is to be done with a request.
#[derive(Debug)]
pub enum Admitted {
    /// The cluster has no circuit, or the request is not counted.
    Unguarded,
    Passed(Ticket, Rc<CircuitPolicy>),
    Rejected(Rejected),
}

/// A request that may not pass.
#[derive(Debug)]
pub struct Rejected {
    pub circuit: Rc<str>,
    pub policy: Rc<CircuitPolicy>,
    pub rejection: Rejection,
    pub replies: Rc<Rejections>,
}

/// A permit with the circuit that gave it.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    seat: usize,
    owner: Owner,
    permit: Permit,
    is_spectator: bool,
}

impl Ticket {
    pub const fn started(&self) -> Timestamp {
        self.permit.started
    }

    pub const fn is_probe(&self) -> bool {
        self.permit.probe.is_some()
    }

    /// Of a request that shadow mode let pass: its outcome changes nothing.
    pub const fn is_spectator(&self) -> bool {
        self.is_spectator
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
            cached: Cached::of(&prefix, &config),
            flights: Flights::default(),
            store: Store::new(host),
            clock,
            epoch,
            pulse_key: format!("{prefix}pulse"),
            prefix,
            seats: FnvHashMap::default(),
            circuits: Vec::new(),
            seen: 0,
            untold: Vec::new(),
            with_news: Vec::new(),
            with_rejections: Vec::new(),
            with_failures: Vec::new(),
            timed: Vec::new(),
            next_refresh: 0,
            has_untracked: false,
            may_evict_from: Timestamp::ZERO,
            retired: FnvHashMap::default(),
            metrics,
            events: Vec::new(),
            outbox: Outbox::default(),
            config,
        };
        if let Some(cached) = &panel.cached {
            cached.adopt(&panel.store);
        }
        panel.open_known();
        panel
    }

    pub const fn config(&self) -> &Config {
        &self.config
    }

    pub const fn has_no_events(&self) -> bool {
        self.events.is_empty()
    }

    /// The transitions since this was last asked.
    pub fn take_events(&mut self) -> Vec<Event> {
        mem::take(&mut self.events)
    }

    /// The webhook and what it has yet to be told, if there is one.
    pub fn webhook(&mut self) -> Option<(&Webhook, &mut Outbox<Event>)> {
        Some((self.config.webhook.as_ref()?, &mut self.outbox))
    }

    /// Counts what the webhook will never be told: the configuration has come to its end.
    pub fn abandon_webhook(&mut self) {
        self.outbox.abandon();
        self.report_undelivered();
    }

    /// May a request to `cluster` pass? `is_complete` says whether its client has sent all of it;
    /// `method` is only asked for where it might have to be a probe.
    pub fn admit(
        &mut self,
        cluster: &[u8],
        is_complete: bool,
        method: impl Fn() -> Option<Vec<u8>>,
    ) -> Admitted {
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
            let methods = &guarded.policy.probe_methods;
            let may_probe = || may_probe(methods.as_deref(), &method);
            match guarded.circuit.admit(&self.store, &self.clock, is_complete, may_probe) {
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

    /// Takes the end of a call. Where another cluster served it than the one that admitted
    /// it, the permit is given back and the call counts for the one that served.
    pub fn settle(
        &mut self,
        ticket: &Ticket,
        call: &Call,
        served_by: Option<&[u8]>,
        seen: Seen<'_>,
    ) {
        let server = served_by.filter(|server| self.has_moved(ticket, server));
        let Some(server) = server else {
            return if ticket.is_spectator {
                self.settle_spectator(ticket, call);
            } else {
                self.settle_here(ticket, call, seen);
            };
        };
        if let Some(guarded) = of_ticket(&mut self.circuits, ticket) {
            guarded.may_move = true;
        }
        self.release(ticket);
        if let Some(moved) = self.moved(ticket, server) {
            self.settle_here(&moved, call, seen);
        }
    }

    /// Whether requests of this circuit have been seen to be served by another cluster. Asking who
    /// served costs a call, so a good response is only asked after that.
    pub fn may_move(&self, ticket: &Ticket) -> bool {
        self.guarded(ticket).is_some_and(|guarded| guarded.may_move)
    }

    /// The circuit's name, the first time that a request meant for it was served by another.
    pub fn note_misrouted(&mut self, ticket: &Ticket, server: &[u8]) -> Option<Rc<str>> {
        let guarded = of_ticket(&mut self.circuits, ticket)?;
        let is_first = !guarded.has_misrouted && guarded.name.as_bytes() != server;
        guarded.has_misrouted |= is_first;
        is_first.then(|| Rc::clone(&guarded.name))
    }

    /// Notes that the client has sent all of a probe's request.
    pub fn request_sent(&mut self, ticket: &Ticket) {
        if let Some(guarded) = of_ticket(&mut self.circuits, ticket) {
            guarded.circuit.request_sent(&self.store, &self.clock, &ticket.permit);
        }
    }

    /// Notes that good response headers of a probe have arrived, unless another cluster sent them.
    pub fn headers_arrived(&mut self, ticket: &mut Ticket, served_by: Option<&[u8]>) {
        if served_by.is_some_and(|server| self.has_moved(ticket, server)) {
            return;
        }
        if let Some(guarded) = of_ticket(&mut self.circuits, ticket) {
            guarded.circuit.headers_arrived(&self.store, &self.clock, &mut ticket.permit);
        }
    }

    /// Whether a request may be gRPC: nobody knows before the first one, and a circuit that has
    /// seen one may see another.
    pub fn may_speak_grpc(&self, ticket: &Ticket) -> bool {
        self.guarded(ticket).is_some_and(|guarded| guarded.protocol != Protocol::Http)
    }

    /// Notes what a request turned out to be.
    pub fn note_protocol(&mut self, ticket: &Ticket, is_grpc: bool) {
        if let Some(guarded) = of_ticket(&mut self.circuits, ticket) {
            guarded.protocol = match (guarded.protocol, is_grpc) {
                (_, true) => Protocol::Grpc,
                (Protocol::Unknown, false) => Protocol::Http,
                (protocol, false) => protocol,
            };
        }
    }

    /// The circuit that gave a ticket, and its state.
    pub fn circuit_of(&self, ticket: &Ticket) -> Option<(Rc<str>, State)> {
        let guarded = self.guarded(ticket)?;
        Some((Rc::clone(&guarded.name), guarded.circuit.snapshot().state()))
    }

    /// Adds one to a metric of a circuit.
    pub fn count(&self, circuit: &str, metric: Metric) {
        if let Some(Seat::Guarded(seat)) = self.seats.get(circuit.as_bytes())
            && let Some(guarded) = self.circuits.get(*seat).and_then(Option::as_ref)
        {
            guarded.metrics.add(self.store.shared(), metric, 1);
        }
    }

    /// What is known of the deadlines of this circuit's calls.
    pub fn deadlines(&mut self, ticket: &Ticket) -> Option<&mut Deadlines> {
        Some(&mut of_ticket(&mut self.circuits, ticket)?.deadlines)
    }

    /// The time, to a sync.
    pub fn about_now(&self) -> Timestamp {
        self.clock.latest()
    }

    pub fn now(&self) -> Timestamp {
        self.clock.read(self.store.shared())
    }

    /// Gives a probe's slot back without a verdict.
    pub fn release(&mut self, ticket: &Ticket) {
        if ticket.is_spectator {
            return;
        }
        let Some(guarded) = of_ticket(&mut self.circuits, ticket) else {
            return;
        };
        let Ticket { permit, .. } = ticket;
        // Where it fails the lease ends it.
        let _ = guarded.circuit.settle(
            &self.store,
            &self.clock,
            permit,
            &Outcome::Ignored.into(),
            |_| Evidence::ALONE,
        );
    }

    fn settle_spectator(&self, ticket: &Ticket, call: &Call) {
        if call.outcome == Outcome::Success
            && let Some(guarded) = self.guarded(ticket)
        {
            guarded.metrics.add(self.store.shared(), Metric::WouldRejectSucceeded, 1);
        }
    }

    fn settle_here(&mut self, ticket: &Ticket, call: &Call, seen: Seen<'_>) {
        let Ticket { seat, owner, permit, .. } = *ticket;
        let Some(guarded) = of_ticket(&mut self.circuits, ticket) else {
            return;
        };
        let ledger = &self.ledger;
        let store = &self.store;
        let settled = guarded.circuit.settle(store, &self.clock, &permit, call, |now| {
            ledger.peers(store, owner, permit.generation, now)
        });
        let Ok(told) = settled else {
            return self.forget(seat);
        };
        match (told.answer, call.outcome) {
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
                if metric == Metric::Failures {
                    self.note_failure(seat, seen);
                }
            }
        }
        self.tell(seat, told.lapsed, told.transition);
    }

    fn has_moved(&self, ticket: &Ticket, server: &[u8]) -> bool {
        self.guarded(ticket).is_some_and(|guarded| guarded.name.as_bytes() != server)
    }

    /// A permit of the cluster that served in place of the one that admitted; while its circuit is
    /// not closed the request was nobody's probe and has nothing to say.
    fn moved(&mut self, ticket: &Ticket, server: &[u8]) -> Option<Ticket> {
        let Seat::Guarded(seat) = self.seat(server) else {
            return None;
        };
        let circuit = &self.circuits.get(seat)?.as_ref()?.circuit;
        let Record { generation, phase: Phase::Closed { recovered, .. }, .. } = *circuit.snapshot()
        else {
            return None;
        };
        // A call of before the last outage is of an earlier generation.
        let is_late = recovered.is_some_and(|recovered| ticket.permit.started < recovered.at);
        let generation = generation.wrapping_sub(u32::from(is_late));
        let permit = Permit { generation, probe: None, ..ticket.permit };
        Some(Ticket { seat, owner: circuit.owner(), permit, is_spectator: false })
    }

    fn admitted(&mut self, seat: usize, admission: Admission) -> Admitted {
        let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) else {
            return Admitted::Unguarded;
        };
        let host = self.store.shared();
        match admission {
            Admission::Admit(permit) => {
                if permit.probe.is_some() {
                    guarded.metrics.add(host, Metric::Probes, 1);
                }
                let owner = guarded.circuit.owner();
                let ticket = Ticket { seat, owner, permit, is_spectator: false };
                Admitted::Passed(ticket, Rc::clone(&guarded.policy))
            }
            Admission::Reject(_) if guarded.policy.mode == Mode::Shadow => {
                guarded.metrics.add(host, Metric::WouldReject, 1);
                let owner = guarded.circuit.owner();
                let generation = guarded.circuit.snapshot().generation;
                let permit = Permit { generation, started: self.clock.latest(), probe: None };
                let ticket = Ticket { seat, owner, permit, is_spectator: true };
                Admitted::Passed(ticket, Rc::clone(&guarded.policy))
            }
            Admission::Untracked => {
                self.metrics.add(host, ProxyMetric::Untracked, 1);
                Admitted::Unguarded
            }
            Admission::Reject(rejection) => {
                if guarded.rejected == 0 {
                    self.with_rejections.push(seat);
                }
                guarded.rejected = guarded.rejected.saturating_add(1);
                Admitted::Rejected(Rejected {
                    circuit: Rc::clone(&guarded.name),
                    policy: Rc::clone(&guarded.policy),
                    rejection,
                    replies: Rc::clone(&guarded.replies),
                })
            }
        }
    }

    /// Rule 2: what a change that has been stored means to everyone else.
    fn tell(&mut self, seat: usize, lapsed: Lapsed, transition: Option<Transition>) {
        self.tell_with(seat, lapsed, transition, None);
    }

    fn tell_with(
        &mut self,
        seat: usize,
        lapsed: Lapsed,
        transition: Option<Transition>,
        note: Option<Rc<str>>,
    ) {
        let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) else {
            return;
        };
        // As after most calls.
        if lapsed == Lapsed::default() && transition.is_none() && !guarded.circuit.is_timed() {
            return;
        }
        let host = self.store.shared();
        guarded.metrics.add(host, Metric::ProbeTimeouts, lapsed.timed_out.into());
        guarded.metrics.add(host, Metric::Successes, lapsed.passed.into());
        if guarded.circuit.is_timed() && !guarded.is_timed {
            guarded.is_timed = true;
            self.timed.push(seat);
        }
        if let Some(transition) = transition {
            // An override of a state by itself is none of these.
            if transition.from != transition.to {
                guarded.metrics.add(host, Metric::of_transition(transition.to), 1);
            }
            guarded.metrics.set_state(host, transition.to);
            self.untold.push(Change::Circuit(guarded.slot));
            let event = Event {
                circuit: Rc::clone(&guarded.name),
                mode: guarded.policy.mode,
                at: self.clock.latest(),
                note,
                transition,
            };
            let (slot, owner) = (guarded.slot, guarded.circuit.owner());
            self.note_event(slot, owner, &event);
            if self.config.webhook.is_some() {
                self.outbox.push(event.clone());
            }
            self.events.push(event);
            self.tell_others();
        }
    }

    /// Has the others read a circuit's record again.
    fn tell_of(&mut self, seat: usize) {
        if let Some(guarded) = self.circuits.get(seat).and_then(Option::as_ref) {
            self.untold.push(Change::Circuit(guarded.slot));
            self.tell_others();
        }
    }

    fn guarded(&self, ticket: &Ticket) -> Option<&Guarded> {
        let guarded = self.circuits.get(ticket.seat)?.as_ref()?;
        (guarded.circuit.owner() == ticket.owner).then_some(guarded)
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

fn may_probe(methods: Option<&[String]>, method: impl Fn() -> Option<Vec<u8>>) -> bool {
    methods.is_none_or(|methods| {
        method().is_some_and(|method| methods.iter().any(|known| known.as_bytes() == method))
    })
}

/// The circuit that gave a ticket, unless its seat has become another's.
fn of_ticket<'a>(circuits: &'a mut [Option<Guarded>], ticket: &Ticket) -> Option<&'a mut Guarded> {
    let guarded = circuits.get_mut(ticket.seat)?.as_mut()?;
    (guarded.circuit.owner() == ticket.owner).then_some(guarded)
}
