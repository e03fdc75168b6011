//! Forcing the state of a circuit, by an operator's word.

use std::collections::BTreeSet;
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
    /// There is no such circuit.
    Unknown,
    /// Its policy's mode is off.
    Off,
    /// Shared data refused.
    Failed,
}

impl<H: Host> Panel<H> {
    pub fn steer(&mut self, name: &str, order: &Order) -> Obeyed {
        let is_known = self.load_index().slot_of(name).is_some()
            || self.config.named().any(|named| named == name);
        if !is_known {
            return Obeyed::Unknown;
        }
        // The second try is for a slot that turned out to have been given away.
        for _ in 0..2 {
            let seat = match self.seat(name.as_bytes()) {
                Seat::Guarded(seat) => seat,
                Seat::Off => return Obeyed::Off,
                Seat::Untracked => return Obeyed::Failed,
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
                    self.tell_of(seat);
                    return Obeyed::Done;
                }
                Ok(None) => return Obeyed::Failed,
                Err(Evicted) => self.forget(seat),
            }
        }
        Obeyed::Failed
    }

    /// Every circuit that can be steered.
    pub fn steerable(&self) -> Vec<String> {
        let index = self.load_index();
        let mut names: BTreeSet<&str> = BTreeSet::new();
        names.extend(index.tenants().map(|(_, tenant)| tenant.name.as_str()));
        names.extend(self.config.named());
        let is_on = |name: &&str| self.config.policy(name).mode != Mode::Off;
        names.into_iter().filter(is_on).map(str::to_owned).collect()
    }
}
