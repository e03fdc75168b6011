//! Values in shared data, and the one way to change them: read, decide, swap, again if another
//! worker was faster.
//!
//! The host's compare-and-swap has two holes: a token of zero overwrites whatever is there, and any
//! other token succeeds on a key that does not exist. The first cannot be said through
//! [`SharedData`], whose tokens are not zero; the second is what [`SharedData::create`] is made of.

use std::cell::Cell;
use std::num::NonZeroU32;

use crate::breaker::{Decision, Record};

/// Times a change is tried before the store gives up.
const ATTEMPTS: u32 = 32;

/// The host's shared data, as far as it can be trusted.
pub trait SharedData {
    /// The bytes of a key with the token to swap them; `None` where there is no such key.
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Token)>, HostError>;
    /// Replaces the bytes if nobody has since `token` was given out.
    fn swap(&self, key: &str, bytes: &[u8], token: Token) -> Result<Swapped, HostError>;
    /// Creates the key unless it exists.
    fn create(&self, key: &str, bytes: &[u8]) -> Result<Swapped, HostError>;
    /// Overwrites the bytes, whatever they are: only for a key with a single writer.
    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), HostError>;
}

/// The host's token for one version of a value. Never zero: zero would overwrite.
pub type Token = NonZeroU32;

/// Whether a swap or creation took place.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapped {
    Won,
    /// Another worker was faster.
    Lost,
}

/// The host refused a call, with its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError(pub u32);

/// Why a value could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    Host(HostError),
    /// Lost the race on every attempt.
    Contended,
}

impl From<HostError> for StoreError {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

/// What can lie under a key.
pub trait Value: Clone {
    fn encode(&self) -> Vec<u8>;
    /// `None` for bytes that are not this value: an older build's, another plugin's, damaged.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

impl Value for Record {
    fn encode(&self) -> Vec<u8> {
        self.encode()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Self::decode(bytes)
    }
}

/// What went wrong on the way, to be counted: lost races and unreadable bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub conflicts: u32,
    pub bad_records: u32,
}

/// Reads and changes values, and keeps account of the faults it met.
#[derive(Debug, Default)]
pub struct Store<S> {
    shared: S,
    faults: Cell<Faults>,
}

impl<S: SharedData> Store<S> {
    pub fn new(shared: S) -> Self {
        Self { shared, faults: Cell::default() }
    }

    pub const fn shared(&self) -> &S {
        &self.shared
    }

    /// The value under `key`. Bytes that do not decode are an absent value.
    pub fn load<V: Value>(&self, key: &str) -> Result<Option<V>, StoreError> {
        let Some((bytes, _)) = self.shared.get(key)? else {
            return Ok(None);
        };
        let value = V::decode(&bytes);
        if value.is_none() {
            self.count(|faults| &mut faults.bad_records);
        }
        Ok(value)
    }

    /// Changes the record under `key` by `decide`, which may run several times (rule 1) and sees
    /// `None` where there is no record. Returns the decision that won with the record as it is now.
    pub fn update<T>(
        &self,
        key: &str,
        mut decide: impl FnMut(Option<&Record>) -> Decision<T>,
    ) -> Result<(Decision<T>, Option<Record>), StoreError> {
        self.change(key, |current| {
            let decision = decide(current);
            let next = decision.next;
            (decision, next)
        })
    }

    /// Changes any value by `change`, which returns an answer and what to write, if anything.
    /// Returns the answer that won with the value as it is now.
    pub fn change<V: Value, T>(
        &self,
        key: &str,
        mut change: impl FnMut(Option<&V>) -> (T, Option<V>),
    ) -> Result<(T, Option<V>), StoreError> {
        let mut decided = None;
        self.change_bytes(key, &mut |found| {
            let value = found.and_then(V::decode);
            let is_bad = found.is_some() && value.is_none();
            let (answer, next) = change(value.as_ref());
            let bytes = next.as_ref().map(V::encode);
            decided = Some((answer, next.or(value)));
            (bytes, is_bad)
        })?;
        decided.ok_or(StoreError::Contended)
    }

    /// [`Store::change`] of any value at all: the loop is there once, not once for each.
    fn change_bytes(&self, key: &str, change: Change<'_>) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let (found, token) = self.shared.get(key)?.unzip();
            let (bytes, is_bad) = change(found.as_deref());
            if is_bad {
                self.count(|faults| &mut faults.bad_records);
            }
            let Some(bytes) = bytes else { return Ok(()) };
            let swapped = match token {
                Some(token) => self.shared.swap(key, &bytes, token)?,
                None => self.shared.create(key, &bytes)?,
            };
            match swapped {
                Swapped::Won => return Ok(()),
                Swapped::Lost => self.count(|faults| &mut faults.conflicts),
            }
        }
        Err(StoreError::Contended)
    }

    /// The faults since this was last asked.
    pub fn take_faults(&self) -> Faults {
        self.faults.take()
    }

    fn count(&self, which: impl FnOnce(&mut Faults) -> &mut u32) {
        let mut faults = self.faults.get();
        let count = which(&mut faults);
        *count = count.saturating_add(1);
        self.faults.set(faults);
    }
}

/// From the bytes that were found to those to write, if any, and whether what was found was bad.
type Change<'a> = &'a mut dyn FnMut(Option<&[u8]>) -> (Option<Vec<u8>>, bool);

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use super::*;
    use crate::breaker::tests::{open, policy};

    type Race = Box<dyn FnMut(&Memory)>;
    /// The bytes of each key with their cas.
    type Keys = BTreeMap<String, (Vec<u8>, u32)>;

    /// Shared data with the rules of the real host.
    #[derive(Clone, Default)]
    pub(crate) struct Memory {
        keys: Rc<RefCell<Keys>>,
        last: Rc<Cell<u32>>,
        /// Runs once before the next swap or creation.
        race: Rc<RefCell<Option<Race>>>,
        pub(crate) broken: Rc<Cell<bool>>,
    }

    impl std::fmt::Debug for Memory {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Memory").finish_non_exhaustive()
        }
    }

    impl Memory {
        pub(crate) fn set(&self, key: &str, bytes: &[u8]) {
            self.last.set(self.last.get() + 1);
            self.keys.borrow_mut().insert(key.to_owned(), (bytes.to_vec(), self.last.get()));
        }

        pub(crate) fn before_next_swap(&self, race: impl FnMut(&Self) + 'static) {
            *self.race.borrow_mut() = Some(Box::new(race));
        }

        pub(crate) fn keys(&self) -> Vec<String> {
            self.keys.borrow().keys().cloned().collect()
        }

        fn run_race(&self) {
            let race = self.race.borrow_mut().take();
            if let Some(mut race) = race {
                race(self);
            }
        }

        fn check(&self) -> Result<(), HostError> {
            if self.broken.get() { Err(HostError(10)) } else { Ok(()) }
        }
    }

    impl SharedData for Memory {
        fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Token)>, HostError> {
            self.check()?;
            let keys = self.keys.borrow();
            Ok(keys.get(key).map(|(bytes, cas)| (bytes.clone(), Token::new(*cas).unwrap())))
        }

        fn swap(&self, key: &str, bytes: &[u8], token: Token) -> Result<Swapped, HostError> {
            self.check()?;
            self.run_race();
            let current = self.keys.borrow().get(key).map(|(_, cas)| *cas);
            if current.is_some_and(|cas| cas != token.get()) {
                return Ok(Swapped::Lost);
            }
            self.set(key, bytes);
            Ok(Swapped::Won)
        }

        fn create(&self, key: &str, bytes: &[u8]) -> Result<Swapped, HostError> {
            self.swap(key, bytes, Token::MAX)
        }

        fn put(&self, key: &str, bytes: &[u8]) -> Result<(), HostError> {
            self.check()?;
            self.set(key, bytes);
            Ok(())
        }
    }

    #[derive(Clone, Debug, PartialEq)]
    struct Count(u8);

    impl Value for Count {
        fn encode(&self) -> Vec<u8> {
            vec![self.0]
        }

        fn decode(bytes: &[u8]) -> Option<Self> {
            match bytes {
                [count] => Some(Self(*count)),
                _ => None,
            }
        }
    }

    fn increment(store: &Store<Memory>) -> Result<((), Option<Count>), StoreError> {
        store.change("k", |count: Option<&Count>| {
            ((), Some(Count(count.map_or(1, |count| count.0 + 1))))
        })
    }

    #[test]
    fn a_record_is_found_as_it_was_stored() {
        let store = Store::new(Memory::default());
        let record = open(&policy());
        let stored = store.update("k", |found| {
            assert_eq!(found, None);
            Decision::write((), record)
        });
        assert_eq!(stored.unwrap().1, Some(record));
        assert_eq!(store.load("k"), Ok(Some(record)));
    }

    #[test]
    fn a_lost_race_is_decided_again_and_counted() {
        let store = Store::new(Memory::default());
        increment(&store).unwrap();
        store.shared().before_next_swap(|memory| memory.set("k", &[40]));
        assert_eq!(increment(&store).unwrap().1, Some(Count(41)));
        assert_eq!(store.take_faults(), Faults { conflicts: 1, bad_records: 0 });
        assert_eq!(store.take_faults(), Faults::default());
    }

    #[test]
    fn a_value_created_by_another_worker_in_the_gap_is_not_overwritten() {
        let store = Store::new(Memory::default());
        store.shared().before_next_swap(|memory| memory.set("k", &[40]));
        assert_eq!(increment(&store).unwrap().1, Some(Count(41)));
    }

    #[test]
    fn foreign_and_empty_bytes_are_absent_counted_and_replaced() {
        let store = Store::new(Memory::default());
        for foreign in [&b""[..], b"foreign"] {
            store.shared().set("k", foreign);
            assert_eq!(store.load::<Count>("k"), Ok(None));
            assert_eq!(increment(&store).unwrap().1, Some(Count(1)));
            assert_eq!(store.take_faults().bad_records, 2);
        }
    }

    #[test]
    fn no_change_is_no_write() {
        let store = Store::new(Memory::default());
        store.change("k", |_: Option<&Count>| ((), None)).unwrap();
        assert!(store.shared().keys().is_empty());
    }

    #[test]
    fn the_store_gives_up_instead_of_spinning() {
        /// Every swap loses.
        #[derive(Debug)]
        struct Contended(Memory);
        impl SharedData for Contended {
            fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Token)>, HostError> {
                self.0.get(key)
            }
            fn swap(&self, _: &str, _: &[u8], _: Token) -> Result<Swapped, HostError> {
                Ok(Swapped::Lost)
            }
            fn create(&self, _: &str, _: &[u8]) -> Result<Swapped, HostError> {
                Ok(Swapped::Lost)
            }
            fn put(&self, key: &str, bytes: &[u8]) -> Result<(), HostError> {
                self.0.put(key, bytes)
            }
        }
        let store = Store::new(Contended(Memory::default()));
        let changed = store.change("k", |_: Option<&Count>| ((), Some(Count(1))));
        assert_eq!(changed, Err(StoreError::Contended));
        assert_eq!(store.take_faults().conflicts, ATTEMPTS);
    }

    #[test]
    fn a_host_that_refuses_is_an_error_not_a_trap() {
        let store = Store::new(Memory::default());
        store.shared().broken.set(true);
        assert_eq!(increment(&store).unwrap_err(), StoreError::Host(HostError(10)));
    }
}
