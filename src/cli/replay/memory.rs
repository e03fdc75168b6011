//! A host in memory, whose clock is the log's.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use fnv::FnvHashMap;

use crate::clock::Clock;
use crate::metrics::{Counters, Kind, MetricId};
use crate::store::{HostError, SharedData, Swapped, Token};
use crate::time::Timestamp;

/// One worker, and so nobody else to race with.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Rc<World>);

#[derive(Debug, Default)]
struct World {
    now: Cell<Timestamp>,
    values: RefCell<FnvHashMap<String, (Vec<u8>, Token)>>,
}

impl Memory {
    pub(super) fn set_clock(&self, now: Timestamp) {
        self.0.now.set(now);
    }
}

impl Clock for Memory {
    fn monotonic(&self) -> Timestamp {
        self.0.now.get()
    }
}

impl SharedData for Memory {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Token)>, HostError> {
        Ok(self.0.values.borrow().get(key).cloned())
    }

    fn swap(&self, key: &str, bytes: &[u8], token: Token) -> Result<Swapped, HostError> {
        if self.0.values.borrow().get(key).is_some_and(|(_, current)| *current != token) {
            return Ok(Swapped::Lost);
        }
        self.put(key, bytes).map(|()| Swapped::Won)
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<Swapped, HostError> {
        if self.0.values.borrow().contains_key(key) {
            return Ok(Swapped::Lost);
        }
        self.put(key, bytes).map(|()| Swapped::Won)
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), HostError> {
        let mut values = self.0.values.borrow_mut();
        match values.get_mut(key) {
            Some((value, token)) => {
                value.clear();
                value.extend_from_slice(bytes);
                *token = token.checked_add(1).unwrap_or(Token::MIN);
            }
            None => {
                values.insert(key.to_owned(), (bytes.to_vec(), Token::MIN));
            }
        }
        Ok(())
    }
}

/// The report counts for itself.
impl Counters for Memory {
    fn define(&self, _: Kind, _: &str) -> Option<MetricId> {
        None
    }

    fn increment(&self, _: MetricId, _: u64) {}

    fn set(&self, _: MetricId, _: u64) {}

    fn value(&self, _: MetricId) -> Option<u64> {
        None
    }
}
