//! Which circuits have moved: a short log that every sync reads in one call.
//!
//! A worker that changed a circuit's generation, or the index, appends the slot. The others find
//! what is new since they last looked, and read just those records again. A log they cannot catch
//! up with means: read all.

use crate::bytes::{Reader, Writer};
use crate::store::Value;
use crate::time::Timestamp;

const VERSION: u8 = 1;
/// Entries kept.
const LENGTH: usize = 64;
/// Stands for the index in place of a slot.
const INDEX: u16 = u16::MAX;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pulse {
    /// How many changes there have been.
    sequence: u64,
    /// The latest of them, newest last.
    changes: Vec<u16>,
}

/// What an idle worker reads of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence(pub(super) u64);

impl Value for Sequence {
    fn encode(&self) -> Vec<u8> {
        Pulse { sequence: self.0, changes: Vec::new() }.encode()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        (from.u8()? == VERSION).then_some(())?;
        from.u64().map(Self)
    }
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Circuit(u16),
    Index,
}

/// What is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    Changes(Vec<Change>),
    /// More than the log holds.
    Unknown,
}

impl Pulse {
    /// A new log. It counts on from the time: no reader of one that was lost can have seen as much
    /// of this one.
    pub(super) const fn begun(now: Timestamp) -> Self {
        Self { sequence: now.as_nanos(), changes: Vec::new() }
    }

    pub(super) const fn sequence(&self) -> u64 {
        self.sequence
    }

    #[must_use]
    pub(super) fn with(&self, changes: &[Change]) -> Self {
        let mut next = self.clone();
        next.sequence = self.sequence.wrapping_add(changes.len() as u64);
        next.changes.extend(changes.iter().map(|change| match change {
            Change::Circuit(slot) => *slot,
            Change::Index => INDEX,
        }));
        let surplus = next.changes.len().saturating_sub(LENGTH);
        next.changes.drain(..surplus);
        next
    }

    /// The changes after the first `seen`.
    pub(super) fn since(&self, seen: u64) -> News {
        // A log that went back is another one.
        let Some(new) = self.sequence.checked_sub(seen) else {
            return News::Unknown;
        };
        let known = self.changes.len();
        match usize::try_from(new).ok().and_then(|new| known.checked_sub(new)) {
            Some(old) => News::Changes(
                self.changes
                    .iter()
                    .skip(old)
                    .map(|slot| match *slot {
                        INDEX => Change::Index,
                        slot => Change::Circuit(slot),
                    })
                    .collect(),
            ),
            None => News::Unknown,
        }
    }
}

impl Value for Pulse {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(9 + 2 * LENGTH);
        to.u8(VERSION);
        to.u64(self.sequence);
        for slot in &self.changes {
            to.u16(*slot);
        }
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        if from.u8()? != VERSION {
            return None;
        }
        let sequence = from.u64()?;
        let mut changes = Vec::with_capacity(LENGTH);
        while !from.is_empty() && changes.len() < LENGTH {
            changes.push(from.u16()?);
        }
        from.finish(Self { sequence, changes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: Pulse = Pulse::begun(Timestamp::ZERO);

    fn circuits(slots: impl IntoIterator<Item = u16>) -> Vec<Change> {
        slots.into_iter().map(Change::Circuit).collect()
    }

    #[test]
    fn a_reader_sees_what_is_new_to_it() {
        let pulse = EMPTY.with(&circuits([1, 2])).with(&[Change::Index]);
        assert_eq!(pulse.since(3), News::Changes(vec![]));
        assert_eq!(pulse.since(1), News::Changes(vec![Change::Circuit(2), Change::Index]));
    }

    #[test]
    fn a_reader_that_fell_behind_is_told_to_read_all() {
        let pulse = EMPTY.with(&circuits(0..100));
        assert_eq!(pulse.since(36), News::Changes(circuits(36..100)));
        assert_eq!(pulse.since(35), News::Unknown);
    }

    #[test]
    fn a_log_that_was_lost_is_told_from_one_without_news() {
        assert_eq!(EMPTY.since(7), News::Unknown);
        let again = Pulse::begun(Timestamp::from_nanos(1_000_000)).with(&circuits([1]));
        assert_eq!(again.since(7), News::Unknown);
    }

    #[test]
    fn a_foreign_log_of_the_highest_number_goes_on() {
        let foreign = Pulse { sequence: u64::MAX, changes: Vec::new() };
        let next = foreign.with(&circuits([1]));
        assert_ne!(next.sequence(), foreign.sequence());
        assert_eq!(next.since(foreign.sequence()), News::Unknown);
    }

    #[test]
    fn the_log_survives_the_bytes_and_stays_short() {
        let pulse = EMPTY.with(&circuits(0..1000));
        let bytes = pulse.encode();
        assert_eq!(bytes.len(), 9 + 2 * LENGTH);
        assert_eq!(Pulse::decode(&bytes), Some(pulse));
        assert_eq!(Pulse::decode(b""), None);
        assert_eq!(Pulse::decode(&[bytes.as_slice(), &[0, 0]].concat()), None);
    }
}
