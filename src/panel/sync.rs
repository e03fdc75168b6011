//! Keeping this worker in step with the others.

use std::mem;

use super::index::Index;
use super::pulse::{Change, News, Pulse, Sequence};
use super::{Guarded, Host, Panel, Seat};
use crate::breaker::Lapsed;
use crate::circuit::Evicted;
use crate::metrics::{Metric, ProxyMetric};
use crate::time::Timestamp;

impl<H: Host> Panel<H> {
    /// Keeps this worker in step with the others. Runs every tick.
    pub fn sync(&mut self) {
        let now = self.clock.read(self.store.shared());
        self.read_pulse();
        self.refresh_one();
        self.count_hanging(now);
        self.end_leases(now);
        self.publish(now);
        self.count_rejections();
        self.publish_failures();
        self.tell_others();
        self.release_untracked();
        self.report_faults();
        self.report_undelivered();
    }

    fn read_pulse(&mut self) {
        // The changes are only looked at where there is one.
        if self.store.load(&self.pulse_key) == Ok(Some(Sequence(self.seen))) {
            return;
        }
        let Ok(found) = self.store.load::<Pulse>(&self.pulse_key) else {
            return;
        };
        let news = match found {
            Some(pulse) => {
                let news = pulse.since(self.seen);
                self.seen = pulse.sequence();
                news
            }
            // Overwritten, and all else may be; telling begins it again.
            None => {
                self.note_index();
                News::Unknown
            }
        };
        match news {
            News::Changes(changes) => {
                if changes.contains(&Change::Index) {
                    self.check_index();
                }
                for seat in 0..self.circuits.len() {
                    let slot = self.circuits.get(seat).and_then(Option::as_ref).map(|g| g.slot);
                    if slot.is_some_and(|slot| changes.contains(&Change::Circuit(slot))) {
                        self.refresh(seat);
                    }
                }
            }
            News::Unknown => {
                self.check_index();
                (0..self.circuits.len()).for_each(|seat| self.refresh(seat));
            }
        }
    }

    /// A change whose maker died before telling is found here, late but surely. The turn after
    /// the last circuit is the index's.
    fn refresh_one(&mut self) {
        let count = self.circuits.len();
        if count == 0 {
            return;
        }
        self.next_refresh = (self.next_refresh + 1) % (count + 1);
        if self.next_refresh == count {
            self.check_index();
        } else {
            self.refresh(self.next_refresh);
        }
    }

    pub(super) fn refresh(&mut self, seat: usize) {
        let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) else {
            return;
        };
        let before = guarded.circuit.snapshot().generation;
        if guarded.circuit.refresh(&self.store) == Err(Evicted) {
            return self.forget(seat);
        }
        let conflicts = guarded.circuit.take_conflicts();
        self.metrics.add(self.store.shared(), ProxyMetric::PolicyConflicts, conflicts.into());
        if guarded.circuit.snapshot().generation != before {
            guarded.metrics.set_state(self.store.shared(), guarded.circuit.snapshot().state());
            self.tell(seat, Lapsed::default(), None);
        }
    }

    /// Puts back the names that the index has lost, and drops the circuits whose slots it has given
    /// to others.
    fn check_index(&mut self) {
        let checked =
            self.change_index(&mut |found| self.mended(found.unwrap_or(&Index::default())));
        let Some((is_mended, Some(index))) = checked else {
            return;
        };
        if is_mended {
            self.note_index();
        }
        let has_slot = |guarded: &Guarded| {
            index.tenant_of(guarded.slot).is_some_and(|tenant| *tenant.name == *guarded.name)
        };
        let evicted: Vec<usize> = self
            .circuits
            .iter()
            .enumerate()
            .filter_map(|(seat, guarded)| Some((seat, guarded.as_ref()?)))
            .filter(|(_, guarded)| !has_slot(guarded))
            .map(|(seat, _)| seat)
            .collect();
        evicted.into_iter().for_each(|seat| self.forget(seat));
    }

    fn end_leases(&mut self, now: Timestamp) {
        for seat in mem::take(&mut self.timed) {
            // Only half-open circuits have more to be read than what the pulse tells.
            let guarded = self.circuits.get(seat).and_then(Option::as_ref);
            if guarded.is_some_and(|guarded| guarded.circuit.is_forced_closed(now)) {
                self.timed.push(seat);
                continue;
            }
            if let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) {
                guarded.is_timed = false;
            }
            // The leases and headers of other workers' probes are not told: read, then judge.
            self.refresh(seat);
            let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) else {
                continue;
            };
            match guarded.circuit.lapse(&self.store, now) {
                Ok(told) => self.tell(seat, told.lapsed, told.transition),
                Err(Evicted) => self.forget(seat),
            }
        }
    }

    /// Adds to the metric what was rejected since this was last done.
    pub(super) fn count_rejections(&mut self) {
        for seat in mem::take(&mut self.with_rejections) {
            if let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) {
                let count = mem::take(&mut guarded.rejected);
                guarded.metrics.add(self.store.shared(), Metric::Rejected, count.into());
            }
        }
    }

    fn publish(&mut self, now: Timestamp) {
        for seat in mem::take(&mut self.with_news) {
            let Some(guarded) = self.circuits.get_mut(seat).and_then(Option::as_mut) else {
                continue;
            };
            let count = mem::take(&mut guarded.unreported);
            guarded.metrics.add(self.store.shared(), Metric::Successes, count.into());
            self.ledger.note(seat, guarded.circuit.owner(), guarded.circuit.successes());
        }
        self.ledger.publish(&self.store, now);
    }

    /// Has the others read the index again, once: where they cannot be told, it is noted at each sync.
    pub(super) fn note_index(&mut self) {
        if !self.untold.contains(&Change::Index) {
            self.untold.push(Change::Index);
        }
    }

    pub(super) fn tell_others(&mut self) {
        if self.untold.is_empty() {
            return;
        }
        let untold = &self.untold;
        let now = self.clock.latest();
        let told = self.store.change(&self.pulse_key, |found: Option<&Pulse>| {
            ((), Some(found.unwrap_or(&Pulse::begun(now)).with(untold)))
        });
        // What could not be told is tried again at the next sync.
        if told.is_ok() {
            self.untold.clear();
        }
    }

    fn release_untracked(&mut self) {
        if mem::take(&mut self.has_untracked) {
            self.seats.retain(|_, seat| !matches!(seat, Seat::Untracked));
        }
    }

    pub(super) fn report_undelivered(&mut self) {
        let undelivered = self.outbox.take_undelivered();
        self.metrics.add(self.store.shared(), ProxyMetric::WebhookFailed, undelivered);
    }

    pub(super) fn report_faults(&self) {
        let faults = self.store.take_faults();
        let host = self.store.shared();
        self.metrics.add(host, ProxyMetric::SharedDataConflicts, faults.conflicts.into());
        self.metrics.add(host, ProxyMetric::BadRecords, faults.bad_records.into());
    }
}
