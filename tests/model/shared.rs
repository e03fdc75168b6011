//! Shared data as a worker meets it that read some time ago.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use fusebox::breaker::Record;
use fusebox::clock::Clock;
use fusebox::store::{HostError, SharedData, Swapped, Token};
use fusebox::time::Timestamp;

use crate::flaw::Flaw;
use crate::kept::Kept;

/// What is stored under the circuit's key, if anything.
pub type Stored = Option<Version>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    pub bytes: Kept,
    pub cas: u32,
}

pub fn record_of(stored: &Stored) -> Option<Arc<Record>> {
    stored.as_ref().and_then(|version| version.bytes.record())
}

/// The host for one thing that a worker does.
pub struct Host {
    /// What every read returns until a swap has lost: the worker read it before the others went on.
    read: RefCell<Option<Stored>>,
    stored: RefCell<Stored>,
    /// The time as the worker read it.
    now: Timestamp,
    flaw: Option<Flaw>,
    swaps: Cell<u32>,
    lost: Cell<u32>,
}

impl Host {
    pub fn new(read: Stored, stored: Stored, now: Timestamp, flaw: Option<Flaw>) -> Self {
        Self {
            read: RefCell::new(Some(read)),
            stored: RefCell::new(stored),
            now,
            flaw,
            swaps: Cell::default(),
            lost: Cell::default(),
        }
    }

    pub fn stored(&self) -> Stored {
        self.stored.borrow().clone()
    }

    /// Whether anything was to be written.
    pub fn has_swapped(&self) -> bool {
        self.swaps.get() > 0
    }

    pub fn has_lost(&self) -> bool {
        self.lost.get() > 0
    }
}

impl Clock for Host {
    fn monotonic(&self) -> Timestamp {
        self.now
    }
}

impl SharedData for Host {
    fn get(&self, _: &str) -> Result<Option<(Vec<u8>, Token)>, HostError> {
        let found = self.read.borrow().clone().unwrap_or_else(|| self.stored());
        Ok(found.map(|version| (version.bytes.bytes().to_vec(), Token::new(version.cas).unwrap())))
    }

    fn swap(&self, _: &str, bytes: &[u8], token: Token) -> Result<Swapped, HostError> {
        self.swaps.set(self.swaps.get() + 1);
        let mut stored = self.stored.borrow_mut();
        let cas = stored.as_ref().map_or(0, |version| version.cas);
        let is_late = stored.is_some() && cas != token.get();
        if is_late && self.flaw != Some(Flaw::SwapsBlindly) {
            if self.flaw == Some(Flaw::NeverLoses) {
                return Ok(Swapped::Won);
            }
            self.lost.set(self.lost.get() + 1);
            self.read.take();
            return Ok(Swapped::Lost);
        }
        *stored = Some(Version { bytes: Kept::new(bytes), cas: cas + 1 });
        Ok(Swapped::Won)
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<Swapped, HostError> {
        self.swap(key, bytes, Token::MAX)
    }

    fn put(&self, _: &str, _: &[u8]) -> Result<(), HostError> {
        unreachable!("records are never overwritten")
    }
}
