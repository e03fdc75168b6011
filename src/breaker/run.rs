//! Failures in a row, from whichever worker.
//!
//! Failures are written to the record one by one, but successes are only counted by the worker that
//! saw them: they are far too many. So the run keeps the times of its latest failures, and whoever
//! learns when the last success was can tell how many came after it.

use crate::time::Timestamp;

/// Times kept. A longer run is told exactly as long as no success falls into its middle; then it
/// counts as this many.
pub(super) const RECENT: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub(super) count: u32,
    /// When the run began.
    pub(super) since: Timestamp,
    /// The latest failures, newest first; the first `count` of them are real.
    pub(super) recent: [Timestamp; RECENT],
    /// When a reset was last counted.
    pub(super) last_reset: Option<Timestamp>,
}

impl Run {
    pub const NONE: Self = Self {
        count: 0,
        since: Timestamp::ZERO,
        recent: [Timestamp::ZERO; RECENT],
        last_reset: None,
    };

    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The run with one more failure, of a request that was admitted at `started`.
    ///
    /// One dying connection takes many streams with it, which is one piece of bad news: requests
    /// that were in flight at the last counted reset do not extend the run.
    #[must_use]
    pub fn extended(mut self, now: Timestamp, started: Timestamp, reset: bool) -> Self {
        if self.last_reset.is_some_and(|last_reset| started < last_reset) {
            return self;
        }
        if self.count == 0 {
            self.since = now;
        }
        self.count = self.count.saturating_add(1);
        self.recent.rotate_right(1);
        if let Some(newest) = self.recent.first_mut() {
            *newest = now;
        }
        if reset {
            self.last_reset = Some(now);
        }
        self
    }

    /// What is left of the run after a success at `success`.
    #[must_use]
    pub fn after(self, success: Option<Timestamp>) -> Self {
        let Some(success) = success.filter(|success| *success >= self.since) else {
            return self;
        };
        let known = self.recent.iter().take(self.count as usize);
        let later = known.take_while(|failure| **failure > success);
        match later.clone().last() {
            Some(first) => Self { count: later.count() as u32, since: *first, ..self },
            None => Self::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    fn run(failures: &[u64]) -> Run {
        failures.iter().fold(Run::NONE, |run, t| run.extended(at(*t), at(*t), false))
    }

    #[test]
    fn a_success_after_the_last_failure_ends_the_run() {
        assert_eq!(run(&[10, 20]).after(Some(at(20))), Run::NONE);
        assert_eq!(run(&[10, 20]).after(Some(at(25))), Run::NONE);
    }

    #[test]
    fn a_success_before_the_run_changes_nothing() {
        assert_eq!(run(&[10, 20]).after(Some(at(9))), run(&[10, 20]));
        assert_eq!(run(&[10, 20]).after(None), run(&[10, 20]));
        let long: Vec<_> = (10..50).collect();
        assert_eq!(run(&long).after(Some(at(9))), run(&long));
        assert_eq!(Run::NONE.after(Some(at(9))), Run::NONE);
    }

    #[test]
    fn a_success_in_the_middle_keeps_the_failures_after_it() {
        let left = run(&[10, 20, 30, 40]).after(Some(at(20)));
        assert_eq!(left.count(), 2);
        assert_eq!(left.since, at(30));
        assert_eq!(left.after(Some(at(30))).count(), 1);
    }

    #[test]
    fn a_long_run_cut_in_its_forgotten_part_counts_what_is_known() {
        let failures: Vec<_> = (1..=40).collect();
        assert_eq!(run(&failures).count(), 40);
        assert_eq!(run(&failures).after(Some(at(5))).count(), RECENT as u32);
        assert_eq!(run(&failures).after(Some(at(38))).count(), 2);
    }

    #[test]
    fn requests_in_flight_at_a_counted_reset_do_not_extend_the_run() {
        let one = Run::NONE.extended(at(10), at(1), true);
        assert_eq!(one.extended(at(11), at(2), true).count(), 1);
        assert_eq!(one.extended(at(12), at(10), true).count(), 2);
    }
}
