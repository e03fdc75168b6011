//! Shared data with the rules of the real host, not the rules one would wish for.
//!
//! A cas of 0 overwrites whatever is there, and any cas at all creates a key that is missing: there is no create-if-absent,
//! so a first write is a race. Keys never vanish, and cas numbers are one sequence over all keys.

use std::collections::BTreeMap;

use super::abi::Status;

#[derive(Debug, Default)]
pub struct SharedData {
    entries: BTreeMap<String, Entry>,
    last_cas: u32,
    writes: u64,
}

#[derive(Debug)]
struct Entry {
    value: Vec<u8>,
    cas: u32,
}

impl SharedData {
    pub fn get(&self, key: &str) -> Result<(Vec<u8>, u32), Status> {
        let entry = self.entries.get(key).ok_or(Status::NotFound)?;
        Ok((entry.value.clone(), entry.cas))
    }

    pub fn set(&mut self, key: &str, value: &[u8], cas: u32) -> Result<(), Status> {
        if let Some(entry) = self.entries.get(key)
            && cas != 0
            && cas != entry.cas
        {
            return Err(Status::CasMismatch);
        }
        let entry = Entry { value: value.to_vec(), cas: self.next_cas() };
        self.entries.insert(key.to_owned(), entry);
        self.writes += 1;
        Ok(())
    }

    pub fn keys(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    /// How many sets won so far: a reader that claims not to write can be held to it.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    pub fn bytes(&self) -> usize {
        self.entries.iter().map(|(key, entry)| key.len() + entry.value.len()).sum()
    }

    /// Where the sequence stands, so that a test can reach its end.
    pub fn set_last_cas(&mut self, cas: u32) {
        self.last_cas = cas;
    }

    fn next_cas(&mut self) -> u32 {
        self.last_cas = self.last_cas.wrapping_add(1);
        if self.last_cas == 0 {
            self.last_cas = 1; // 0 means "no cas"
        }
        self.last_cas
    }
}
