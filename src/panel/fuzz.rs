//! What the circuits share besides their records: see [`crate::fuzz`].

use super::history::History;
use super::index::Index;
use super::ledger;
use super::pulse::{Pulse, Sequence};
use crate::breaker::{Evidence, Windows};
use crate::bytes::{Reader, Writer};
use crate::store::Value;
use crate::time::Timestamp;

/// Any bytes as each of the values: refused, or the same again when they are written, and fit to
/// be worked with.
pub fn shared_data(bytes: &[u8]) {
    if let Some(index) = survives::<Index>(bytes) {
        let names: Vec<String> = vec!["up".to_owned()];
        assert!(index.names_with(&names).len() <= index.tenants().count() + 1);
        for (slot, tenant) in index.tenants() {
            assert!(index.slot_of(&tenant.name).is_some_and(|first| first <= slot));
            let taken = index.with_instead(tenant.clone(), slot, &tenant.name);
            assert_eq!(taken.as_ref(), Some(&index));
        }
    }
    if let Some(pulse) = survives::<Pulse>(bytes) {
        assert_eq!(Sequence::decode(bytes), Some(Sequence(pulse.sequence())));
        for seen in [0, pulse.sequence() / 2, pulse.sequence(), u64::MAX] {
            let _ = pulse.since(seen);
        }
    }
    survives::<History>(bytes);
    let mut known = Evidence::ALONE;
    for (_, successes) in ledger::entries(bytes) {
        let mut to = Writer::default();
        successes.windows.write_successes(&mut to);
        let read = Windows::read_successes(&mut Reader::new(&to.into_bytes()));
        assert_eq!(read, Some(successes.windows));
        for now in [Timestamp::ZERO, successes.last.unwrap_or_default(), Timestamp::MAX] {
            known = known.merged(Evidence::of(&successes.windows, successes.last, now));
        }
    }
}

fn survives<V: Value + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<V> {
    let value = V::decode(bytes)?;
    assert_eq!(value.encode(), bytes);
    Some(value)
}
