//! When to trip.

use std::num::NonZeroU32;

use super::window::{Tally, WindowSpan};
use crate::time::Span;

/// The rules that are on; any of them trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TripRules {
    pub consecutive_failures: Option<NonZeroU32>,
    pub failure_ratio: Option<RatioRule>,
    pub failures: Option<CountRule>,
    pub slow_ratio: Option<RatioRule>,
}

/// Failures, or slow calls, among the requests of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RatioRule {
    pub ratio: Ratio,
    pub minimum_requests: NonZeroU32,
    pub window: WindowSpan,
}

impl RatioRule {
    const fn is_met(&self, part: u32, whole: u32) -> bool {
        whole >= self.minimum_requests.get() && self.ratio.is_reached(part, whole)
    }
}

/// Failures within a window, however many successes lie between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CountRule {
    pub count: NonZeroU32,
    pub window: WindowSpan,
}

/// More than 0 and at most 1, in parts per million: whole numbers compare exactly, and no NaN can
/// arise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(u32);

impl Ratio {
    const ONE: u32 = 1_000_000;

    pub fn new(ratio: f64) -> Option<Self> {
        let is_valid = ratio > 0.0 && ratio <= 1.0;
        is_valid.then(|| Self(((ratio * f64::from(Self::ONE)).round() as u32).max(1)))
    }

    /// Whether `part` of `whole` is at least this much.
    const fn is_reached(self, part: u32, whole: u32) -> bool {
        (part as u64).saturating_mul(Self::ONE as u64)
            >= (whole as u64).saturating_mul(self.0 as u64)
    }
}

/// Which rule tripped, with its figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TripReason {
    ConsecutiveFailures {
        failures: u32,
    },
    FailureRatio {
        failures: u32,
        requests: u32,
        window: Span,
    },
    Failures {
        failures: u32,
        window: Span,
    },
    SlowRatio {
        slow: u32,
        requests: u32,
        window: Span,
    },
    ProbeFailed,
    ProbeTimedOut,
    ProbeSlow,
    /// By an operator: no rule.
    Forced,
}

/// What the rules look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// Failures in a row.
    pub(super) run: u32,
    /// The failure ratio's window, successes included.
    pub(super) ratio: Tally,
    /// Failures in the count rule's window.
    pub(super) failures: u32,
    /// The slow ratio's window, successes included.
    pub(super) slow: Tally,
}

impl TripRules {
    pub(super) fn check(&self, counts: &Counts) -> Option<TripReason> {
        self.check_run(counts)
            .or_else(|| self.check_ratio(counts))
            .or_else(|| self.check_count(counts))
            .or_else(|| self.check_slow(counts))
    }

    /// Whether the counts might trip once the other workers' successes are known. Successes can end
    /// a run or lower the ratio, but also make up the minimum number of requests.
    pub(super) fn might_trip(&self, counts: &Counts) -> bool {
        let might_reach = |rule: Option<RatioRule>, part, whole: u32| {
            rule.is_some_and(|rule| {
                rule.ratio.is_reached(part, whole.max(rule.minimum_requests.get()))
            })
        };
        might_reach(self.failure_ratio, counts.ratio.failures, counts.ratio.requests())
            || might_reach(self.slow_ratio, counts.slow.slow, counts.slow.timed())
            || self.check_run(counts).is_some()
            || self.check_count(counts).is_some()
    }

    /// The figures a reader is shown: the run where only that rule is on, else the longest window.
    pub const fn shown(&self, run: u32, longest: Tally) -> Tally {
        match (self.failure_ratio, self.failures, self.slow_ratio) {
            (None, None, None) => Tally { failures: run, ..Tally::NONE },
            _ => longest,
        }
    }

    fn check_run(&self, counts: &Counts) -> Option<TripReason> {
        let limit = self.consecutive_failures?;
        (counts.run >= limit.get())
            .then_some(TripReason::ConsecutiveFailures { failures: counts.run })
    }

    fn check_ratio(&self, counts: &Counts) -> Option<TripReason> {
        let rule = self.failure_ratio?;
        let Tally { failures, .. } = counts.ratio;
        let requests = counts.ratio.requests();
        rule.is_met(failures, requests).then(|| TripReason::FailureRatio {
            failures,
            requests,
            window: rule.window.get(),
        })
    }

    fn check_slow(&self, counts: &Counts) -> Option<TripReason> {
        let rule = self.slow_ratio?;
        let Tally { slow, .. } = counts.slow;
        let requests = counts.slow.timed();
        rule.is_met(slow, requests).then(|| TripReason::SlowRatio {
            slow,
            requests,
            window: rule.window.get(),
        })
    }

    fn check_count(&self, counts: &Counts) -> Option<TripReason> {
        let rule = self.failures?;
        (counts.failures >= rule.count.get())
            .then(|| TripReason::Failures { failures: counts.failures, window: rule.window.get() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OFF: TripRules = TripRules {
        consecutive_failures: None,
        failure_ratio: None,
        failures: None,
        slow_ratio: None,
    };

    fn ten_seconds() -> WindowSpan {
        WindowSpan::new(Span::from_secs(10)).unwrap()
    }

    fn ratio(ratio: f64, minimum: u32) -> TripRules {
        let rule = RatioRule {
            ratio: Ratio::new(ratio).unwrap(),
            minimum_requests: NonZeroU32::new(minimum).unwrap(),
            window: ten_seconds(),
        };
        TripRules { failure_ratio: Some(rule), ..OFF }
    }

    fn counts(successes: u32, failures: u32) -> Counts {
        let ratio = Tally { successes, failures, ..Tally::NONE };
        Counts { run: 0, ratio, failures, slow: Tally::NONE }
    }

    #[test]
    fn a_ratio_exactly_at_the_threshold_trips() {
        let rules = ratio(0.5, 20);
        assert_eq!(rules.check(&counts(11, 10)), None);
        assert_eq!(
            rules.check(&counts(10, 10)),
            Some(TripReason::FailureRatio {
                failures: 10,
                requests: 20,
                window: Span::from_secs(10)
            })
        );
    }

    #[test]
    fn a_ratio_below_the_minimum_of_requests_does_not_trip() {
        assert_eq!(ratio(0.5, 20).check(&counts(0, 19)), None);
        assert!(ratio(0.5, 20).check(&counts(0, 20)).is_some());
    }

    #[test]
    fn ten_failures_among_four_hundred_and_twenty_do_not_trip_half() {
        assert_eq!(ratio(0.5, 20).check(&counts(410, 10)), None);
    }

    #[test]
    fn so_many_failures_trip_whatever_succeeds_in_between() {
        let rule = CountRule { count: NonZeroU32::new(5).unwrap(), window: ten_seconds() };
        let rules = TripRules { failures: Some(rule), ..OFF };
        assert_eq!(rules.check(&counts(0, 4)), None);
        let reason = TripReason::Failures { failures: 5, window: Span::from_secs(10) };
        assert_eq!(rules.check(&counts(1_000, 5)), Some(reason));
        assert!(rules.might_trip(&counts(1_000, 5)) && !rules.might_trip(&counts(0, 4)));
    }

    #[test]
    fn the_run_is_shown_where_no_rule_has_a_window() {
        let longest = Tally { successes: 7, failures: 3, ..Tally::NONE };
        assert_eq!(OFF.shown(2, longest), Tally { failures: 2, ..Tally::NONE });
        assert_eq!(ratio(0.5, 20).shown(2, longest), longest);
    }

    #[test]
    fn no_rule_never_trips() {
        assert_eq!(OFF.check(&Counts { run: u32::MAX, ..counts(0, u32::MAX) }), None);
    }

    #[test]
    fn ratios_outside_their_range_cannot_be_made() {
        for ratio in [0.0, -0.1, 1.000_001, f64::NAN, f64::INFINITY] {
            assert_eq!(Ratio::new(ratio), None, "{ratio}");
        }
        assert!(Ratio::new(1e-9).unwrap() > Ratio(0));
    }

    proptest! {
        /// A worker that does not ask the others must not miss a trip.
        #[test]
        fn whatever_trips_with_more_successes_might_have_tripped_without(
            successes in 0_u32..100, others in 0_u32..100, failures in 0_u32..100,
            threshold in 0.01_f64..1.0, minimum in 1_u32..50,
        ) {
            let rules = ratio(threshold, minimum);
            if rules.check(&counts(successes + others, failures)).is_some() {
                prop_assert!(rules.might_trip(&counts(successes, failures)));
            }
        }
    }
}
