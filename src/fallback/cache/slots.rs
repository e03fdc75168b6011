//! Where cached replies lie in shared data.
//!
//! Its keys can never be deleted, so the keys are fixed slots and the budget holds because there
//! are no others. All under `cache/<format>/` of the namespace:
//! - `geometry`: how many units are in use, and how many may have something in them.
//! - `set/<n>`: the tags of a set of units. Changed by compare and swap.
//! - `<unit>/<slot>`: an entry, never longer than its slot. Put blindly: see [`super::tags`].
//!
//! Tags and keys are paid for from the budget too. On top of it comes the host's own account of a
//! key, some 100 bytes, where the keys are long, and what its allocator rounds up.
//!
//! A lookup in vain reads the tags, one that finds its entry at once that too, and the first one of
//! each sync the geometry; a store reads three values and writes two.

use std::cell::Cell;

use super::entry::{self, Entry, Stored};
use super::geometry::{Class, Geometry, Set};
use super::key::Key;
use super::tags::{Tag, Tags};
use crate::store::{SharedData, Store};
use crate::time::Timestamp;

/// Of all values here. Another format finds none of this one's, and leaves them lying: it should
/// empty them first.
const FORMAT: &str = "1";

/// A namespace's cached replies.
#[derive(Debug)]
pub struct Slots {
    prefix: String,
    /// That this configuration pays for.
    pub(super) units: u16,
    /// The geometry as it was when a lookup last read it, and when that was. Where it has changed
    /// since, an entry is missed, or found that is about to go.
    seen: Cell<Option<(Timestamp, Geometry)>>,
}

impl Slots {
    /// Under the keys that begin with `namespace_prefix`.
    pub fn new(namespace_prefix: &str, max_bytes: usize) -> Self {
        let prefix = format!("{namespace_prefix}cache/{FORMAT}/");
        Self { prefix, units: Geometry::units_of(max_bytes), seen: Cell::default() }
    }

    /// The entry under `key` that `is_it`, if there is one. It is asked of each variant in turn,
    /// and never of another key's entry. `now` may be as old as the last sync.
    pub fn find<S: SharedData>(
        &self,
        store: &Store<S>,
        key: &Key,
        now: Timestamp,
        is_it: impl Fn(&Entry) -> bool,
    ) -> Option<Entry> {
        let set = self.geometry_at(store, now)?.set_of(key.hash);
        let tags = store.load::<Tags>(&self.tags_key(set)).ok()??.resized(set.slots());
        tags.positions(fingerprint(key)).into_iter().find_map(|position| {
            let stored = store.load::<Stored>(&self.slot_key(set.slot(position))).ok()??;
            (stored.key == key.bytes && is_it(&stored.entry)).then_some(stored.entry)
        })
    }

    /// Stores the entry, in place of an earlier one of the same key and variant or of the oldest in
    /// its set. `false` where it is too large or shared data refuses it.
    pub fn put<S: SharedData>(&self, store: &Store<S>, key: &Key, entry: &Entry) -> bool {
        self.try_put(store, key, entry).is_some()
    }

    fn try_put<S: SharedData>(&self, store: &Store<S>, key: &Key, entry: &Entry) -> Option<()> {
        let bytes = entry::encode(&key.bytes, entry);
        let class = Class::with_room_for(bytes.len())?;
        let set = self.geometry_or_ours(store)?.set_of(key.hash);
        let tag =
            Tag { key: fingerprint(key), variant: entry.variant(), stored_at: entry.stored_at };
        let changed = store.change(&self.tags_key(set), |tags: Option<&Tags>| {
            let mut tags = tags.cloned().unwrap_or_default().resized(set.slots());
            (tags.claim(tag, class), Some(tags))
        });
        let slot = set.slot(changed.ok()?.0?);
        let slot_key = self.slot_key(slot);
        store.shared().put(&slot_key, &bytes).ok()?;
        if self.geometry(store).is_none_or(|geometry| geometry.units <= slot.0) {
            let _ = store.shared().put(&slot_key, b"");
            return None;
        }
        Some(())
    }

    /// Read once for each sync.
    fn geometry_at<S: SharedData>(&self, store: &Store<S>, now: Timestamp) -> Option<Geometry> {
        match self.seen.get() {
            Some((seen, geometry)) if seen == now => Some(geometry),
            _ => {
                let geometry = self.geometry(store)?;
                self.seen.set(Some((now, geometry)));
                Some(geometry)
            }
        }
    }

    pub(super) fn geometry<S: SharedData>(&self, store: &Store<S>) -> Option<Geometry> {
        store.load(&self.geometry_key()).ok()?
    }

    /// Should the geometry be lost to other hands, or have been refused, the cache begins again.
    fn geometry_or_ours<S: SharedData>(&self, store: &Store<S>) -> Option<Geometry> {
        self.geometry(store).or_else(|| {
            self.adopt(store);
            self.geometry(store)
        })
    }

    pub(super) fn tags_key(&self, set: Set) -> String {
        self.key(&["set/", &set.number.to_string()])
    }

    pub(super) fn slot_key(&self, (unit, number): (u16, usize)) -> String {
        self.key(&[&unit.to_string(), "/", &number.to_string()])
    }

    pub(super) fn geometry_key(&self) -> String {
        self.key(&["geometry"])
    }

    fn key(&self, parts: &[&str]) -> String {
        let mut key = String::with_capacity(self.prefix.len() + 16);
        key.push_str(&self.prefix);
        parts.iter().for_each(|part| key.push_str(part));
        key
    }
}

/// Tells the keys of a set apart, nearly always: the entry has the whole key.
const fn fingerprint(key: &Key) -> u32 {
    (key.hash >> 32) as u32
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::super::fixtures::{headers, request, rules};
    use super::super::{Exchange, Terms, storable};
    use super::*;
    use crate::store::tests::Memory;
    use crate::store::{HostError, Swapped, Token};
    use crate::time::{Span, Timestamp};

    pub(crate) const MIB: usize = 1 << 20;
    pub(crate) const PREFIX: &str = "fusebox/1/default/";

    pub(crate) fn slots(mib: usize) -> Slots {
        Slots::new(PREFIX, mib * MIB)
    }

    pub(crate) fn adopted(mib: usize) -> (Slots, Store<Memory>) {
        let (slots, store) = (slots(mib), Store::new(Memory::default()));
        slots.adopt(&store);
        (slots, store)
    }

    pub(crate) fn key(number: usize) -> Key {
        Key::new(format!("GET example.com /{number}").into_bytes())
    }

    pub(crate) fn entry(body: &[u8], stored_at: usize) -> Entry {
        Entry {
            terms: terms(&[]),
            status: 200,
            headers: headers(&[("content-type", "text/plain")]),
            body: body.to_vec(),
            stored_at: Timestamp::from_nanos(stored_at as u64),
        }
    }

    /// Of a response that varies on `accept`, to a request with these.
    fn terms(accept: &[(&str, &str)]) -> Terms {
        let vary = if accept.is_empty() { vec![] } else { vec![("vary", "accept")] };
        let response = headers(&[&[(":status", "200")][..], &vary].concat());
        let exchange = Exchange {
            request: &request(accept),
            response: &response,
            wall: Span::ZERO,
            delay: Span::ZERO,
        };
        storable(&rules(), &exchange).unwrap()
    }

    /// Of a key's own, so that a foreign one would show.
    pub(crate) fn own_entry(number: usize, bytes: usize) -> Entry {
        let mut body = format!("{number}:").into_bytes();
        body.resize(body.len().max(bytes), b'.');
        entry(&body, number)
    }

    pub(crate) fn is_found(slots: &Slots, store: &Store<Memory>, number: usize) -> bool {
        let Some(entry) = find(slots, store, &key(number), |_| true) else {
            return false;
        };
        assert!(entry.body.starts_with(format!("{number}:").as_bytes()), "another key's");
        true
    }

    /// How long a body may be to fill its slot to the last byte.
    pub(crate) fn body_for(bytes: usize, number: usize) -> usize {
        bytes - entry::encode(&key(number).bytes, &entry(b"", 0)).len()
    }

    pub(crate) fn value(store: &Store<Memory>, key: &str) -> Vec<u8> {
        store.shared().get(key).unwrap().unwrap().0
    }

    /// At a time of its own.
    fn find<S: SharedData>(
        slots: &Slots,
        store: &Store<S>,
        key: &Key,
        is_it: impl Fn(&Entry) -> bool,
    ) -> Option<Entry> {
        slots.seen.set(None);
        slots.find(store, key, Timestamp::ZERO, is_it)
    }

    #[test]
    fn an_entry_is_found_by_its_key_until_it_is_replaced() {
        let (slots, store) = adopted(32);
        assert_eq!(find(&slots, &store, &key(1), |_| true), None);
        assert!(slots.put(&store, &key(1), &entry(b"old", 1)));
        assert!(slots.put(&store, &key(1), &entry(&[b'x'; 10_000], 2)));
        assert_eq!(find(&slots, &store, &key(1), |_| true), Some(entry(&[b'x'; 10_000], 2)));
        assert_eq!(find(&slots, &store, &key(1), |entry| entry.body == b"old"), None);
        assert_eq!(find(&slots, &store, &key(2), |_| true), None);
    }

    #[test]
    fn variants_lie_side_by_side() {
        let (slots, store) = adopted(1);
        for (value, stored_at) in [("json", 1), ("html", 2), ("json", 3)] {
            let terms = terms(&[("accept", value)]);
            let entry = Entry { terms, ..entry(value.as_bytes(), stored_at) };
            assert!(slots.put(&store, &key(1), &entry));
        }
        for (value, stored_at) in [("json", 3), ("html", 2)] {
            let is_it = |entry: &Entry| entry.terms.vary == terms(&[("accept", value)]).vary;
            let found = find(&slots, &store, &key(1), is_it).unwrap();
            assert_eq!(found.stored_at, Timestamp::from_nanos(stored_at));
        }
    }

    #[test]
    fn thousands_of_small_replies_fit_into_the_default_budget() {
        let (slots, store) = adopted(32);
        for number in 1..=2_500 {
            assert!(slots.put(&store, &key(number), &own_entry(number, 2_000)));
        }
        let found = (1..=2_500).filter(|number| is_found(&slots, &store, *number)).count();
        assert!(found >= 2_400, "{found}");
    }

    #[test]
    fn a_lost_race_for_a_set_is_run_again() {
        let (slots, store) = adopted(1);
        store.shared().before_next_swap(|memory| {
            let other = Store::new(memory.clone());
            assert!(super::tests::slots(1).put(&other, &key(2), &own_entry(2, 10)));
        });
        assert!(slots.put(&store, &key(1), &own_entry(1, 10)));
        assert!(is_found(&slots, &store, 1) && is_found(&slots, &store, 2));
    }

    #[test]
    fn an_entry_in_anothers_slot_is_never_served() {
        let (slots, store) = adopted(1);
        for number in 1..=99 {
            slots.put(&store, &key(number), &own_entry(number, 10));
        }
        for number in 0..50 {
            let bytes = value(&store, &slots.slot_key((0, number * 7 % 99)));
            store.shared().set(&slots.slot_key((0, number)), &bytes);
        }
        let found = (1..=99).filter(|number| is_found(&slots, &store, *number)).count();
        assert!((40..99).contains(&found), "{found}");
    }

    #[test]
    fn foreign_values_are_no_entries_and_give_way() {
        let (slots, store) = adopted(1);
        slots.put(&store, &key(1), &own_entry(1, 10));
        for name in store.shared().keys() {
            let good = value(&store, &name);
            for foreign in [&b""[..], b"foreign", &[1; 10_000], &good[1..]] {
                store.shared().set(&name, foreign);
                assert!(!is_found(&slots, &store, 1), "{name}");
                assert!(slots.put(&store, &key(1), &own_entry(1, 10)));
                assert!(is_found(&slots, &store, 1), "{name}");
            }
        }
    }

    #[test]
    fn what_is_too_large_is_not_stored() {
        let (slots, store) = adopted(1);
        let most = body_for(260 * 1_024, 1);
        assert!(slots.put(&store, &key(1), &own_entry(1, most)));
        assert!(!slots.put(&store, &key(1), &own_entry(1, most + 1)));
    }

    #[test]
    fn a_host_that_refuses_is_a_miss_and_no_store() {
        let (slots, store) = adopted(1);
        slots.put(&store, &key(1), &own_entry(1, 10));
        store.shared().broken.set(true);
        slots.adopt(&store);
        assert!(!is_found(&slots, &store, 1));
        assert!(!slots.put(&store, &key(1), &own_entry(1, 10)));
    }

    /// Counts reads and writes.
    #[derive(Debug, Default)]
    struct Counting(Memory, Cell<(u32, u32)>);

    impl Counting {
        fn count(&self, reads: u32, writes: u32) {
            let (r, w) = self.1.get();
            self.1.set((r + reads, w + writes));
        }
    }

    impl SharedData for Counting {
        fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Token)>, HostError> {
            self.count(1, 0);
            self.0.get(key)
        }
        fn swap(&self, key: &str, bytes: &[u8], token: Token) -> Result<Swapped, HostError> {
            self.count(0, 1);
            self.0.swap(key, bytes, token)
        }
        fn create(&self, key: &str, bytes: &[u8]) -> Result<Swapped, HostError> {
            self.count(0, 1);
            self.0.create(key, bytes)
        }
        fn put(&self, key: &str, bytes: &[u8]) -> Result<(), HostError> {
            self.count(0, 1);
            self.0.put(key, bytes)
        }
    }

    #[test]
    fn lookups_and_stores_take_few_calls() {
        let store = Store::new(Counting::default());
        let slots = slots(32);
        slots.adopt(&store);
        let calls = || store.shared().1.take();
        calls();
        slots.adopt(&store);
        assert_eq!(calls(), (1, 0));
        slots.put(&store, &key(1), &own_entry(1, 10));
        assert_eq!(calls(), (3, 2));
        find(&slots, &store, &key(1), |_| true).unwrap();
        assert_eq!(calls(), (3, 0));
        assert_eq!(find(&slots, &store, &key(2), |_| true), None);
        assert_eq!(calls(), (2, 0));
    }
}
