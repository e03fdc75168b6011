//! Successes, published: each worker writes its own ledger at every sync that has news, and reads
//! the others' when a rule might trip.
//!
//! Successes are far too many to store one by one. So a worker counts its own, and the one about
//! to trip a circuit asks the others first: at most one sync old.

use fnv::FnvHashMap;

use crate::breaker::{Evidence, Owner, Windows};
use crate::bytes::{Reader, Writer};
use crate::circuit::Successes;
use crate::store::{SharedData, Store, Value};
use crate::time::{Span, Timestamp};

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 8;
const ENTRY_BYTES: usize = 8 + 4 + 9 + Windows::SUCCESSES_BYTES;
/// Ledgers looked for; more workers than this do not tell each other.
const MAX_WORKERS: u16 = 512;
/// A ledger is written this often even without news.
const BEAT: Span = Span::from_secs(10);
/// Past this without a beat its number is given to another worker.
const DEAD: Span = Span::from_secs(60);

/// This worker's ledger: the very bytes, in which an entry is rewritten where it lies.
#[derive(Debug)]
pub(super) struct Ledger {
    prefix: String,
    claim: Option<Claim>,
    entries: Vec<u8>,
    has_news: bool,
}

#[derive(Clone, Debug)]
struct Claim {
    number: u16,
    header: Header,
}

/// When a ledger was last written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    beat: Timestamp,
}

impl Ledger {
    pub(super) fn new(namespace_prefix: &str) -> Self {
        let prefix = format!("{namespace_prefix}worker/");
        Self { prefix, claim: None, entries: Vec::new(), has_news: false }
    }

    /// Writes the entry at `position`.
    pub(super) fn note(&mut self, position: usize, owner: Owner, successes: &Successes) {
        let mut to = Writer::with_capacity(ENTRY_BYTES);
        to.u64(owner.0);
        to.u32(successes.generation);
        to.u8(u8::from(successes.last.is_some()));
        to.time(successes.last.unwrap_or_default());
        successes.windows.write_successes(&mut to);
        let start = position.saturating_mul(ENTRY_BYTES);
        let end = start.saturating_add(ENTRY_BYTES);
        if self.entries.len() < end {
            self.entries.resize(end, 0);
        }
        if let Some(entry) = self.entries.get_mut(start..end) {
            entry.copy_from_slice(&to.into_bytes());
        }
        self.has_news = true;
    }

    /// Empties the entry at `position`: its circuit is another cluster's from now on.
    pub(super) fn erase(&mut self, position: usize) {
        let start = position.saturating_mul(ENTRY_BYTES);
        if let Some(entry) = self.entries.get_mut(start..start.saturating_add(ENTRY_BYTES)) {
            entry.fill(0);
            self.has_news = true;
        }
    }

    /// Publishes what is new, or a sign of life.
    pub(super) fn publish<S: SharedData>(&mut self, store: &Store<S>, now: Timestamp) {
        let last_beat = self.claim.as_ref().map(|claim| claim.header.beat);
        let is_due = last_beat.is_some_and(|beat| now.since(beat) >= BEAT);
        if !self.has_news && !is_due {
            return;
        }
        // After a long silence the number may have been given away.
        let is_sure = last_beat.is_some_and(|beat| now.since(beat) < DEAD);
        if !is_sure {
            self.claim = self.claim_number(store, now);
        }
        let Some(claim) = &mut self.claim else {
            return;
        };
        claim.header.beat = now;
        let mut bytes = claim.header.encode();
        bytes.extend_from_slice(&self.entries);
        let key = format!("{}{}", self.prefix, claim.number);
        if store.shared().put(&key, &bytes).is_ok() {
            self.has_news = false;
        }
    }

    /// What the other workers know of a circuit in its `generation`.
    pub(super) fn peers<S: SharedData>(
        &self,
        store: &Store<S>,
        owner: Owner,
        generation: u32,
        now: Timestamp,
    ) -> Evidence {
        let of_owner = self
            .ledgers(store)
            .filter_map(|ledger| entries(&ledger).find(|(whose, _)| *whose == owner))
            .map(|(_, successes)| successes);
        evidence(of_owner, generation, now)
    }

    /// What the other workers know of all circuits.
    pub(super) fn others<S: SharedData>(&self, store: &Store<S>) -> Others {
        let mut others: FnvHashMap<Owner, Vec<Successes>> = FnvHashMap::default();
        for ledger in self.ledgers(store) {
            for (owner, successes) in entries(&ledger) {
                others.entry(owner).or_default().push(successes);
            }
        }
        Others(others)
    }

    /// The other workers' ledgers. Numbers are given out without gaps.
    fn ledgers<S: SharedData>(&self, store: &Store<S>) -> impl Iterator<Item = Vec<u8>> {
        let own = self.claim.as_ref().map(|claim| claim.number);
        (0..MAX_WORKERS)
            .map_while(move |number| {
                let key = format!("{}{number}", self.prefix);
                let (bytes, _) = store.shared().get(&key).ok()??;
                Some((number, bytes))
            })
            .filter(move |(number, _)| Some(*number) != own)
            .map(|(_, bytes)| bytes)
    }

    /// Takes the first number that is free or whose writer is dead.
    fn claim_number<S: SharedData>(&self, store: &Store<S>, now: Timestamp) -> Option<Claim> {
        let header = Header { beat: now };
        (0..MAX_WORKERS).find_map(|number| {
            let key = format!("{}{number}", self.prefix);
            let claimed = store.change(&key, |found: Option<&Header>| {
                let is_free = found.is_none_or(|found| now.since(found.beat) >= DEAD);
                (is_free, is_free.then_some(header))
            });
            matches!(claimed, Ok((true, _))).then_some(Claim { number, header })
        })
    }
}

impl Value for Header {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(HEADER_BYTES);
        to.u8(VERSION);
        to.time(self.beat);
        to.into_bytes()
    }

    /// The entries that follow are not the header's concern.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        (from.u8()? == VERSION).then_some(())?;
        Some(Self { beat: from.time()? })
    }
}

/// The other workers' successes by circuit.
#[derive(Debug, Default)]
pub(super) struct Others(FnvHashMap<Owner, Vec<Successes>>);

impl Others {
    pub(super) fn evidence(&self, owner: Owner, generation: u32, now: Timestamp) -> Evidence {
        evidence(self.of(owner), generation, now)
    }

    /// In whichever generation.
    pub(super) fn last_success(&self, owner: Owner) -> Option<Timestamp> {
        self.of(owner).filter_map(|successes| successes.last).max()
    }

    fn of(&self, owner: Owner) -> impl Iterator<Item = Successes> {
        self.0.get(&owner).into_iter().flatten().copied()
    }
}

fn evidence(
    successes: impl Iterator<Item = Successes>,
    generation: u32,
    now: Timestamp,
) -> Evidence {
    successes
        .filter(|successes| successes.generation == generation)
        .fold(Evidence::ALONE, |known, successes| {
            known.merged(Evidence::of(&successes.windows, successes.last, now))
        })
}

/// The entries of a ledger. Bytes that are no ledger have none.
pub(super) fn entries(ledger: &[u8]) -> impl Iterator<Item = (Owner, Successes)> {
    let entries = Header::decode(ledger).and_then(|_| ledger.get(HEADER_BYTES..));
    entries.unwrap_or_default().chunks_exact(ENTRY_BYTES).filter_map(|entry| {
        let mut from = Reader::new(entry);
        let owner = Owner(from.u64()?);
        let generation = from.u32()?;
        let has_last = from.u8()? == 1;
        let last = from.time()?;
        let windows = Windows::read_successes(&mut from)?;
        Some((owner, Successes { generation, last: has_last.then_some(last), windows }))
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::breaker::{Ratio, RatioRule, Tally, TripRules, WindowSpan};
    use crate::store::tests::Memory;

    const OWNER: Owner = Owner(7);

    fn at(secs: u64) -> Timestamp {
        Timestamp::ZERO + Span::from_secs(secs)
    }

    fn successes(count: u32, now: Timestamp) -> Successes {
        let rules = TripRules {
            consecutive_failures: None,
            failure_ratio: Some(RatioRule {
                ratio: Ratio::new(0.5).unwrap(),
                minimum_requests: NonZeroU32::MIN,
                window: WindowSpan::new(Span::from_secs(10)).unwrap(),
            }),
            failures: None,
            slow_ratio: None,
        };
        let mut windows = Windows::of(&rules);
        windows.add(now, Tally { successes: count, fast: count, ..Tally::NONE });
        Successes { generation: 0, last: Some(now), windows }
    }

    fn ledger() -> Ledger {
        Ledger::new("t/")
    }

    #[test]
    fn workers_add_up_what_the_others_published_but_not_their_own() {
        let store = Store::new(Memory::default());
        let mut workers = [ledger(), ledger(), ledger()];
        for (worker, count) in workers.iter_mut().zip([1, 20, 300]) {
            worker.note(0, OWNER, &successes(count, at(1)));
            worker.publish(&store, at(1));
        }
        let known = workers[0].peers(&store, OWNER, 0, at(2));
        assert_eq!((known.ratio.successes, known.last_success), (320, Some(at(1))));
        assert_eq!(workers[0].peers(&store, OWNER, 1, at(2)).ratio.successes, 0);
        assert_eq!(workers[0].peers(&store, Owner(8), 0, at(2)).ratio.successes, 0);
    }

    #[test]
    fn an_erased_entry_is_nobodys() {
        let store = Store::new(Memory::default());
        let mut worker = ledger();
        worker.note(0, OWNER, &successes(7, at(1)));
        worker.publish(&store, at(1));
        assert_eq!(ledger().others(&store).evidence(OWNER, 0, at(2)).ratio.successes, 7);
        assert_eq!(ledger().others(&store).last_success(OWNER), Some(at(1)));
        worker.erase(0);
        worker.publish(&store, at(2));
        assert_eq!(ledger().others(&store).evidence(OWNER, 0, at(2)), Evidence::ALONE);
        assert_eq!(ledger().others(&store).last_success(OWNER), None);
    }

    #[test]
    fn a_ledger_without_news_is_not_written() {
        let store = Store::new(Memory::default());
        ledger().publish(&store, at(1));
        assert!(store.shared().keys().is_empty());
    }

    #[test]
    fn the_number_of_a_dead_worker_is_used_again_and_that_of_an_idle_one_is_not() {
        let store = Store::new(Memory::default());
        let (mut dead, mut idle, mut new) = (ledger(), ledger(), ledger());
        for worker in [&mut dead, &mut idle] {
            worker.note(0, OWNER, &successes(1, at(1)));
            worker.publish(&store, at(1));
        }
        (2..=70).for_each(|secs| idle.publish(&store, at(secs)));
        new.note(0, OWNER, &successes(1, at(70)));
        new.publish(&store, at(70));
        assert_eq!(new.claim.map(|claim| claim.number), dead.claim.as_ref().map(|c| c.number));
        assert_eq!(store.shared().keys(), ["t/worker/0", "t/worker/1"]);
        // Back from a long stall, the first one finds its number gone.
        dead.note(0, OWNER, &successes(1, at(71)));
        dead.publish(&store, at(71));
        assert_eq!(dead.claim.map(|claim| claim.number), Some(2));
    }

    #[test]
    fn foreign_bytes_are_nobodys_successes() {
        let store = Store::new(Memory::default());
        store.shared().set("t/worker/0", b"\x01foreign");
        store.shared().set("t/worker/1", b"");
        let known = ledger().peers(&store, OWNER, 0, at(1));
        assert_eq!(known, Evidence::ALONE);
    }
}
