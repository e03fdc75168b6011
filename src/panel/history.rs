//! What has happened to a circuit lately, for people who ask why: shared, so that any worker can
//! tell, and kept beside the record, which has to stay small.
//!
//! Losing some of it is no harm: it decides nothing.

use std::mem;

use super::{Event, Host, Panel};
use crate::breaker::{Owner, State};
use crate::bytes::{Reader, Writer};
use crate::store::Value;
use crate::time::Timestamp;

const VERSION: u8 = 1;
const MOST_TRANSITIONS: usize = 16;
const MOST_FAILURES: usize = 8;
/// Texts are cut here.
pub(super) const MOST_BYTES: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct History {
    owner: Owner,
    /// The oldest first.
    pub transitions: Vec<Past>,
    pub failures: Vec<Failed>,
    /// Why the state was last forced, with the generation that it made.
    pub note: (u32, String),
}

/// A transition that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    pub at: Timestamp,
    pub generation: u32,
    pub from: State,
    pub to: State,
    pub reason: String,
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub at: Timestamp,
    pub status: Option<u16>,
    pub details: String,
}

/// What was seen of a call that has ended, for people to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen<'a> {
    pub status: Option<u16>,
    pub details: &'a str,
}

impl History {
    pub(super) const fn new(owner: Owner) -> Self {
        Self { owner, transitions: Vec::new(), failures: Vec::new(), note: (0, String::new()) }
    }

    fn remember(&mut self, event: &Event) {
        let generation = event.transition.generation;
        let past = Past {
            at: event.at,
            generation,
            from: event.transition.from,
            to: event.transition.to,
            reason: cut(&event.reason()).to_owned(),
        };
        // Workers write in another order than that in which they won.
        let place = self.transitions.partition_point(|known| known.generation <= generation);
        self.transitions.insert(place, past);
        keep_last(&mut self.transitions, MOST_TRANSITIONS);
        if let Some(note) = event.note.as_ref().filter(|_| self.note.0 <= generation) {
            self.note = (generation, cut(note).to_owned());
        }
    }

    fn failed(&mut self, failures: &[Failed]) {
        for failed in failures {
            // Workers write when they sync, not when it happened.
            let place = self.failures.partition_point(|known| known.at <= failed.at);
            self.failures.insert(place, failed.clone());
        }
        keep_last(&mut self.failures, MOST_FAILURES);
    }
}

impl<H: Host> Panel<H> {
    pub(super) fn note_event(&self, slot: u16, owner: Owner, event: &Event) {
        self.change_history(slot, owner, |history| history.remember(event));
    }

    /// Notes a failure, to be written at the next sync.
    pub(super) fn note_failure(&mut self, seat: usize, seen: Seen<'_>) {
        let at = self.clock.latest();
        let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) else { return };
        if guarded.failed.is_empty() {
            self.with_failures.push(seat);
        }
        let details = cut(seen.details).to_owned();
        guarded.failed.push(Failed { at, status: seen.status, details });
        keep_last(&mut guarded.failed, MOST_FAILURES);
    }

    pub(super) fn publish_failures(&mut self) {
        for seat in mem::take(&mut self.with_failures) {
            let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) else {
                continue;
            };
            let failed = mem::take(&mut guarded.failed);
            let (slot, owner) = (guarded.slot, guarded.circuit.owner());
            self.change_history(slot, owner, |history| history.failed(&failed));
        }
    }

    pub(super) fn history(&self, slot: u16, owner: Owner) -> History {
        let found: Option<History> = self.store.load(&self.history_key(slot)).ok().flatten();
        found.filter(|history| history.owner == owner).unwrap_or_else(|| History::new(owner))
    }

    fn change_history(&self, slot: u16, owner: Owner, change: impl Fn(&mut History)) {
        let _ = self.store.change(&self.history_key(slot), |found: Option<&History>| {
            let of_owner = found.filter(|history| history.owner == owner);
            let mut history = of_owner.cloned().unwrap_or_else(|| History::new(owner));
            change(&mut history);
            ((), Some(history))
        });
    }

    fn history_key(&self, slot: u16) -> String {
        self.key(&format!("history/{slot}"))
    }
}

fn keep_last<T>(items: &mut Vec<T>, most: usize) {
    let surplus = items.len().saturating_sub(most);
    items.drain(..surplus);
}

/// As much of a text as is shown.
pub(super) fn cut(text: &str) -> &str {
    let end = (0..=MOST_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

impl Value for History {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(1 << 10);
        to.u8(VERSION);
        to.u64(self.owner.0);
        to.u8(self.transitions.len() as u8);
        for past in &self.transitions {
            to.time(past.at);
            to.u32(past.generation);
            to.u8(past.from.as_gauge() as u8);
            to.u8(past.to.as_gauge() as u8);
            to.text(&past.reason);
        }
        to.u8(self.failures.len() as u8);
        for failed in &self.failures {
            to.time(failed.at);
            to.u16(failed.status.unwrap_or(0));
            to.text(&failed.details);
        }
        to.u32(self.note.0);
        to.text(&self.note.1);
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        if from.u8()? != VERSION {
            return None;
        }
        let owner = Owner(from.u64()?);
        let mut transitions = Vec::new();
        for _ in 0..from.u8()? {
            transitions.push(Past {
                at: from.time()?,
                generation: from.u32()?,
                from: state(from.u8()?)?,
                to: state(from.u8()?)?,
                reason: from.text()?.to_owned(),
            });
        }
        let mut failures = Vec::new();
        for _ in 0..from.u8()? {
            failures.push(Failed {
                at: from.time()?,
                status: Some(from.u16()?).filter(|status| *status > 0),
                details: from.text()?.to_owned(),
            });
        }
        let note = (from.u32()?, from.text()?.to_owned());
        from.finish(Self { owner, transitions, failures, note })
    }
}

fn state(gauge: u8) -> Option<State> {
    [State::Closed, State::Open, State::HalfOpen].into_iter().nth(usize::from(gauge))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::breaker::{Cause, Transition};
    use crate::config::Mode;

    fn event(generation: u32, note: Option<&str>) -> Event {
        let (from, to) = (State::HalfOpen, State::Closed);
        let reason = Cause::Recovered { probes: 1 };
        Event {
            circuit: Rc::from("up"),
            mode: Mode::Enforce,
            at: Timestamp::from_nanos(u64::from(generation)),
            note: note.map(Rc::from),
            transition: Transition { from, to, reason, generation, open_for: None },
        }
    }

    fn failed(at: u64) -> Failed {
        let details = "via_upstream".to_owned();
        Failed { at: Timestamp::from_nanos(at), status: (at > 1).then_some(503), details }
    }

    #[test]
    fn the_last_of_each_survive_the_bytes() {
        let mut history = History::new(Owner(7));
        for generation in 0..20 {
            history.remember(&event(generation, (generation == 3).then_some("a night's sleep")));
        }
        history.failed(&[failed(9), failed(1), failed(5)]);
        let bytes = history.encode();
        assert_eq!(History::decode(&bytes), Some(history.clone()));
        assert_eq!(history.transitions.first().unwrap().generation, 4);
        assert_eq!(
            (history.transitions.len(), &history.note),
            (16, &(3, "a night's sleep".to_owned()))
        );
        let times: Vec<_> = history.failures.iter().map(|failed| failed.at.as_nanos()).collect();
        assert_eq!(times, [1, 5, 9]);
        for length in 0..bytes.len() {
            assert_eq!(History::decode(&bytes[..length]), None, "{length}");
        }
    }

    #[test]
    fn the_order_is_that_of_the_generations_whoever_writes_first() {
        let mut history = History::new(Owner(7));
        history.remember(&event(2, Some("second")));
        history.remember(&event(1, Some("first")));
        let generations: Vec<_> = history.transitions.iter().map(|it| it.generation).collect();
        assert_eq!((generations, history.note.1.as_str()), (vec![1, 2], "second"));
    }

    #[test]
    fn the_oldest_failures_make_room() {
        let mut history = History::new(Owner(7));
        (0..30).for_each(|at| history.failed(&[failed(at)]));
        assert_eq!(history.failures, (22..30).map(failed).collect::<Vec<_>>());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "é".repeat(150);
        assert_eq!(cut(&text).len(), 200);
        assert_eq!(cut(&format!("a{text}")).len(), 199);
        assert_eq!(cut("short"), "short");
    }
}
