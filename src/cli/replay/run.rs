//! The requests of a log through the real core: one worker, in the log's own time.
//!
//! A request asks to pass when it began, and has its outcome when it ended. What is rejected has
//! none: here it would never have reached the upstream.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fnv::FnvHashMap;

use super::log::{Log, Request};
use super::memory::Memory;
use crate::breaker::{Call, Outcome, PROBE_GRACE, Pace, State};
use crate::classify::ClientDisconnect;
use crate::config::{CircuitPolicy, Config};
use crate::panel::{Admitted, Awaited, FlightKey, Panel, Seen, Ticket};
use crate::time::{Span, Timestamp};

/// How often a worker syncs.
const TICK: Span = Span::from_millis(10);

/// What the circuit of a cluster would have done.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    pub(super) requests: u64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
    /// Of those that were admitted.
    pub(super) slow: u64,
    /// Passed for want of a circuit, or because the policy is off.
    pub(super) unguarded: u64,
    pub(super) rejected: Rejected,
    pub(super) changes: Vec<Change>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rejected {
    pub(super) requests: u64,
    /// In vain.
    pub(super) succeeded: u64,
}

/// A transition, and what was rejected until the next one.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) at: Timestamp,
    pub(super) from: State,
    pub(super) to: State,
    pub(super) reason: String,
    pub(super) open_for: Option<Span>,
    pub(super) rejected: Rejected,
}

/// A request that was admitted.
struct Flight {
    request: Request,
    ticket: Ticket,
    awaited: Option<FlightKey>,
    pace: Pace,
    client_disconnect: ClientDisconnect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Response headers have come, of which more is to follow.
    Headers(usize),
    End(usize),
    /// Time alone may bring something about: a lease runs out, a call becomes slow.
    Look,
}

struct Replay {
    host: Memory,
    panel: Panel<Memory>,
    last_tick: Timestamp,
    flights: Vec<Option<Flight>>,
    /// Places of flights that have ended.
    free: Vec<usize>,
    due: BinaryHeap<Reverse<(Timestamp, Step)>>,
    stories: Vec<Story>,
    by_name: FnvHashMap<String, usize>,
}

/// The story of each cluster of the log, in its order. `progress` is told of each request.
pub(super) fn replay(log: &Log, mut config: Config, mut progress: impl FnMut()) -> Vec<Story> {
    // Nobody is to be told.
    config.webhook = None;
    let host = Memory::default();
    host.set_clock(log.requests.first().map(|request| request.began).unwrap_or_default());
    let names = log.clusters.iter().enumerate().map(|(n, cluster)| (cluster.name.clone(), n));
    let mut replay = Replay {
        panel: Panel::new(host.clone(), config),
        last_tick: host.tick(),
        host,
        flights: Vec::new(),
        free: Vec::new(),
        due: BinaryHeap::new(),
        stories: vec![Story::default(); log.clusters.len()],
        by_name: names.collect(),
    };
    for request in &log.requests {
        replay.advance(request.began);
        replay.begin(request, log);
        progress();
    }
    replay.advance(Timestamp::MAX);
    replay.stories
}

impl Replay {
    /// Time passes, with all that is due by then. Of the same instant, ends come before beginnings.
    fn advance(&mut self, to: Timestamp) {
        while let Some(Reverse((at, step))) = self.due.peek().copied()
            && at <= to
        {
            self.due.pop();
            self.set_clock(at);
            match step {
                Step::Headers(place) => self.take_headers(place),
                Step::End(place) => self.end(place),
                Step::Look => {}
            }
        }
        if to < Timestamp::MAX {
            self.set_clock(to);
        }
    }

    /// The syncs between two events do nothing, but for the last.
    fn set_clock(&mut self, now: Timestamp) {
        let tick = tick_of(now);
        if self.last_tick < tick {
            self.last_tick = tick;
            self.host.set_clock(tick);
            self.panel.sync();
            self.take_changes();
        }
        self.host.set_clock(now);
    }

    fn begin(&mut self, request: &Request, log: &Log) {
        let Some(cluster) = log.clusters.get(request.cluster) else { return };
        let method = || log.method(request).map(|method| method.as_bytes().to_vec());
        let admitted = self.panel.admit(cluster.name.as_bytes(), true, method);
        self.take_changes();
        let Some(story) = self.stories.get_mut(request.cluster) else { return };
        story.requests += 1;
        match request.outcome {
            Outcome::Success => story.succeeded += 1,
            Outcome::Failure { .. } => story.failed += 1,
            Outcome::Ignored => story.ignored += 1,
        }
        match admitted {
            Admitted::Unguarded => story.unguarded += 1,
            Admitted::Passed(ticket, policy) if !ticket.is_spectator() => {
                self.take_off(request, ticket, &policy);
            }
            // In shadow mode it passed; what counts here is that it would not have.
            Admitted::Passed(..) | Admitted::Rejected(_) => story.reject(request.outcome),
        }
    }

    fn take_off(&mut self, request: &Request, ticket: Ticket, policy: &CircuitPolicy) {
        let mut looks = Vec::new();
        if ticket.is_probe() {
            looks.push(request.began + policy.breaker.half_open.probe_timeout);
        }
        let slow_after = policy.classify.slow_after;
        looks.extend(slow_after.map(|slow_after| request.began + slow_after));
        // What ends before is looked at then.
        let looks = looks.into_iter().filter(|at| *at < request.ended);
        self.due.extend(looks.map(|at| Reverse((tick_of(at) + TICK, Step::Look))));

        let flight = Flight {
            request: *request,
            ticket,
            awaited: slow_after.map(|slow_after| self.panel.await_headers(&ticket, slow_after)),
            pace: Pace::Fast,
            client_disconnect: policy.classify.client_disconnect,
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.flights.push(None);
            self.flights.len() - 1
        });
        if (ticket.is_probe() || flight.awaited.is_some()) && request.answered < request.ended {
            self.due.push(Reverse((request.answered, Step::Headers(place))));
        }
        if let Some(free) = self.flights.get_mut(place) {
            *free = Some(flight);
        }
        self.due.push(Reverse((request.ended, Step::End(place))));
    }

    fn take_headers(&mut self, place: usize) {
        let Some(mut flight) = self.flights.get_mut(place).and_then(Option::take) else { return };
        flight.pace = self.pace(&mut flight, true);
        if flight.ticket.is_probe() && flight.request.are_headers_good {
            self.panel.headers_arrived(&mut flight.ticket, None);
            // Its stream has to live on for so long.
            let passes = flight.request.answered + PROBE_GRACE;
            self.due.push(Reverse((tick_of(passes) + TICK, Step::Look)));
        }
        self.take_changes();
        if let Some(taken) = self.flights.get_mut(place) {
            *taken = Some(flight);
        }
    }

    fn end(&mut self, place: usize) {
        let Some(mut flight) = self.flights.get_mut(place).and_then(Option::take) else { return };
        self.free.push(place);
        let Flight { request, ticket, client_disconnect, .. } = flight;
        let is_clients = request.is_clients && client_disconnect == ClientDisconnect::Slow;
        let pace = self.pace(&mut flight, request.is_upstreams || is_clients);
        let call = Call { outcome: request.outcome, pace, retry_after: None };
        self.panel.settle(&ticket, &call, None, Seen::default());
        self.take_changes();
        if let Some(story) = self.stories.get_mut(request.cluster) {
            story.slow += u64::from(pace == Pace::Slow);
        }
    }

    /// As the filter takes it: by when the headers came, or by the end where none did.
    fn pace(&mut self, flight: &mut Flight, is_upstreams: bool) -> Pace {
        let Some(key) = flight.awaited.take() else { return flight.pace };
        match self.panel.stop_awaiting(key) {
            Awaited::Counted => Pace::Slow,
            Awaited::Late if is_upstreams => {
                self.panel.count_slow(&flight.ticket, None);
                Pace::Slow
            }
            Awaited::Late | Awaited::InTime => Pace::Fast,
        }
    }

    fn take_changes(&mut self) {
        if self.panel.has_no_events() {
            return;
        }
        for event in self.panel.take_events() {
            let circuit = self.by_name.get(&*event.circuit);
            let Some(story) = circuit.and_then(|circuit| self.stories.get_mut(*circuit)) else {
                continue;
            };
            story.changes.push(Change {
                at: event.at.whole_millis(),
                from: event.transition.from,
                to: event.transition.to,
                reason: event.reason(),
                open_for: event.transition.open_for,
                rejected: Rejected::default(),
            });
        }
    }
}

impl Story {
    fn reject(&mut self, outcome: Outcome) {
        let since = self.changes.last_mut().map(|change| &mut change.rejected);
        for rejected in [Some(&mut self.rejected), since].into_iter().flatten() {
            rejected.requests += 1;
            rejected.succeeded += u64::from(outcome == Outcome::Success);
        }
    }

    /// How often it opened.
    pub(super) fn opened(&self) -> usize {
        self.changes.iter().filter(|change| change.to == State::Open).count()
    }

    /// Each state with its beginning and its end, up to `end`.
    pub(super) fn states(
        &self,
        begin: Timestamp,
        end: Timestamp,
    ) -> Vec<(State, Timestamp, Timestamp)> {
        let changes = self.changes.iter().map(|change| (change.to, change.at));
        let begun: Vec<_> = [(State::Closed, begin)].into_iter().chain(changes).collect();
        let ends = begun.iter().skip(1).map(|(_, at)| *at).chain([end]);
        begun.iter().zip(ends).map(|((state, at), end)| (*state, *at, end)).collect()
    }

    /// For how long it was not closed.
    pub(super) fn not_closed(&self, begin: Timestamp, end: Timestamp) -> Span {
        let states = self.states(begin, end).into_iter();
        let spans =
            states.filter(|(state, ..)| *state != State::Closed).map(|(_, at, end)| end.since(at));
        spans.fold(Span::ZERO, |sum, span| sum + span)
    }
}

impl Memory {
    fn tick(&self) -> Timestamp {
        use crate::clock::Clock;
        tick_of(self.monotonic())
    }
}

fn tick_of(at: Timestamp) -> Timestamp {
    let nanos = at.as_nanos();
    Timestamp::from_nanos(nanos - nanos % TICK.as_nanos())
}
