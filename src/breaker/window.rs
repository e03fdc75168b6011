//! A rolling window: a ring of ten exact buckets.
//!
//! Counts and no moving average: an average lets a short burst hide a complete outage and leaves
//! old failures in the figure for ever. Here a failure counts until its bucket leaves the window,
//! and then not at all.
//!
//! Buckets are numbered from the clock's origin, so that rings of different workers line up and
//! can be added.

use super::Pace;
use super::trip::TripRules;
use crate::time::{Span, Timestamp};

pub const BUCKETS: usize = 10;

/// [`BUCKETS`], as bucket numbers count.
const RING: u64 = BUCKETS as u64;

/// The length of a window: at least a second, so that a bucket is at least 100 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WindowSpan(Span);

impl WindowSpan {
    pub const MIN: Span = Span::from_secs(1);

    pub fn new(span: Span) -> Option<Self> {
        (span >= Self::MIN).then_some(Self(span))
    }

    pub const fn get(self) -> Span {
        self.0
    }

    const fn bucket(self) -> Span {
        Span::from_nanos(self.0.as_nanos() / RING)
    }
}

/// Calls by outcome, and by pace.
///
/// The two are apart because they fall at different times: a call that hangs is slow long before
/// it has an outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub successes: u32,
    pub failures: u32,
    pub fast: u32,
    pub slow: u32,
}

impl Tally {
    pub const NONE: Self = Self { successes: 0, failures: 0, fast: 0, slow: 0 };
    /// Of a call whose outcome is yet to come.
    pub const SLOW: Self = Self { slow: 1, ..Self::NONE };

    pub const fn success(pace: Pace) -> Self {
        Self { successes: 1, fast: matches!(pace, Pace::Fast) as u32, ..Self::NONE }
    }

    pub const fn failure(pace: Pace) -> Self {
        Self { failures: 1, fast: matches!(pace, Pace::Fast) as u32, ..Self::NONE }
    }

    /// Calls with an outcome.
    pub const fn requests(self) -> u32 {
        self.successes.saturating_add(self.failures)
    }

    /// Calls with a pace.
    pub const fn timed(self) -> u32 {
        self.fast.saturating_add(self.slow)
    }

    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            successes: self.successes.saturating_add(other.successes),
            failures: self.failures.saturating_add(other.failures),
            fast: self.fast.saturating_add(other.fast),
            slow: self.slow.saturating_add(other.slow),
        }
    }
}

/// One ring. `head` is the number of the newest bucket; bucket `n` sits at `n % BUCKETS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub(super) bucket: Span,
    pub(super) head: u64,
    pub(super) buckets: [Tally; BUCKETS],
}

impl Window {
    /// Stands for no window where bytes have a fixed place for one.
    pub(super) const ABSENT: Self =
        Self { bucket: Span::ZERO, head: 0, buckets: [Tally::NONE; BUCKETS] };

    pub const fn new(span: WindowSpan) -> Self {
        Self { bucket: span.bucket(), head: 0, buckets: [Tally::NONE; BUCKETS] }
    }

    /// Adds at `now`. Time that went backwards adds to the newest bucket.
    pub fn add(&mut self, now: Timestamp, tally: Tally) {
        self.roll(now);
        let head = self.head;
        if let Some(bucket) = self.buckets.get_mut(position(head)) {
            *bucket = bucket.plus(tally);
        }
    }

    /// The sum of the buckets still in the window at `now`.
    pub fn tally(&self, now: Timestamp) -> Tally {
        let oldest = self.number(now).saturating_sub(RING.saturating_sub(1));
        self.numbered()
            .filter(|(number, _)| *number >= oldest)
            .fold(Tally::NONE, |sum, (_, tally)| sum.plus(tally))
    }

    /// The same counts in a ring of another length: what a changed configuration keeps.
    #[must_use]
    pub fn reshaped(&self, span: WindowSpan) -> Self {
        if span.bucket() == self.bucket {
            return *self;
        }
        let mut reshaped = Self::new(span);
        for (number, tally) in self.numbered().filter(|(_, tally)| *tally != Tally::NONE) {
            let at = Timestamp::from_nanos(number.saturating_mul(self.bucket.as_nanos()));
            reshaped.add(at, tally);
        }
        reshaped
    }

    /// Whether the ring was laid out for `span`.
    pub fn is_shaped(&self, span: WindowSpan) -> bool {
        self.bucket == span.bucket()
    }

    /// Forgets what has left the window, so that `now` has a bucket.
    fn roll(&mut self, now: Timestamp) {
        let number = self.number(now);
        let stale = number.saturating_sub(self.head).min(RING);
        for back in 0..stale {
            if let Some(bucket) = self.buckets.get_mut(position(number.saturating_sub(back))) {
                *bucket = Tally::NONE;
            }
        }
        self.head = self.head.max(number);
    }

    fn number(&self, now: Timestamp) -> u64 {
        now.as_nanos().checked_div(self.bucket.as_nanos()).unwrap_or(0)
    }

    /// The buckets with their numbers, oldest first.
    fn numbered(&self) -> impl Iterator<Item = (u64, Tally)> {
        (0..RING).rev().filter_map(|back| {
            let number = self.head.checked_sub(back)?;
            Some((number, *self.buckets.get(position(number))?))
        })
    }
}

fn position(number: u64) -> usize {
    (number % RING) as usize
}

/// A ring for each rule that has a window. The stored record counts failures in them, each
/// worker's own tally its successes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    pub failure_ratio: Option<Window>,
    pub failures: Option<Window>,
    pub slow_ratio: Option<Window>,
}

impl Windows {
    pub const fn of(rules: &TripRules) -> Self {
        Self {
            failure_ratio: match rules.failure_ratio {
                Some(rule) => Some(Window::new(rule.window)),
                None => None,
            },
            failures: match rules.failures {
                Some(rule) => Some(Window::new(rule.window)),
                None => None,
            },
            slow_ratio: match rules.slow_ratio {
                Some(rule) => Some(Window::new(rule.window)),
                None => None,
            },
        }
    }

    pub fn add(&mut self, now: Timestamp, tally: Tally) {
        let windows = [&mut self.failure_ratio, &mut self.failures, &mut self.slow_ratio];
        windows.into_iter().flatten().for_each(|window| window.add(now, tally));
    }

    /// The tally of the longest window.
    pub fn longest(&self, now: Timestamp) -> Tally {
        [&self.failure_ratio, &self.failures, &self.slow_ratio]
            .into_iter()
            .flatten()
            .max_by_key(|window| window.bucket)
            .map_or(Tally::NONE, |window| window.tally(now))
    }

    /// The rings that `rules` ask for, with the counts of those that were there (rule 10).
    #[must_use]
    pub fn reshaped(&self, rules: &TripRules) -> Self {
        let reshape = |old: Option<Window>, span: Option<WindowSpan>| {
            span.map(|span| old.map_or_else(|| Window::new(span), |old| old.reshaped(span)))
        };
        Self {
            failure_ratio: reshape(self.failure_ratio, rules.failure_ratio.map(|r| r.window)),
            failures: reshape(self.failures, rules.failures.map(|r| r.window)),
            slow_ratio: reshape(self.slow_ratio, rules.slow_ratio.map(|r| r.window)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SUCCESS: Tally = Tally::success(Pace::Fast);
    const FAILURE: Tally = Tally::failure(Pace::Slow);

    fn at(millis: u64) -> Timestamp {
        Timestamp::ZERO + Span::from_millis(millis)
    }

    fn window(millis: u64) -> Window {
        Window::new(WindowSpan::new(Span::from_millis(millis)).unwrap())
    }

    #[test]
    fn buckets_leave_in_order() {
        let mut window = window(1_000);
        window.add(at(50), FAILURE);
        window.add(at(150), FAILURE);
        assert_eq!(window.tally(at(999)).failures, 2);
        assert_eq!(window.tally(at(1_000)).failures, 1);
        assert_eq!(window.tally(at(1_100)).failures, 0);
    }

    #[test]
    fn an_idle_gap_of_any_length_empties_the_window() {
        let mut window = window(1_000);
        window.add(at(0), FAILURE);
        let late = Timestamp::from_nanos(u64::MAX);
        assert_eq!(window.tally(late), Tally::NONE);
        window.add(late, SUCCESS);
        assert_eq!(window.tally(late), SUCCESS);
    }

    #[test]
    fn time_that_runs_backwards_adds_to_the_newest_bucket() {
        let mut window = window(1_000);
        window.add(at(5_000), FAILURE);
        window.add(at(10), FAILURE);
        assert_eq!(window.tally(at(5_000)).failures, 2);
    }

    #[test]
    fn a_window_under_a_second_cannot_be_made() {
        assert_eq!(WindowSpan::new(Span::from_millis(999)), None);
        assert!(WindowSpan::new(Span::from_millis(1_000)).is_some());
    }

    #[test]
    fn counts_survive_a_longer_and_a_shorter_window() {
        let mut old = window(10_000);
        old.add(at(1_000), FAILURE);
        old.add(at(9_000), FAILURE);
        let longer = old.reshaped(WindowSpan::new(Span::from_secs(60)).unwrap());
        assert_eq!(longer.tally(at(9_500)).failures, 2);
        let shorter = old.reshaped(WindowSpan::new(Span::from_secs(2)).unwrap());
        assert_eq!(shorter.tally(at(9_500)).failures, 1);
    }

    proptest! {
        /// The ring against a plain list of every event.
        #[test]
        fn a_window_counts_exactly_the_events_of_its_ten_buckets(
            steps in prop::collection::vec((0_u64..700, any::<bool>()), 1..200),
        ) {
            let mut window = window(2_000);
            let mut events = Vec::new();
            let mut now = 0;
            for (step, failed) in steps {
                now += step;
                let tally = if failed { FAILURE } else { SUCCESS };
                window.add(at(now), tally);
                events.push((now / 200, tally));
                let expected = events
                    .iter()
                    .filter(|(number, _)| number + 10 > now / 200)
                    .fold(Tally::NONE, |sum, (_, tally)| sum.plus(*tally));
                prop_assert_eq!(window.tally(at(now)), expected);
            }
        }
    }
}
