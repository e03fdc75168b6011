//! Calls in flight whose response headers are still awaited, where slow ones count.
//!
//! A call that hangs is counted as slow by the first sync past its `slow_after`, long before it
//! ends. It then leaves this list: whoever asks later learns that it was slow.

use slotmap::{SlotMap, new_key_type};

use super::{Host, Panel, Ticket, of_ticket};
use crate::breaker::{Pace, Settled};
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

impl Flights {
    fn begin(&mut self, ticket: Ticket, due: Timestamp) -> FlightKey {
        if self.awaited.is_empty() || due < self.next_due {
            self.next_due = due;
        }
        self.awaited.insert(Flight { ticket, due })
    }

    /// Takes out the calls that are due at `now`.
    fn take_due(&mut self, now: Timestamp) -> Vec<Ticket> {
        if self.awaited.is_empty() || now < self.next_due {
            return Vec::new();
        }
        let mut due = Vec::new();
        self.awaited.retain(|_, flight| {
            let is_awaited = now < flight.due;
            if !is_awaited {
                due.push(flight.ticket);
            }
            is_awaited
        });
        self.next_due = self.awaited.values().map(|flight| flight.due).min().unwrap_or_default();
        due
    }
}

impl<H: Host> Panel<H> {
    /// The client has sent all of its request: the upstream has `slow_after` from now.
    pub fn await_headers(&mut self, ticket: &Ticket, slow_after: Span) -> FlightKey {
        let now = self.clock.read(self.store.shared());
        self.flights.begin(*ticket, now + slow_after)
    }

    /// The wait for a call's headers is over: it is slow if it was counted so already, or is late
    /// now and counted at once.
    pub fn stop_awaiting(&mut self, key: FlightKey) -> Pace {
        let Some(flight) = self.flights.awaited.remove(key) else {
            return Pace::Slow;
        };
        if self.clock.read(self.store.shared()) < flight.due {
            return Pace::Fast;
        }
        self.slow(&flight.ticket);
        Pace::Slow
    }

    /// The call has come to nothing, and its pace is of no interest any more. It is slow if it was
    /// counted so already.
    pub fn forget_awaited(&mut self, key: FlightKey) -> Pace {
        if self.flights.awaited.remove(key).is_some() { Pace::Fast } else { Pace::Slow }
    }

    pub(super) fn count_slow(&mut self, now: Timestamp) {
        for ticket in self.flights.take_due(now) {
            self.slow(&ticket);
        }
    }

    fn slow(&mut self, ticket: &Ticket) {
        let Ticket { seat, owner, permit } = *ticket;
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
        Ticket { seat, owner: Owner(7), permit }
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
        assert_eq!(seats(flights.take_due(at(9))), [0_usize; 0]);
        assert_eq!(seats(flights.take_due(at(20))), [2, 3]);
        assert_eq!(seats(flights.take_due(at(20))), [0_usize; 0]);
        assert_eq!(seats(flights.take_due(at(30))), [1]);
    }

    #[test]
    fn a_call_that_begins_after_all_others_ended_is_not_overlooked() {
        let mut flights = Flights::default();
        let first = flights.begin(ticket(1), at(10));
        flights.awaited.remove(first);
        flights.begin(ticket(2), at(50));
        assert_eq!(seats(flights.take_due(at(49))), [0_usize; 0]);
        flights.begin(ticket(3), at(40));
        assert_eq!(seats(flights.take_due(at(50))), [2, 3]);
    }

    #[test]
    fn the_key_of_a_call_that_left_does_not_find_its_successor() {
        let mut flights = Flights::default();
        let first = flights.begin(ticket(1), at(10));
        flights.take_due(at(10));
        flights.begin(ticket(2), at(20));
        assert!(flights.awaited.remove(first).is_none());
    }
}
