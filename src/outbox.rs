//! What waits to be sent to a target that may be slow, or not there at all.
//!
//! One call at a time: that keeps the order in which things happened, and a target that hangs holds
//! one connection of a worker and no more. What waits meanwhile is bounded. Nothing is sent twice,
//! and whatever does not arrive is counted.

use std::collections::VecDeque;
use std::mem;

use crate::time::{Span, Timestamp};

/// As many as there can be circuits: all of them may be forced at once.
const CAPACITY: usize = 4_096;
/// The host ends a call that takes too long. Where it has not told by this much later it never
/// will: a list of capabilities may leave out the callback.
const GRACE: Span = Span::from_secs(5);

/// A queue with the one call in flight.
#[derive(Debug)]
pub struct Outbox<T> {
    waiting: VecDeque<T>,
    in_flight: Option<InFlight>,
    undelivered: u64,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    token: u32,
    until: Timestamp,
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), in_flight: None, undelivered: 0 }
    }
}

impl<T> Outbox<T> {
    /// In a full outbox the oldest makes room: the newest says how things are.
    pub fn push(&mut self, item: T) {
        if self.waiting.len() >= CAPACITY {
            self.waiting.pop_front();
            self.miss(1);
        }
        self.waiting.push_back(item);
    }

    /// Sends what comes next, unless a call is still in flight. `post` gives the call's token, or
    /// `None` where it was refused: then it is the turn of the one behind.
    pub fn send(&mut self, now: Timestamp, timeout: Span, mut post: impl FnMut(&T) -> Option<u32>) {
        if self.in_flight.is_some_and(|call| call.until <= now) {
            self.in_flight = None;
            self.miss(1);
        }
        while self.in_flight.is_none()
            && let Some(item) = self.waiting.pop_front()
        {
            match post(&item) {
                Some(token) => {
                    self.in_flight = Some(InFlight { token, until: now + timeout + GRACE });
                }
                None => self.miss(1),
            }
        }
    }

    /// A call has ended. One that is not in flight has been given up, and counted then.
    pub fn answered(&mut self, token: u32, is_delivered: bool) {
        if self.in_flight.is_some_and(|call| call.token == token) {
            self.in_flight = None;
            self.miss(u64::from(!is_delivered));
        }
    }

    /// Nothing will be sent any more.
    pub fn abandon(&mut self) {
        let in_flight = self.in_flight.take().map_or(0, |_| 1);
        self.miss(in_flight + self.waiting.len() as u64);
        self.waiting.clear();
    }

    /// How many did not arrive since this was last asked.
    pub const fn take_undelivered(&mut self) -> u64 {
        mem::replace(&mut self.undelivered, 0)
    }

    const fn miss(&mut self, count: u64) {
        self.undelivered = self.undelivered.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Span = Span::from_secs(1);

    fn with(items: impl IntoIterator<Item = usize>) -> Outbox<usize> {
        let mut outbox = Outbox::default();
        items.into_iter().for_each(|item| outbox.push(item));
        outbox
    }

    /// What is sent at this second, each with itself as token.
    fn sent(outbox: &mut Outbox<usize>, second: u64) -> Vec<usize> {
        let mut sent = Vec::new();
        outbox.send(Timestamp::ZERO + Span::from_secs(second), TIMEOUT, |&item| {
            sent.push(item);
            u32::try_from(item).ok()
        });
        sent
    }

    #[test]
    fn one_is_sent_after_the_other_in_their_order() {
        let mut outbox = with(1..=3);
        assert_eq!(sent(&mut outbox, 0), [1]);
        assert!(sent(&mut outbox, 0).is_empty());
        outbox.answered(1, true);
        assert_eq!(sent(&mut outbox, 0), [2]);
        outbox.answered(2, true);
        assert_eq!(sent(&mut outbox, 0), [3]);
        outbox.answered(3, true);
        assert_eq!((sent(&mut outbox, 0), outbox.take_undelivered()), (vec![], 0));
    }

    #[test]
    fn what_fails_is_counted_and_not_sent_again() {
        let mut outbox = with(1..=2);
        assert_eq!(sent(&mut outbox, 0), [1]);
        outbox.answered(1, false);
        assert_eq!((sent(&mut outbox, 0), outbox.take_undelivered()), (vec![2], 1));
        assert_eq!(outbox.take_undelivered(), 0);
    }

    #[test]
    fn what_is_refused_keeps_nobody_waiting() {
        let mut outbox = with(1..=3);
        let mut tried = Vec::new();
        outbox.send(Timestamp::ZERO, TIMEOUT, |&item| {
            tried.push(item);
            (item == 3).then_some(9)
        });
        assert_eq!((tried, outbox.take_undelivered()), (vec![1, 2, 3], 2));
        outbox.answered(9, true);
        assert_eq!(outbox.take_undelivered(), 0);
    }

    #[test]
    fn a_full_outbox_keeps_the_newest() {
        let mut outbox = with(0..CAPACITY + 2);
        assert_eq!(outbox.take_undelivered(), 2);
        assert_eq!(sent(&mut outbox, 0), [2]);
    }

    #[test]
    fn a_call_nobody_tells_the_end_of_is_given_up_once() {
        let mut outbox = with(1..=2);
        assert_eq!(sent(&mut outbox, 0), [1]);
        assert!(sent(&mut outbox, 5).is_empty());
        assert_eq!((sent(&mut outbox, 6), outbox.take_undelivered()), (vec![2], 1));
        outbox.answered(1, false);
        assert_eq!((sent(&mut outbox, 6), outbox.take_undelivered()), (vec![], 0));
    }

    #[test]
    fn what_is_abandoned_is_counted() {
        let mut outbox = with(1..=3);
        assert_eq!(sent(&mut outbox, 0), [1]);
        outbox.abandon();
        outbox.answered(1, true);
        assert_eq!((sent(&mut outbox, 9), outbox.take_undelivered()), (vec![], 3));
    }
}
