//! Finding the circuit of a cluster, or making it: a slot in the shared index, a record, metrics.

use std::rc::Rc;

use fnv::FnvHashMap;

use super::index::{Index, MAX_NAME_BYTES, Tenant, owner_of};
use super::pulse::Pulse;
use super::{Guarded, Host, Panel, Protocol, Seat};
use crate::breaker::{Decision, Lapsed, Owner, Record, State};
use crate::circuit::{Circuit, Evicted, Place};
use crate::classify::Deadlines;
use crate::config::{CircuitPolicy, Mode};
use crate::metrics::{CircuitMetrics, Metric};
use crate::time::{Span, Timestamp};

/// A worker evicts no more often than this.
const EVICTION_PAUSE: Span = Span::from_secs(1);

impl<H: Host> Panel<H> {
    pub(super) fn open_known(&mut self) {
        // Read first: what changes from here on is news.
        if let Ok(Some(pulse)) = self.store.load::<Pulse>(&self.pulse_key) {
            self.seen = pulse.sequence();
        }
        for (slot, tenant) in self.load_index().tenants() {
            let policy = self.config.policy(&tenant.name);
            if policy.mode == Mode::Off {
                continue;
            }
            if let Some(seat) = self.install(&tenant.name, slot, policy) {
                self.seats.insert(tenant.name.clone().into_bytes(), Seat::Guarded(seat));
            }
        }
        let named: Vec<String> = self.config.named().map(str::to_owned).collect();
        for name in named {
            self.seat(name.as_bytes());
        }
        self.tell_others();
        self.report_faults();
    }

    pub(super) fn seat(&mut self, cluster: &[u8]) -> Seat {
        if let Some(seat) = self.seats.get(cluster) {
            return *seat;
        }
        let seat = self.find_seat(cluster);
        // Off and untracked names are only remembered for speed.
        if self.seats.len() > 4 * usize::from(self.config.max_circuits) {
            self.seats.retain(|_, seat| matches!(seat, Seat::Guarded(_)));
        }
        self.seats.insert(cluster.to_vec(), seat);
        seat
    }

    fn find_seat(&mut self, cluster: &[u8]) -> Seat {
        let Ok(name) = str::from_utf8(cluster) else {
            return Seat::Off;
        };
        let policy = self.config.policy(name);
        if policy.mode == Mode::Off {
            return Seat::Off;
        }
        match self.slot(name).and_then(|slot| self.install(name, slot, policy)) {
            Some(seat) => Seat::Guarded(seat),
            None => {
                self.has_untracked = true;
                Seat::Untracked
            }
        }
    }

    /// `None` where the slot turns out to be taken.
    fn install(&mut self, name: &str, slot: u16, policy: Rc<CircuitPolicy>) -> Option<usize> {
        let key = Rc::from(self.key(&format!("circuit/{slot}")));
        let place = Place { key, owner: owner_of(name) };
        let mut circuit = Circuit::new(place.clone(), policy.breaker, self.epoch);
        if circuit.refresh(&self.store) == Err(Evicted) {
            if !self.claim(&place, &policy) {
                self.give_back(slot, name);
                return None;
            }
            // Its generation is not that of a circuit nobody had before. Where this fails the next
            // update looks the circuit up again.
            let _ = circuit.refresh(&self.store);
        }
        let metrics = self
            .retired
            .remove(name)
            .unwrap_or_else(|| CircuitMetrics::define(self.store.shared(), name));
        metrics.set_state(self.store.shared(), circuit.snapshot().state());
        let guarded = Guarded {
            name: Rc::from(name),
            slot,
            policy,
            circuit,
            metrics,
            protocol: Protocol::Unknown,
            may_move: false,
            has_misrouted: false,
            deadlines: Deadlines::default(),
            unreported: 0,
            rejected: 0,
            replies: Rc::default(),
            failed: Vec::new(),
            is_timed: false,
        };
        let seat = self.circuits.iter().position(Option::is_none).unwrap_or(self.circuits.len());
        match self.circuits.get_mut(seat) {
            Some(free) => *free = Some(guarded),
            None => self.circuits.push(Some(guarded)),
        }
        self.tell(seat, Lapsed::default(), None);
        Some(seat)
    }

    /// Begins the record of a slot again that the index has given to another cluster than the
    /// record names; but not that of a circuit that is open: it opened just as it was to make room,
    /// or the index has lost its name.
    fn claim(&self, place: &Place, policy: &CircuitPolicy) -> bool {
        let now = self.clock.latest();
        let claimed = self.store.update(&place.key, |found| match found {
            Some(record) if record.owner == place.owner => Decision::unchanged(true),
            Some(record) if record.state_at(now) == State::Open || record.forced(now).is_some() => {
                Decision::unchanged(false)
            }
            found => {
                let new = Record::new(place.owner, self.epoch, &policy.breaker);
                // Late answers of a former life here are none of this one's.
                let generation = found.map_or(0, |record| record.generation.wrapping_add(1));
                Decision::write(true, Record { generation, ..new })
            }
        });
        // Where it fails the next update finds the other owner and looks the circuit up again.
        claimed.map_or(true, |(decision, _)| decision.answer)
    }

    /// Has whoever knows the slot's circuit put its name back.
    fn give_back(&mut self, slot: u16, name: &str) {
        let given =
            self.change_index(&mut |found| found?.with_instead(Tenant::default(), slot, name));
        if given.is_some_and(|(is_given, _)| is_given) {
            self.note_index();
        }
    }

    /// Whether `change` has changed the index, which others are then to be told, and the index as
    /// it is now. `None` where the store gave up.
    pub(super) fn change_index(
        &self,
        change: &mut dyn FnMut(Option<&Index>) -> Option<Index>,
    ) -> Option<(bool, Option<Index>)> {
        let changed = self.store.change(&self.key("index"), |found| {
            let next = change(found);
            (next.is_some(), next)
        });
        changed.ok()
    }

    /// The slot of a name: the one it has, a free one, or that of the longest-idle closed circuit.
    fn slot(&mut self, name: &str) -> Option<u16> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return None;
        }
        let most = self.config.max_circuits;
        let tenant = Tenant { name: name.to_owned(), since: self.clock.latest() };
        let mut slot = None;
        let placed = self.change_index(&mut |found| {
            let found = found.cloned().unwrap_or_default();
            // A newcomer must not get the slot of a circuit whose name was lost.
            let mended = self.mended(&found);
            let index = mended.as_ref().unwrap_or(&found);
            slot = index.slot_of(name);
            if slot.is_some() {
                return mended;
            }
            match index.with(tenant.clone(), most) {
                Some((free, next)) => {
                    slot = Some(free);
                    Some(next)
                }
                None => mended,
            }
        });
        if placed?.0 {
            self.note_index();
        }
        slot.or_else(|| self.evict_for(tenant))
    }

    /// The index with the names it has lost, as far as this worker knows them; `None` where it has
    /// lost none.
    pub(super) fn mended(&self, index: &Index) -> Option<Index> {
        let guarded = self.circuits.iter().flatten();
        let lost: Vec<_> =
            guarded.filter(|guarded| index.has_lost(&guarded.name, guarded.slot)).collect();
        if lost.is_empty() {
            return None;
        }
        let mut mended = index.clone();
        for guarded in lost {
            let tenant = Tenant { name: guarded.name.to_string(), since: self.clock.latest() };
            mended.put(guarded.slot, tenant);
        }
        Some(mended)
    }

    fn evict_for(&mut self, tenant: Tenant) -> Option<u16> {
        let now = self.clock.latest();
        if now < self.may_evict_from {
            return None;
        }
        self.may_evict_from = now + EVICTION_PAUSE;
        let (slot, former) = self.longest_idle()?;
        let mut has_place = None;
        let evicted = self.change_index(&mut |found| {
            // Another worker may have found a place for it meanwhile.
            has_place = found?.slot_of(&tenant.name);
            if has_place.is_some() {
                return None;
            }
            found?.with_instead(tenant.clone(), slot, &former)
        });
        if !evicted?.0 {
            return has_place;
        }
        self.note_index();
        if let Some(Seat::Guarded(seat)) = self.seats.get(former.as_bytes()) {
            self.forget(*seat);
        }
        Some(slot)
    }

    fn longest_idle(&self) -> Option<(u16, String)> {
        let index = self.load_index();
        let published = self.ledger.others(&self.store);
        let mine: FnvHashMap<Owner, Timestamp> = self
            .circuits
            .iter()
            .flatten()
            .filter_map(|guarded| {
                Some((guarded.circuit.owner(), guarded.circuit.successes().last?))
            })
            .collect();
        let idle_since = |slot: u16, tenant: &Tenant| {
            let owner = owner_of(&tenant.name);
            let record = self.store.load::<Record>(&self.key(&format!("circuit/{slot}"))).ok()?;
            let is_wanted = |record: Record| {
                record.state() != State::Closed || record.forced(self.clock.latest()).is_some()
            };
            if record.is_some_and(is_wanted) {
                return None;
            }
            let failed = record.and_then(|record| record.last_failure);
            let seen = [
                Some(tenant.since),
                failed,
                published.last_success(owner),
                mine.get(&owner).copied(),
            ];
            seen.into_iter().flatten().max()
        };
        index
            .tenants()
            .filter_map(|(slot, tenant)| Some((idle_since(slot, tenant)?, slot, tenant)))
            .min_by_key(|(since, ..)| *since)
            .map(|(_, slot, tenant)| (slot, tenant.name.clone()))
    }

    /// Drops a circuit whose slot belongs to another cluster: it is looked up again when needed.
    pub(super) fn forget(&mut self, seat: usize) {
        let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::take) else {
            return;
        };
        let host = self.store.shared();
        guarded.metrics.add(host, Metric::Successes, guarded.unreported.into());
        guarded.metrics.add(host, Metric::Rejected, guarded.rejected.into());
        self.with_rejections.retain(|with_rejections| *with_rejections != seat);
        self.seats.remove(guarded.name.as_bytes());
        self.ledger.erase(seat);
        self.with_news.retain(|with_news| *with_news != seat);
        self.with_failures.retain(|with_failures| *with_failures != seat);
        self.timed.retain(|timed| *timed != seat);
        if self.retired.len() >= 4 * usize::from(self.config.max_circuits) {
            self.retired.clear();
        }
        self.retired.insert(guarded.name, guarded.metrics);
    }

    pub(super) fn load_index(&self) -> Index {
        self.store.load(&self.key("index")).ok().flatten().unwrap_or_default()
    }
}
