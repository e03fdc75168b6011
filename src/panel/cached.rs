//! The cached replies of this namespace, as this worker stores and finds them.

use super::{Host, Panel};
use crate::config::Config;
use crate::fallback::cache::{Entry, Key, Slots};
use crate::store::{SharedData, Store};
use crate::time::{Span, Timestamp};

/// Keys whose last storing is remembered. Where two share a place the later is remembered, and the
/// other may be stored again too early: no more than that.
const REMEMBERED: usize = 1_024;

#[derive(Debug)]
pub(super) struct Cached {
    slots: Slots,
    /// What copies in flight may take together.
    most_in_flight: usize,
    in_flight: usize,
    /// By hash: when a key was last stored, or found unstorable, by this worker.
    stored: Vec<(u64, Timestamp)>,
}

impl Cached {
    /// `None` where no circuit answers from the cache.
    pub(super) fn of(prefix: &str, config: &Config) -> Option<Self> {
        let bytes = usize::try_from(config.cache_bytes).unwrap_or(usize::MAX);
        config.has_cache().then(|| Self {
            slots: Slots::new(prefix, bytes),
            most_in_flight: bytes / 8,
            in_flight: 0,
            stored: vec![(0, Timestamp::ZERO); REMEMBERED],
        })
    }

    pub(super) fn adopt<S: SharedData>(&self, store: &Store<S>) {
        self.slots.adopt(store);
    }
}

impl<H: Host> Panel<H> {
    /// Whether it is time to store this key again.
    pub fn is_cache_due(&self, hash: u64, refresh_after: Span) -> bool {
        let Some(cached) = &self.cached else { return false };
        let place = (hash % REMEMBERED as u64) as usize;
        cached
            .stored
            .get(place)
            .is_none_or(|(of, at)| *of != hash || self.clock.latest().since(*at) >= refresh_after)
    }

    /// A response to this key may not be stored: the next is not looked at before it is time again.
    pub fn note_unstorable(&mut self, hash: u64) {
        self.remember(hash);
    }

    /// Takes room for a copy in flight, if there is some.
    pub fn take_cache_room(&mut self, bytes: usize) -> bool {
        let Some(cached) = &mut self.cached else { return false };
        let taken = cached.in_flight.saturating_add(bytes);
        if taken > cached.most_in_flight {
            return false;
        }
        cached.in_flight = taken;
        true
    }

    pub fn give_cache_room(&mut self, bytes: usize) {
        if let Some(cached) = &mut self.cached {
            cached.in_flight = cached.in_flight.saturating_sub(bytes);
        }
    }

    pub fn store_reply(&mut self, key: &Key, entry: &Entry) {
        let Some(cached) = &mut self.cached else { return };
        if cached.slots.put(&self.store, key, entry) {
            self.remember(key.hash);
        }
    }

    fn remember(&mut self, hash: u64) {
        let now = self.clock.latest();
        let place = (hash % REMEMBERED as u64) as usize;
        let stored = self.cached.as_mut().and_then(|cached| cached.stored.get_mut(place));
        if let Some(stored) = stored {
            *stored = (hash, now);
        }
    }

    pub fn find_reply(&self, key: &Key, is_it: impl Fn(&Entry) -> bool) -> Option<Entry> {
        self.cached.as_ref()?.slots.find(&self.store, key, self.clock.latest(), is_it)
    }
}
