//! How the budget is cut up, and which part of it a key belongs to.
//!
//! The budget is so many **units** of one mebibyte. Each has the same slots, so that a number of
//! units is all there is to say of a geometry, and a change of the budget adds or takes units. Up
//! to four units in a row are a **set**: they share one list of tags, and a key's entry may lie in
//! any slot of its set that is large enough, so that even the largest entries have four places.

use crate::bytes::{Reader, Writer};
use crate::store::Value;

const VERSION: u8 = 1;
const KIB: usize = 1024;
const UNIT_BYTES: usize = 1024 * KIB;
/// Four gibibytes: all that the module could name.
const MAX_UNITS: u16 = 4_096;
const UNITS_PER_SET: u16 = 4;
/// What slots leave of a unit: for its tags, the bytes of its keys, and the host's own account.
#[cfg(test)]
pub(super) const RESERVE_BYTES: usize = 16 * KIB;

/// The least budget that holds anything.
pub const MIN_BYTES: usize = UNIT_BYTES;

/// Slots of one size, side by side in a unit.
#[derive(Debug)]
pub(super) struct Class {
    /// The number of its first slot in a unit.
    first: usize,
    slots: usize,
    /// The longest value in a slot.
    pub(super) bytes: usize,
}

const fn class(first: usize, slots: usize, kib: usize) -> Class {
    Class { first, slots, bytes: kib * KIB }
}

/// The largest is a little more than 256 KiB, so that a body of that size fits with its headers.
static CLASSES: [Class; 4] =
    [class(0, 99, 4), class(99, 14, 16), class(113, 2, 64), class(115, 1, 260)];

pub(super) const SLOTS_PER_UNIT: usize = 116;

impl Class {
    /// The smallest with room for so many bytes.
    pub(super) fn with_room_for(bytes: usize) -> Option<&'static Self> {
        CLASSES.iter().find(|class| bytes <= class.bytes)
    }

    /// Whether the slot at this position of a set is one of the class.
    pub(super) const fn has(&self, position: usize) -> bool {
        let number = position % SLOTS_PER_UNIT;
        self.first <= number && number < self.first + self.slots
    }
}

/// The geometry in force, as it lies in shared data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Entries are kept in the first so many.
    pub(super) units: u16,
    /// The first so many may have something in them.
    pub(super) used: u16,
}

/// Where a key belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) number: u16,
    units: u16,
}

impl Geometry {
    /// The units that a budget pays for. One below [`MIN_BYTES`] gets one all the same.
    pub(super) fn units_of(max_bytes: usize) -> u16 {
        u16::try_from(max_bytes / UNIT_BYTES).unwrap_or(MAX_UNITS).clamp(1, MAX_UNITS)
    }

    /// The set of a key. A unit has its share of the keys, so a set that is short of units has
    /// fewer keys too.
    pub(super) const fn set_of(self, hash: u64) -> Set {
        self.set(unit_of(hash, self.units) / UNITS_PER_SET)
    }

    pub(super) const fn set(self, number: u16) -> Set {
        let units = self.units.saturating_sub(number.saturating_mul(UNITS_PER_SET));
        Set { number, units: if units < UNITS_PER_SET { units } else { UNITS_PER_SET } }
    }

    /// The sets that lost a unit to this geometry, with those that lost all.
    pub(super) fn shrunk_sets(self) -> impl Iterator<Item = Set> {
        let end = self.used.div_ceil(UNITS_PER_SET);
        (self.units / UNITS_PER_SET..end).map(move |number| self.set(number))
    }

    /// The units of a set that are in use no more.
    pub(super) fn lost_units_of(self, set: Set) -> impl Iterator<Item = u16> {
        let first = set.number.saturating_mul(UNITS_PER_SET);
        let end = first.saturating_add(UNITS_PER_SET).min(self.used);
        first.max(self.units)..end
    }
}

impl Set {
    pub(super) fn slots(self) -> usize {
        usize::from(self.units) * SLOTS_PER_UNIT
    }

    /// The unit and the number in it of the slot at `position`.
    pub(super) fn slot(self, position: usize) -> (u16, usize) {
        let unit = u16::try_from(position / SLOTS_PER_UNIT).unwrap_or(u16::MAX);
        let first = self.number.saturating_mul(UNITS_PER_SET);
        (first.saturating_add(unit), position % SLOTS_PER_UNIT)
    }
}

/// Lamping and Veach's jump consistent hash: of `n` units more, each takes its share of the keys
/// and all others stay where they are, so that a new budget keeps the entries it has room for.
const fn unit_of(hash: u64, units: u16) -> u16 {
    let mut seed = hash;
    let mut unit = 0_u64;
    let mut next = 0_u64;
    while next < units as u64 {
        unit = next;
        seed = seed.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = ((unit + 1) << 31) / ((seed >> 33) + 1);
    }
    unit as u16
}

impl Value for Geometry {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(5);
        to.u8(VERSION);
        to.u16(self.units);
        to.u16(self.used);
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        if from.u8()? != VERSION {
            return None;
        }
        let geometry = Self { units: from.u16()?, used: from.u16()? };
        let is_possible =
            1 <= geometry.units && geometry.units <= geometry.used && geometry.used <= MAX_UNITS;
        from.finish(geometry).filter(|_| is_possible)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fallback::cache::Key;

    fn geometry(units: u16) -> Geometry {
        Geometry { units, used: units }
    }

    fn hashes() -> impl Iterator<Item = u64> {
        (0..8_000).map(|number: u32| Key::new(format!("GET /{number}").into_bytes()).hash)
    }

    #[test]
    fn slots_and_reserve_are_a_unit() {
        let slots: usize = CLASSES.iter().map(|class| class.slots * class.bytes).sum();
        assert_eq!(slots + RESERVE_BYTES, UNIT_BYTES);
        let mut next = 0;
        for class in &CLASSES {
            assert_eq!(class.first, next);
            next += class.slots;
        }
        assert_eq!(next, SLOTS_PER_UNIT);
    }

    #[test]
    fn the_smallest_class_with_room_is_taken() {
        let bytes = |bytes| Class::with_room_for(bytes).map(|class| class.bytes / KIB);
        assert_eq!(bytes(0), Some(4));
        assert_eq!(bytes(4 * KIB), Some(4));
        assert_eq!(bytes(4 * KIB + 1), Some(16));
        assert_eq!(bytes(256 * KIB + 500), Some(260));
        assert_eq!(bytes(260 * KIB + 1), None);
    }

    #[test]
    fn the_default_budget_holds_thousands_of_small_replies() {
        let units = usize::from(Geometry::units_of(32 << 20));
        let slots: Vec<usize> = CLASSES.iter().map(|class| units * class.slots).collect();
        assert_eq!(slots, [3_168, 448, 64, 32]);
    }

    #[test]
    fn a_budget_is_rounded_down_to_what_there_can_be() {
        for (bytes, units) in [(0, 1), (MIN_BYTES, 1), (2 * MIN_BYTES - 1, 1), (usize::MAX, 4_096)]
        {
            assert_eq!(Geometry::units_of(bytes), units, "{bytes}");
        }
    }

    #[test]
    fn every_unit_gets_its_share_of_the_keys() {
        let mut keys = [0_u32; 8];
        for hash in hashes() {
            keys[usize::from(unit_of(hash, 8))] += 1;
        }
        assert!(keys.iter().all(|keys| (850..1_150).contains(keys)), "{keys:?}");
    }

    #[test]
    fn keys_move_only_to_units_that_are_new() {
        for hash in hashes() {
            let (before, after) = (unit_of(hash, 5), unit_of(hash, 9));
            assert!(before == after || after >= 5);
        }
    }

    #[test]
    fn the_last_set_has_the_units_that_are_left() {
        let geometry = geometry(6);
        assert_eq!(geometry.set(0), Set { number: 0, units: 4 });
        assert_eq!(geometry.set(1), Set { number: 1, units: 2 });
        assert_eq!(geometry.set(2), Set { number: 2, units: 0 });
        assert_eq!(geometry.set(1).slot(SLOTS_PER_UNIT + 3), (5, 3));
    }

    #[test]
    fn a_smaller_geometry_knows_what_it_lost() {
        let geometry = Geometry { units: 6, used: 9 };
        let lost = geometry.shrunk_sets().flat_map(|set| geometry.lost_units_of(set));
        assert_eq!(lost.collect::<Vec<_>>(), [6, 7, 8]);
        assert_eq!(geometry.shrunk_sets().map(Set::slots).collect::<Vec<_>>(), [232, 0]);
    }

    #[test]
    fn the_geometry_survives_the_bytes_and_impossible_ones_do_not() {
        let geometry = Geometry { units: 6, used: 9 };
        let bytes = geometry.encode();
        assert_eq!(Geometry::decode(&bytes), Some(geometry));
        assert_eq!(Geometry::decode(&bytes[..4]), None);
        assert_eq!(Geometry::decode(b""), None);
        for (units, used) in [(0, 9), (9, 6), (1, MAX_UNITS + 1)] {
            assert_eq!(Geometry::decode(&Geometry { units, used }.encode()), None);
        }
    }
}
