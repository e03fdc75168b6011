//! Virtual time: a monotonic and a wall clock, which run together unless somebody steps the wall clock.
//!
//! It does not quite stand still in between: each reading takes a nanosecond, as a real one takes some.

use std::cell::Cell;
use std::time::Duration;

#[derive(Debug)]
pub struct Clock {
    monotonic: Cell<u64>,
    wall: Cell<u64>,
}

impl Default for Clock {
    /// Neither starts at zero, and they are far apart: a mix-up of the two shows.
    fn default() -> Self {
        Self {
            monotonic: Cell::new(10_000 * 1_000_000_000),
            wall: Cell::new(1_700_000_000 * 1_000_000_000),
        }
    }
}

impl Clock {
    pub fn monotonic(&self) -> u64 {
        self.monotonic.get()
    }

    pub fn wall(&self) -> u64 {
        self.wall.get()
    }

    /// What a guest reads.
    pub fn read_monotonic(&self) -> u64 {
        self.advance(Duration::from_nanos(1));
        self.monotonic()
    }

    pub fn read_wall(&self) -> u64 {
        self.advance(Duration::from_nanos(1));
        self.wall()
    }

    pub fn set_monotonic(&self, nanos: u64) {
        self.monotonic.set(nanos);
    }

    pub fn set_wall(&self, nanos: u64) {
        self.wall.set(nanos);
    }

    pub fn advance(&self, by: Duration) {
        self.monotonic.set(self.monotonic.get() + nanos(by));
        self.wall.set(self.wall.get() + nanos(by));
    }
}

pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("durations in tests fit in 64 bits of nanoseconds")
}
