//! Calls in flight whose response headers are still awaited, where slow ones count.
//!
//! A call that hangs is counted as slow by the first sync past its `slow_after`, long before it
//! ends. It then leaves this list: whoever asks later learns that it was slow.

use slotmap::{SlotMap, new_key_type};

use super::{Host, Panel, Ticket, of_ticket};
use crate::breaker::Settled;
use crate::metrics::Metric;
use crate::time::{Span, Timestamp};

new_key_type! {
    /// A call in flight. The key of one that has left the list finds nothing.
    pub struct FlightKey;
}

#[derive(Debug, Default)]
pub(super) struct Flights {
    awaited: SlotMap<FlightKey, Flight>,
    /// No call is due before this, so that a sync need not look at them all.
    next_due: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    ticket: Ticket,
    /// When it becomes slow.
    due: Timestamp,
}

/// How the wait for a call's headers ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    InTime,
    /// To be counted as slow now, if it was the upstream that took so long.
    Late,
    /// Slow, and counted so already.
    Counted,
}

impl Flights {
    fn begin(&mut self, ticket: Ticket, due: Timestamp) -> FlightKey {
        if self.awaited.is_empty() || due < self.next_due {
            self.next_due = due;
        }
        self.awaited.insert(Flight { ticket, due })
    }

    /// Takes out the calls that are due at `now`, but for those which `may_move`.
    fn take_due(&mut self, now: Timestamp, may_move: impl Fn(&Ticket) -> bool) -> Vec<Ticket> {
        if self.awaited.is_empty() || now < self.next_due {
            return Vec::new();
        }
        let mut due = Vec::new();
        self.awaited.retain(|_, flight| {
            let is_awaited = now < flight.due || may_move(&flight.ticket);
            if !is_awaited {
                due.push(flight.ticket);
            }
            is_awaited
        });
        let still_due = self.awaited.values().map(|flight| flight.due);
        self.next_due = still_due.filter(|due| now < *due).min().unwrap_or(Timestamp::MAX);
        due
    }
}

impl<H: Host> Panel<H> {
    /// The client has sent all of its request: the upstream has `slow_after` from now.
    pub fn await_headers(&mut self, ticket: &Ticket, slow_after: Span) -> FlightKey {
        let now = self.clock.read(self.store.shared());
        self.flights.begin(*ticket, now + slow_after)
    }

    /// The wait for a call's headers is over.
    pub fn stop_awaiting(&mut self, key: FlightKey) -> Awaited {
        match self.flights.awaited.remove(key) {
            None => Awaited::Counted,
            Some(flight) if self.clock.read(self.store.shared()) < flight.due => Awaited::InTime,
            Some(_) => Awaited::Late,
        }
    }

    /// Counts a call as slow, for the cluster that served it.
    pub fn count_slow(&mut self, ticket: &Ticket, served_by: Option<&[u8]>) {
        match served_by.filter(|server| self.has_moved(ticket, server)) {
            None => self.slow(ticket),
            Some(server) => {
                if let Some(moved) = self.moved(ticket, server) {
                    self.slow(&moved);
                }
            }
        }
    }

    /// Counts the calls that have become slow in flight. Where calls are served by other clusters
    /// than admitted them, who serves one only shows when its headers come: those wait.
    pub(super) fn count_hanging(&mut self, now: Timestamp) {
        let circuits = &self.circuits;
        let may_move = |ticket: &Ticket| {
            let guarded = circuits.get(ticket.seat).and_then(Option::as_ref);
            guarded.is_some_and(|guarded| guarded.may_move)
        };
        for ticket in self.flights.take_due(now, may_move) {
            self.slow(&ticket);
        }
    }

    fn slow(&mut self, ticket: &Ticket) {
        let Ticket { seat, owner, permit, .. } = *ticket;
        let Some(guarded) = of_ticket(&mut self.circuits, ticket) else {
            return;
        };
        let (ledger, store) = (&self.ledger, &self.store);
        let counted = guarded.circuit.slow(store, &self.clock, &permit, |now| {
            ledger.peers(store, owner, permit.generation, now)
        });
        let Ok(told) = counted else {
            return self.forget(seat);
        };
        // One of an older generation has its outcome still to come, and is told as stale then.
        if told.answer == Settled::Counted {
            guarded.metrics.add(store.shared(), Metric::Slow, 1);
        }
        self.tell(seat, told.lapsed, told.transition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::{Owner, Permit};

    fn at(millis: u64) -> Timestamp {
        Timestamp::ZERO + Span::from_millis(millis)
    }

    fn ticket(seat: usize) -> Ticket {
        let permit = Permit { generation: 0, started: Timestamp::ZERO, probe: None };
        Ticket { seat, owner: Owner(7), permit, is_spectator: false }
    }

    fn never(_: &Ticket) -> bool {
        false
    }

    fn seats(due: Vec<Ticket>) -> Vec<usize> {
        let mut seats: Vec<_> = due.into_iter().map(|ticket| ticket.seat).collect();
        seats.sort_unstable();
        seats
    }

    #[test]
    fn a_call_is_due_at_its_time_and_once() {
        let mut flights = Flights::default();
        for (seat, due) in [(1, 30), (2, 10), (3, 20)] {
            flights.begin(ticket(seat), at(due));
        }
        assert_eq!(seats(flights.take_due(at(9), never)), [0_usize; 0]);
        assert_eq!(seats(flights.take_due(at(20), never)), [2, 3]);
        assert_eq!(seats(flights.take_due(at(20), never)), [0_usize; 0]);
        assert_eq!(seats(flights.take_due(at(30), never)), [1]);
    }

    #[test]
    fn a_call_that_begins_after_all_others_ended_is_not_overlooked() {
        let mut flights = Flights::default();
        let first = flights.begin(ticket(1), at(10));
        flights.awaited.remove(first);
        flights.begin(ticket(2), at(50));
        assert_eq!(seats(flights.take_due(at(49), never)), [0_usize; 0]);
        flights.begin(ticket(3), at(40));
        assert_eq!(seats(flights.take_due(at(50), never)), [2, 3]);
    }

    #[test]
    fn calls_that_may_move_wait_for_their_headers_without_a_look_at_every_sync() {
        let mut flights = Flights::default();
        let moving = flights.begin(ticket(1), at(10));
        flights.begin(ticket(2), at(30));
        assert_eq!(seats(flights.take_due(at(10), |ticket| ticket.seat == 1)), [0_usize; 0]);
        assert_eq!(flights.next_due, at(30));
        assert!(flights.awaited.remove(moving).is_some());
    }

    #[test]
    fn the_key_of_a_call_that_left_does_not_find_its_successor() {
        let mut flights = Flights::default();
        let first = flights.begin(ticket(1), at(10));
        flights.take_due(at(10), never);
        flights.begin(ticket(2), at(20));
        assert!(flights.awaited.remove(first).is_none());
    }
}
