//! Bytes of records, each kept and decoded once, so that states are small and quickly told apart.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock, RwLock};

use fusebox::breaker::Record;

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);

#[derive(Default)]
struct Known {
    places: HashMap<Arc<[u8]>, u32>,
    kept: Vec<Entry>,
}

struct Entry {
    bytes: Arc<[u8]>,
    /// `None` where the bytes are none.
    record: Option<Arc<Record>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kept(u32);

/// As what is kept, for whoever reads of a fault.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record() {
            Some(record) => write!(f, "{} {:?}", record.generation, record.phase),
            None => f.write_str("rotten"),
        }
    }
}

impl Kept {
    pub fn new(bytes: &[u8]) -> Self {
        if let Some(place) = KNOWN.read().unwrap().places.get(bytes) {
            return Self(*place);
        }
        let mut known = KNOWN.write().unwrap();
        let next = known.kept.len() as u32;
        let bytes: Arc<[u8]> = bytes.into();
        let place = *known.places.entry(bytes.clone()).or_insert(next);
        if place == next {
            let record = Record::decode(&bytes).map(Arc::new);
            known.kept.push(Entry { bytes, record });
        }
        Self(place)
    }

    pub fn bytes(self) -> Arc<[u8]> {
        KNOWN.read().unwrap().kept[self.0 as usize].bytes.clone()
    }

    pub fn record(self) -> Option<Arc<Record>> {
        KNOWN.read().unwrap().kept[self.0 as usize].record.clone()
    }
}

/// Stands for a value, as it does in the checker itself.
pub fn fingerprint<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
