//! Every hostcall is counted, by worker and import, and so is what it copies.

use std::collections::BTreeMap;
use std::fmt;

use super::vm::VmId;

#[derive(Debug, Default)]
pub struct Ledger {
    counts: BTreeMap<(VmId, &'static str), u64>,
    pub copied: Copied,
}

/// Bytes that the host has copied over the boundary, lengths and pointers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    pub into_guests: u64,
    pub out_of_guests: u64,
}

impl Copied {
    pub fn since(self, before: Self) -> Self {
        Self {
            into_guests: self.into_guests - before.into_guests,
            out_of_guests: self.out_of_guests - before.out_of_guests,
        }
    }
}

impl Ledger {
    pub fn count(&mut self, vm: VmId, import: &'static str) {
        *self.counts.entry((vm, import)).or_default() += 1;
    }

    pub fn snapshot(&self) -> Hostcalls {
        Hostcalls(self.counts.clone())
    }
}

/// The hostcalls made in a span.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hostcalls(BTreeMap<(VmId, &'static str), u64>);

impl Hostcalls {
    pub fn since(&self, before: &Self) -> Self {
        let earlier = |key| before.0.get(key).copied().unwrap_or(0);
        let new = self.0.iter().map(|(key, count)| (*key, count - earlier(key)));
        Self(new.filter(|(_, count)| *count > 0).collect())
    }

    /// Of one worker only.
    pub fn of_worker(&self, index: usize) -> Self {
        let own = self.0.iter().filter(|((vm, _), _)| *vm == VmId::Worker(index));
        Self(own.map(|(key, count)| (*key, *count)).collect())
    }

    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub fn of(&self, import: &str) -> u64 {
        let named = self.0.iter().filter(|((_, name), _)| *name == import);
        named.map(|(_, count)| count).sum()
    }

    /// Import names with their counts, over all workers, in alphabetical order.
    pub fn list(&self) -> Vec<(&'static str, u64)> {
        let mut sums = BTreeMap::new();
        for ((_, name), count) in &self.0 {
            *sums.entry(*name).or_default() += count;
        }
        sums.into_iter().collect()
    }
}

impl fmt::Debug for Hostcalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.list()).finish()
    }
}
