//! This worker's idea of now.
//!
//! Reading the host's clock is a hostcall, and the closed happy path has none to spare: it uses the
//! time of the last reading. That is at most one sync old, which is precise enough for a bucket.

use std::cell::Cell;

use crate::time::Timestamp;

/// The host's monotonic clock.
pub trait Clock {
    fn monotonic(&self) -> Timestamp;
}

/// The latest reading, shared by all that this worker does.
#[derive(Debug, Default)]
pub struct WorkerClock {
    latest: Cell<Timestamp>,
}

impl WorkerClock {
    /// The latest reading: no hostcall.
    pub fn latest(&self) -> Timestamp {
        self.latest.get()
    }

    /// Reads the clock. Every reading is later than the one before, so that what this worker did
    /// before it and after it can be told apart.
    pub fn read(&self, clock: &impl Clock) -> Timestamp {
        let now = clock.monotonic().max(self.latest.get().next());
        self.latest.set(now);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stopped;

    impl Clock for Stopped {
        fn monotonic(&self) -> Timestamp {
            Timestamp::from_nanos(100)
        }
    }

    #[test]
    fn every_reading_is_later_than_the_one_before() {
        let clock = WorkerClock::default();
        let first = clock.read(&Stopped);
        assert_eq!(clock.latest(), first);
        assert_eq!(clock.read(&Stopped), first.next());
    }
}
