//! How much of shared data the cache may fill: bringing a budget into force.
//!
//! Every lookup and store goes by the geometry in force, not by its own configuration: one that is
//! still draining keeps to the new budget from the moment it is adopted. Until the lost units are
//! empty, the bytes in them are still there; a store that began before puts at most one entry into
//! them, finds that the geometry has changed, and takes it away again. Of two configurations that
//! share a namespace and differ in the budget, the last to be adopted has its way.
//!
//! What stays of a lost unit for ever are its keys, with empty values.

use super::geometry::{Geometry, SLOTS_PER_UNIT};
use super::slots::Slots;
use super::tags::Tags;
use crate::store::{SharedData, Store};

impl Slots {
    /// Brings this configuration's budget into force. What the host refuses of it is made up for
    /// by the next configuration.
    pub fn adopt<S: SharedData>(&self, store: &Store<S>) {
        let changed = store.change(&self.geometry_key(), |current: Option<&Geometry>| {
            let used = current.map_or(0, |current| current.used).max(self.units);
            let next = Geometry { units: self.units, used };
            (next, (current != Some(&next)).then_some(next))
        });
        let Ok((geometry, _)) = changed else {
            return;
        };
        if geometry.used > geometry.units && self.empty_lost_units(store, geometry) {
            // Another configuration may have been adopted meanwhile.
            let _ = store.change(&self.geometry_key(), |current: Option<&Geometry>| {
                let next = Geometry { used: geometry.units, ..geometry };
                ((), (current == Some(&geometry)).then_some(next))
            });
        }
    }

    /// `false` where the host refused some of it.
    fn empty_lost_units<S: SharedData>(&self, store: &Store<S>, geometry: Geometry) -> bool {
        let mut is_done = true;
        for set in geometry.shrunk_sets() {
            let tags_key = self.tags_key(set);
            // Tags are written before what they tell of: without them nothing was ever stored here.
            if store.shared().get(&tags_key) == Ok(None) {
                continue;
            }
            let changed = store.change(&tags_key, |tags: Option<&Tags>| {
                let next = tags.map(|tags| tags.clone().resized(set.slots()));
                ((), next.filter(|next| tags != Some(next)))
            });
            is_done &= changed.is_ok();
            for unit in geometry.lost_units_of(set) {
                for number in 0..SLOTS_PER_UNIT {
                    is_done &= empty(store, &self.slot_key((unit, number)));
                }
            }
        }
        is_done
    }
}

/// Empties a value, if there is one: an empty one too would cost its key. `false` where the host
/// refused.
fn empty<S: SharedData>(store: &Store<S>, key: &str) -> bool {
    match store.shared().get(key) {
        Ok(Some((bytes, _))) if !bytes.is_empty() => store.shared().put(key, b"").is_ok(),
        Ok(_) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fallback::cache::geometry::RESERVE_BYTES;
    use crate::fallback::cache::slots::tests::*;
    use crate::store::tests::Memory;

    /// Of all keys that begin so, the bytes of the keys and those of the values.
    fn bytes_under(store: &Store<Memory>, prefix: &str) -> (usize, usize) {
        let keys = store.shared().keys();
        let keys = keys.iter().filter(|key| key.starts_with(prefix));
        keys.fold((0, 0), |(keys, values), key| {
            (keys + key.len(), values + value(store, key).len())
        })
    }

    #[test]
    fn everything_together_is_within_the_budget() {
        // The longest prefix that a configuration can ask for.
        let prefix = format!("fusebox/1/{}/", "n".repeat(64));
        for mib in [1, 5] {
            let store = Store::new(Memory::default());
            let slots = Slots::new(&prefix, mib * MIB);
            slots.adopt(&store);
            let mut number = 0;
            let mut random = 7_u64;
            // First of any size, then as long as the slots are.
            for is_full in [false, true] {
                for (kib, count) in [(4, 240), (16, 50), (64, 16), (260, 12)] {
                    for _ in 0..count * mib {
                        number += 1;
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let full = body_for(kib * 1_024, number);
                        let body = if is_full { full } else { (random >> 33) as usize % full };
                        assert!(slots.put(&store, &key(number), &own_entry(number, body)));
                    }
                }
                let (keys, values) = bytes_under(&store, "");
                assert!(keys + values <= mib * MIB, "{keys} + {values}");
            }
            // It was full: each slot to its last byte. The rest is what tags and keys take.
            let in_slots = mib * (MIB - RESERVE_BYTES);
            let (keys, values) = bytes_under(&store, "");
            assert_eq!(store.shared().keys().len(), mib * SLOTS_PER_UNIT + mib.div_ceil(4) + 1);
            let overhead = keys + values - in_slots;
            assert!((12_000 * mib..13_000 * mib).contains(&overhead), "{overhead}");
        }
    }

    #[test]
    fn a_smaller_budget_empties_what_it_loses_and_keeps_the_rest() {
        let (before, store) = adopted(9);
        for number in 0..1_000 {
            before.put(&store, &key(number), &own_entry(number, 3_000));
        }
        let after = slots(2);
        after.adopt(&store);
        for unit in 2..9 {
            assert_eq!(bytes_under(&store, &format!("{PREFIX}cache/1/{unit}/")).1, 0);
        }
        let (keys, values) = bytes_under(&store, "");
        assert!(values <= 2 * MIB, "{keys} {values}");
        assert!((0..1_000).any(|number| is_found(&after, &store, number)));
        let geometry = store.load(&after.geometry_key());
        assert_eq!(geometry, Ok(Some(Geometry { units: 2, used: 2 })));
    }

    #[test]
    fn a_larger_budget_keeps_most_entries() {
        let (before, store) = adopted(8);
        for number in 0..500 {
            before.put(&store, &key(number), &own_entry(number, 100));
        }
        let after = slots(10);
        after.adopt(&store);
        let found = (0..500).filter(|number| is_found(&after, &store, *number)).count();
        assert!((350..450).contains(&found), "{found}");
    }

    #[test]
    fn a_draining_configuration_keeps_to_the_budget_in_force() {
        let (before, store) = adopted(9);
        slots(1).adopt(&store);
        for number in 0..100 {
            assert!(before.put(&store, &key(number), &own_entry(number, 10)));
            assert!(is_found(&slots(1), &store, number));
        }
        assert_eq!(bytes_under(&store, &format!("{PREFIX}cache/1/8/")).1, 0);
    }

    #[test]
    fn a_store_that_was_under_way_when_the_budget_shrank_leaves_nothing_behind() {
        let (before, store) = adopted(8);
        let geometry = Geometry { units: 8, used: 8 };
        let of_second_set = |number: &usize| geometry.set_of(key(*number).hash).number == 1;
        let number = (0..).find(of_second_set).unwrap();
        let adopt = |memory: &Memory| slots(1).adopt(&Store::new(memory.clone()));
        store.shared().before_next_swap(adopt);
        assert!(!before.put(&store, &key(number), &own_entry(number, 10)));
        assert_eq!(value(&store, &before.slot_key((4, 0))), b"");
    }
}
