//! Which cluster has which slot. The index is the truth: a record that names another owner than the
//! index is begun again.

use std::collections::BTreeSet;
use std::hash::Hasher;

use fnv::{FnvHashMap, FnvHasher};

use crate::breaker::Owner;
use crate::bytes::{Reader, Writer};
use crate::config::MAX_CIRCUITS;
use crate::store::Value;
use crate::time::Timestamp;

const VERSION: u8 = 1;
/// Longer names are not guarded, so that the index stays small.
pub(super) const MAX_NAME_BYTES: usize = 512;
/// More than any configuration allows is somebody else's data.
const MAX_TENANTS: usize = MAX_CIRCUITS as usize;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// By slot. A tenant without a name stands for one that is not known: the index was lost, and
    /// another worker has yet to put the name back.
    tenants: Vec<Tenant>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tenant {
    pub(super) name: String,
    /// When it got the slot.
    pub(super) since: Timestamp,
}

impl Index {
    /// The tenants in the order of their slots.
    pub(super) fn tenants(&self) -> impl Iterator<Item = (u16, &Tenant)> {
        (0..).zip(&self.tenants).filter(|(_, tenant)| tenant.is_known())
    }

    pub(super) fn tenant_of(&self, slot: u16) -> Option<&Tenant> {
        self.tenants.get(usize::from(slot)).filter(|tenant| tenant.is_known())
    }

    pub(super) fn slot_of(&self, name: &str) -> Option<u16> {
        self.tenants().find(|(_, tenant)| tenant.name == name).map(|(slot, _)| slot)
    }

    /// The names of the tenants and these, in their order.
    pub(super) fn names_with<'a>(&'a self, named: &'a [String]) -> BTreeSet<&'a str> {
        // Not collected: a set is collected by sorting, which is a lot of code.
        let mut names = BTreeSet::new();
        names.extend(self.tenants().map(|(_, tenant)| tenant.name.as_str()));
        names.extend(named.iter().map(String::as_str));
        names
    }

    /// The slots by name.
    pub(super) fn by_name(&self) -> FnvHashMap<&str, u16> {
        self.tenants().map(|(slot, tenant)| (tenant.name.as_str(), slot)).collect()
    }

    /// The index with one more tenant, unless there are `most` already.
    pub(super) fn with(&self, tenant: Tenant, most: u16) -> Option<(u16, Self)> {
        // The slot of a tenant that is not known is the last to be given away.
        let free = Some(self.tenants.len()).filter(|slot| *slot < usize::from(most));
        let unknown = || self.tenants.iter().position(|tenant| !tenant.is_known());
        let slot = free.or_else(unknown).filter(|slot| *slot < usize::from(most))?;
        let slot = u16::try_from(slot).ok()?;
        let mut next = self.clone();
        next.put(slot, tenant);
        Some((slot, next))
    }

    /// Whether the index once gave this slot to this name, and knows of neither any more.
    pub(super) fn has_lost(&self, name: &str, slot: u16) -> bool {
        self.tenant_of(slot).is_none() && self.slot_of(name).is_none()
    }

    pub(super) fn put(&mut self, slot: u16, tenant: Tenant) {
        let slot = usize::from(slot);
        if self.tenants.len() <= slot {
            self.tenants.resize(slot + 1, Tenant::default());
        }
        if let Some(place) = self.tenants.get_mut(slot) {
            *place = tenant;
        }
    }

    /// The index with `tenant` in the slot of `former`, if `former` still has it.
    pub(super) fn with_instead(&self, tenant: Tenant, slot: u16, former: &str) -> Option<Self> {
        let mut next = self.clone();
        let place = next.tenants.get_mut(usize::from(slot)).filter(|now| now.name == former)?;
        *place = tenant;
        Some(next)
    }
}

impl Tenant {
    const fn is_known(&self) -> bool {
        !self.name.is_empty()
    }
}

impl Value for Index {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(1 + 64 * self.tenants.len());
        to.u8(VERSION);
        for tenant in &self.tenants {
            to.time(tenant.since);
            to.text(&tenant.name);
        }
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        if from.u8()? != VERSION {
            return None;
        }
        let mut tenants = Vec::new();
        while !from.is_empty() {
            if tenants.len() == MAX_TENANTS {
                return None;
            }
            let since = from.time()?;
            tenants.push(Tenant { since, name: from.text()?.to_owned() });
        }
        from.finish(Self { tenants })
    }
}

/// Tells clusters apart in records.
pub(super) fn owner_of(name: &str) -> Owner {
    let mut hasher = FnvHasher::default();
    hasher.write(name.as_bytes());
    Owner(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Tenant {
        Tenant { name: name.to_owned(), since: Timestamp::from_nanos(5) }
    }

    fn index(names: &[&str]) -> Index {
        names.iter().fold(Index::default(), |index, name| index.with(tenant(name), 10).unwrap().1)
    }

    #[test]
    fn names_get_slots_in_order_until_there_are_none() {
        let index = index(&["a", "b"]);
        assert_eq!(index.slot_of("b"), Some(1));
        assert_eq!(index.with(tenant("c"), 3).unwrap().0, 2);
        assert_eq!(index.with(tenant("c"), 2), None);
    }

    #[test]
    fn a_slot_is_taken_only_from_who_still_has_it() {
        let index = index(&["a", "b"]);
        assert_eq!(index.with_instead(tenant("c"), 0, "a").unwrap().slot_of("c"), Some(0));
        assert_eq!(index.with_instead(tenant("c"), 0, "b"), None);
        assert_eq!(index.with_instead(tenant("c"), 9, "a"), None);
    }

    #[test]
    fn a_tenant_that_was_lost_is_put_back_where_it_was() {
        let mut lost = index(&["a"]);
        assert!(!lost.has_lost("a", 0) && !lost.has_lost("b", 0) && !lost.has_lost("a", 2));
        assert!(lost.has_lost("c", 2));
        lost.put(2, tenant("c"));
        let slots: Vec<_> = lost.tenants().map(|(slot, tenant)| (slot, &*tenant.name)).collect();
        assert_eq!(slots, [(0, "a"), (2, "c")]);
    }

    #[test]
    fn the_slot_of_a_tenant_that_is_not_known_is_given_away_last() {
        let mut lost = Index::default();
        lost.put(1, tenant("b"));
        let (slot, next) = lost.with(tenant("c"), 3).unwrap();
        assert_eq!(slot, 2);
        let (slot, next) = next.with(tenant("d"), 3).unwrap();
        assert_eq!(slot, 0);
        assert_eq!(next.with(tenant("e"), 3), None);
    }

    #[test]
    fn no_slot_is_given_away_beyond_the_most_there_may_be() {
        let mut shrunk = Index::default();
        shrunk.put(0, tenant("a"));
        shrunk.put(5, tenant("f"));
        assert_eq!(shrunk.with(tenant("b"), 2).unwrap().0, 1);
        assert_eq!(shrunk.with(tenant("b"), 1), None);
    }

    #[test]
    fn the_index_survives_the_bytes() {
        let mut index = index(&["a", "outbound|80||b.c", "é"]);
        index.put(5, tenant("f"));
        let bytes = index.encode();
        assert_eq!(Index::decode(&bytes), Some(index));
        assert_eq!(Index::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Index::decode(b"foreign"), None);
        assert_eq!(Index::decode(b""), None);
    }

    #[test]
    fn owners_differ_by_name() {
        assert_ne!(owner_of("a"), owner_of("b"));
    }
}
