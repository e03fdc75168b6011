//! Forcing the state of a circuit, by an operator's word.

use std::rc::Rc;

use super::history::cut;
use super::{Host, Panel, Seat};
use crate::breaker::{Forced, Lapsed};
use crate::circuit::Evicted;
use crate::config::Mode;
use crate::time::Span;

/// What an operator wants of a circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Force {
        to: Forced,
        span: Span,
        reason: String,
    },
    /// What was forced ends.
    Release,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obeyed {
    Done,
    /// There was nothing to release.
    Nothing,
    /// There is no such circuit.
    Unknown,
    /// Its policy's mode is off.
    Off,
    /// Other circuits have all the slots.
    NoSlot,
    /// Shared data refused.
    Failed,
}

impl<H: Host> Panel<H> {
    /// One circuit.
    pub fn steer(&mut self, name: &str, order: &Order) -> Obeyed {
        let has_slot = self.load_index().slot_of(name).is_some();
        if !has_slot && !self.config.named().any(|named| named == name) {
            return Obeyed::Unknown;
        }
        self.steer_known(name, has_slot, order)
    }

    /// Every circuit there is, but for those that are off.
    pub fn steer_all(&mut self, order: &Order) -> Obeyed {
        let index = self.load_index();
        let slots = index.by_name();
        let named: Vec<String> = self.config.named().map(str::to_owned).collect();
        let mut worst = Obeyed::Nothing;
        for name in index.names_with(&named) {
            match self.steer_known(name, slots.contains_key(name), order) {
                Obeyed::Off | Obeyed::Nothing | Obeyed::Unknown => {}
                Obeyed::Done if worst != Obeyed::Nothing => {}
                obeyed => worst = obeyed,
            }
        }
        worst
    }

    fn steer_known(&mut self, name: &str, has_slot: bool, order: &Order) -> Obeyed {
        if self.config.policy(name).mode == Mode::Off {
            return Obeyed::Off;
        }
        if *order == Order::Release && !has_slot {
            return Obeyed::Nothing;
        }
        // The second try is for a slot that turned out to have been given away.
        for _ in 0..2 {
            let Seat::Guarded(seat) = self.seat(name.as_bytes()) else {
                return Obeyed::NoSlot;
            };
            let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) else {
                return Obeyed::Failed;
            };
            let (told, note) = match order {
                Order::Force { to, span, reason } => {
                    let told = guarded.circuit.force(&self.store, &self.clock, *to, *span);
                    (told, Some(Rc::from(cut(reason))))
                }
                Order::Release => (guarded.circuit.unforce(&self.store, &self.clock), None),
            };
            match told {
                Ok(Some(told)) => {
                    self.tell_with(seat, Lapsed::default(), told.transition, note);
                    // What ends an open circuit's override is no transition, and news all the same.
                    if told.transition.is_none() && told.answer {
                        self.tell_of(seat);
                    }
                    return if told.answer { Obeyed::Done } else { Obeyed::Nothing };
                }
                Ok(None) => return Obeyed::Failed,
                Err(Evicted) => self.forget(seat),
            }
        }
        Obeyed::Failed
    }
}
