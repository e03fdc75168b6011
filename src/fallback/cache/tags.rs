//! What lies where in a set: a small value beside the entries, so that a lookup in vain reads no
//! entry, and a store knows which one to replace.
//!
//! A tag is a hint. Two workers that race for a slot may leave one that names another entry than
//! lies there, so nothing is served on its word: the entry has its full key.

use std::cmp::Reverse;

use super::geometry::Class;
use crate::store::Value;
use crate::time::Timestamp;

const VERSION: u8 = 1;
const TAG_BYTES: usize = 4 + 4 + 8;
/// Entries of one key that lie side by side. A response that varies on what every client sends
/// differently must not fill a set, nor make a lookup read all of it.
const MOST_VARIANTS: usize = 8;

/// One per slot of the set; a free slot has the one of all zeros. They stay as they are stored: of
/// some hundreds a lookup is about one or two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tags(Vec<[u8; TAG_BYTES]>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) key: u32,
    /// Tells entries of one key apart; 0 where the response does not vary.
    pub(super) variant: u32,
    pub(super) stored_at: Timestamp,
}

impl Tags {
    /// The tags of so many slots: the geometry may have changed since these were written.
    pub(super) fn resized(mut self, slots: usize) -> Self {
        self.0.resize(slots, Tag::default().to_bytes());
        self
    }

    /// Where entries of a key may lie, in the order in which they should be looked at: as RFC 9111
    /// has it, the latest of those that say what they vary on, then the others.
    pub(super) fn positions(&self, key: u32) -> Vec<usize> {
        let mut found = Vec::new();
        for (position, tag) in self.of(key) {
            let rank = (tag.variant == 0, Reverse(tag.stored_at));
            let place = found.partition_point(|(known, _)| *known <= rank);
            found.insert(place, (rank, position));
        }
        found.into_iter().map(|(_, position)| position).take(MOST_VARIANTS).collect()
    }

    /// Finds a slot of `class` for `new`: its own where it has one, else the one that was stored
    /// first. Says where it is.
    pub(super) fn claim(&mut self, new: Tag, class: &Class) -> Option<usize> {
        let own = self.of(new.key).find(|(_, tag)| tag.variant == new.variant);
        let is_one_too_many = self.of(new.key).count() >= MOST_VARIANTS;
        let surplus = || self.of(new.key).filter(|_| is_one_too_many).min_by_key(stored_at);
        let former = own.or_else(surplus).map(|(position, _)| position);
        let position = former.filter(|position| class.has(*position)).or_else(|| {
            let of_class = self.all().filter(|(position, _)| class.has(*position));
            of_class.min_by_key(stored_at).map(|(position, _)| position)
        })?;
        if let Some(former) = former {
            self.set(former, Tag::default());
        }
        self.set(position, new);
        Some(position)
    }

    fn set(&mut self, position: usize, tag: Tag) {
        if let Some(place) = self.0.get_mut(position) {
            *place = tag.to_bytes();
        }
    }

    fn of(&self, key: u32) -> impl Iterator<Item = (usize, Tag)> {
        let is_of_key = move |(_, bytes): &(usize, &[u8; TAG_BYTES])| {
            let [a, b, c, d, ..] = **bytes;
            u32::from_le_bytes([a, b, c, d]) == key
        };
        self.0.iter().enumerate().filter(is_of_key).map(|(at, bytes)| (at, Tag::of_bytes(bytes)))
    }

    fn all(&self) -> impl Iterator<Item = (usize, Tag)> {
        self.0.iter().map(Tag::of_bytes).enumerate()
    }
}

impl Tag {
    fn to_bytes(self) -> [u8; TAG_BYTES] {
        let high = (u64::from(self.variant) << 32) | u64::from(self.key);
        ((u128::from(self.stored_at.as_nanos()) << 64) | u128::from(high)).to_le_bytes()
    }

    const fn of_bytes(bytes: &[u8; TAG_BYTES]) -> Self {
        let all = u128::from_le_bytes(*bytes);
        let stored_at = Timestamp::from_nanos((all >> 64) as u64);
        Self { key: all as u32, variant: (all >> 32) as u32, stored_at }
    }
}

/// Free slots come first.
const fn stored_at(place: &(usize, Tag)) -> Timestamp {
    place.1.stored_at
}

impl Value for Tags {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + TAG_BYTES * self.0.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(self.0.as_flattened());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, tags) = bytes.split_first()? else { return None };
        let (tags, []) = tags.as_chunks() else { return None };
        Some(Self(tags.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fallback::cache::geometry::SLOTS_PER_UNIT;

    fn tag(key: u32, variant: u32, stored_at: u64) -> Tag {
        Tag { key, variant, stored_at: Timestamp::from_nanos(stored_at) }
    }

    /// The tags of one unit.
    fn empty() -> Tags {
        Tags::default().resized(SLOTS_PER_UNIT)
    }

    fn small() -> &'static Class {
        Class::with_room_for(1).unwrap()
    }

    fn large() -> &'static Class {
        Class::with_room_for(60_000).unwrap()
    }

    #[test]
    fn free_slots_come_first_then_the_oldest() {
        let mut tags = empty();
        assert_eq!(tags.claim(tag(1, 0, 20), large()), Some(113));
        assert_eq!(tags.claim(tag(2, 0, 10), large()), Some(114));
        assert_eq!(tags.claim(tag(3, 0, 30), large()), Some(114));
        assert!(tags.positions(2).is_empty());
        assert_eq!(tags.positions(3), [114]);
    }

    #[test]
    fn an_entry_replaces_itself() {
        let mut tags = empty();
        assert_eq!(tags.claim(tag(1, 0, 10), small()), Some(0));
        assert_eq!(tags.claim(tag(2, 0, 11), small()), Some(1));
        assert_eq!(tags.claim(tag(2, 0, 12), small()), Some(1));
    }

    #[test]
    fn an_entry_that_grew_leaves_its_slot() {
        let mut tags = empty();
        tags.claim(tag(1, 0, 10), small());
        assert_eq!(tags.claim(tag(1, 0, 20), large()), Some(113));
        assert_eq!(tags.positions(1), [113]);
    }

    #[test]
    fn variants_lie_side_by_side_and_are_found_by_what_they_say_then_by_age() {
        let mut tags = empty();
        for (variant, stored_at) in [(7, 10), (8, 20), (0, 30)] {
            tags.claim(tag(1, variant, stored_at), small());
        }
        assert_eq!(tags.positions(1), [1, 0, 2]);
    }

    #[test]
    fn variants_of_one_key_are_few_and_the_oldest_gives_way() {
        let mut tags = empty();
        for variant in 0..100 {
            let class = if variant % 2 == 0 { small() } else { large() };
            tags.claim(tag(1, variant, 1_000 + u64::from(variant)), class);
        }
        // One fewer where the slot that is oldest of its class is a variant's too.
        assert!((MOST_VARIANTS - 1..=MOST_VARIANTS).contains(&tags.of(1).count()));
        assert!(tags.of(1).any(|(_, tag)| tag.variant == 99));
    }

    #[test]
    fn tags_follow_the_geometry() {
        let mut tags = empty();
        tags.claim(tag(1, 0, 10), large());
        assert_eq!(tags.clone().resized(0).claim(tag(2, 0, 20), small()), None);
        assert_eq!(tags.clone().resized(2 * SLOTS_PER_UNIT).positions(1), [113]);
        assert!(tags.resized(50).positions(1).is_empty());
    }

    #[test]
    fn tags_survive_the_bytes() {
        let mut tags = empty();
        tags.claim(tag(1, 2, 3), small());
        let bytes = tags.encode();
        assert_eq!(bytes.len(), 1 + TAG_BYTES * SLOTS_PER_UNIT);
        assert_eq!(Tags::decode(&bytes), Some(tags));
        assert_eq!(Tags::decode(&bytes[1..]), None);
        assert_eq!(Tags::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Tags::decode(b""), None);
    }

    proptest! {
        #[test]
        fn any_tags_can_be_worked_with(
            bytes in prop::collection::vec(any::<u8>(), 0..5_000), slots in 0_usize..500, key: u32,
        ) {
            let tags = Tags::decode(&[&[VERSION], &bytes[..]].concat()).unwrap_or_default();
            let mut tags = tags.resized(slots);
            prop_assert!(tags.positions(key).len() <= MOST_VARIANTS);
            let claimed = tags.claim(tag(key, 1, 5), small());
            prop_assert_eq!(claimed.is_some(), slots > 0);
            prop_assert!(claimed.is_none_or(|position| position < slots));
        }
    }
}
