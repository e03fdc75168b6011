//! A host that does not do what it should: calls it refuses, and bytes that are not what was asked for.
//!
//! No Envoy is like that. It stands for the next one, for a capability list that leaves something out, and for mistakes.

use std::cell::{Cell, RefCell};

/// What becomes of one hostcall.
#[derive(Clone, Debug)]
pub enum Mishap {
    /// Nothing is done, and this status is all there is.
    Refused(u32),
    /// These bytes in place of those it should hand over.
    Garbled(Vec<u8>),
}

type Script = Box<dyn FnMut(&'static str) -> Option<Mishap>>;

#[derive(Default)]
pub struct Mishaps {
    script: RefCell<Option<Script>>,
    garbled: RefCell<Option<Vec<u8>>>,
    count: Cell<u64>,
}

impl Mishaps {
    pub fn follow(&self, script: Script) {
        *self.script.borrow_mut() = Some(script);
    }

    pub fn end(&self) {
        *self.script.borrow_mut() = None;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count.get()
    }

    /// A hostcall begins: the status it is refused with, if any.
    pub fn befall(&self, import: &'static str) -> Option<u32> {
        self.garbled.take();
        let mishap = self.script.borrow_mut().as_mut().and_then(|script| script(import))?;
        self.count.set(self.count.get() + 1);
        match mishap {
            Mishap::Refused(status) => Some(status),
            Mishap::Garbled(bytes) => {
                *self.garbled.borrow_mut() = Some(bytes);
                None
            }
        }
    }

    /// What it hands over instead, if anything.
    pub fn take_garbled(&self) -> Option<Vec<u8>> {
        self.garbled.take()
    }
}
