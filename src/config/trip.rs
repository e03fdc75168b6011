//! When a circuit trips: the rules a policy turns on.

use std::num::NonZeroU32;

use super::error::ConfigError;
use super::node::Node;
use super::units::DAY;
use crate::breaker::{CountRule, Ratio, RatioRule, TripRules, WindowSpan};
use crate::time::Span;

pub(super) fn read(at: &Node<'_>, slow_after: Option<Span>) -> Result<TripRules, ConfigError> {
    let [consecutive_failures, failure_ratio, failures, slow_ratio] =
        at.fields(["consecutive_failures", "failure_ratio", "failures", "slow_ratio"])?;
    let rules = TripRules {
        consecutive_failures: consecutive_failures.if_given(count)?,
        failure_ratio: failure_ratio.if_given(read_ratio_rule)?,
        failures: failures.if_given(read_count_rule)?,
        slow_ratio: slow_ratio.if_given(read_ratio_rule)?,
    };
    if rules.slow_ratio.is_some() && slow_after.is_none() {
        return Err(slow_ratio.refused(
            "no call is ever slow, expected classify.slow_after to be a duration such as \"2s\"",
        ));
    }
    let is_empty = rules.consecutive_failures.is_none()
        && rules.failure_ratio.is_none()
        && rules.failures.is_none()
        && rules.slow_ratio.is_none();
    if is_empty {
        return Err(at.refused(
            "no rule is on, expected at least one of consecutive_failures, failure_ratio, \
             failures, slow_ratio; a circuit that never trips is \"mode\": \"off\"",
        ));
    }
    Ok(rules)
}

/// `slow_ratio` is 0.8 of at least 20 requests within 10 s where it leaves that out.
fn read_ratio_rule(at: &Node<'_>) -> Result<RatioRule, ConfigError> {
    let [ratio, minimum_requests, window] = at.fields(["ratio", "minimum_requests", "window"])?;
    Ok(RatioRule {
        ratio: ratio
            .or(Ratio::new(0.8), |at| at.number("more than 0 and at most 1", Ratio::new))?,
        minimum_requests: minimum_requests.or(NonZeroU32::new(20), count)?,
        window: window.or(WindowSpan::new(Span::from_secs(10)), read_window)?,
    })
}

/// 5 failures within 60 s where it leaves that out.
fn read_count_rule(at: &Node<'_>) -> Result<CountRule, ConfigError> {
    let [number, window] = at.fields(["count", "window"])?;
    Ok(CountRule {
        count: number.or(NonZeroU32::new(5), count)?,
        window: window.or(WindowSpan::new(Span::from_secs(60)), read_window)?,
    })
}

fn count(at: &Node<'_>) -> Result<NonZeroU32, ConfigError> {
    at.whole(1..=1_000_000, NonZeroU32::new)
}

fn read_window(at: &Node<'_>) -> Result<WindowSpan, ConfigError> {
    at.duration(r#""1s" to "24h""#, |span| WindowSpan::new(span).filter(|_| span <= DAY))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{accepts, error, is_bounded, policy, refuses, with};
    use super::*;
    use crate::time::Span;

    fn rules(document: &str, cluster: &str) -> TripRules {
        policy(document, cluster).breaker.trip
    }

    fn window(secs: u64) -> WindowSpan {
        WindowSpan::new(Span::from_secs(secs)).unwrap()
    }

    fn ratio_rule(ratio: f64, minimum_requests: u32, secs: u64) -> RatioRule {
        RatioRule {
            ratio: Ratio::new(ratio).unwrap(),
            minimum_requests: NonZeroU32::new(minimum_requests).unwrap(),
            window: window(secs),
        }
    }

    #[test]
    fn five_in_a_row_or_half_of_twenty_trips_by_default() {
        let expected = TripRules {
            consecutive_failures: NonZeroU32::new(5),
            failure_ratio: Some(ratio_rule(0.5, 20, 10)),
            failures: None,
            slow_ratio: None,
        };
        assert_eq!(rules("", "any"), expected);
    }

    #[test]
    fn every_field_can_be_set() {
        let document = with(
            "trip",
            r#"{
                "consecutive_failures": 3,
                "failure_ratio": {"ratio": 0.25, "minimum_requests": 8, "window": "2m"},
                "failures": {"count": 7, "window": "60s"}
            }"#,
        );
        let expected = TripRules {
            consecutive_failures: NonZeroU32::new(3),
            failure_ratio: Some(ratio_rule(0.25, 8, 120)),
            failures: Some(CountRule { count: NonZeroU32::new(7).unwrap(), window: window(60) }),
            slow_ratio: None,
        };
        assert_eq!(rules(&document, "any"), expected);
    }

    #[test]
    fn the_slow_ratio_needs_to_know_what_slow_is() {
        let slow_ratio = r#"{"slow_ratio": {"ratio": 0.6, "window": "5s"}}"#;
        assert_eq!(
            error(&with("trip", slow_ratio)),
            "defaults.trip.slow_ratio: no call is ever slow, expected classify.slow_after to be a \
             duration such as \"2s\"",
        );
        let document = format!(
            r#"{{"defaults": {{"trip": {slow_ratio}, "classify": {{"slow_after": "1s"}}}}}}"#
        );
        assert_eq!(rules(&document, "any").slow_ratio, Some(ratio_rule(0.6, 20, 5)));
    }

    #[test]
    fn rules_that_are_off_by_default_have_defaults_all_the_same() {
        let document = r#"{"defaults": {
            "trip": {"slow_ratio": {}, "failures": {}}, "classify": {"slow_after": "1s"}
        }}"#;
        let rules = rules(document, "any");
        assert_eq!(rules.slow_ratio, Some(ratio_rule(0.8, 20, 10)));
        let count = NonZeroU32::new(5).unwrap();
        assert_eq!(rules.failures, Some(CountRule { count, window: window(60) }));
        assert_eq!((rules.consecutive_failures, rules.failure_ratio), (None, None));
    }

    #[test]
    fn every_value_has_two_ends() {
        let (ends, beyond) = (["1", "1000000"], ["0", "1000001"]);
        is_bounded("trip.consecutive_failures", ends, beyond, "1 to 1000000");
        is_bounded("trip.failure_ratio.minimum_requests", ends, beyond, "1 to 1000000");
        let (ends, beyond) = (["0.000001", "1"], ["0", "1.5"]);
        is_bounded("trip.failure_ratio.ratio", ends, beyond, "more than 0 and at most 1");
        let (ends, beyond) = ([r#""1s""#, r#""24h""#], [r#""999ms""#, r#""24.1h""#]);
        is_bounded("trip.failure_ratio.window", ends, beyond, r#""1s" to "24h""#);
    }

    #[test]
    fn trip_is_replaced_whole_but_a_rule_is_completed_by_its_own_defaults() {
        let document = r#"{
            "defaults": {"trip": {
                "consecutive_failures": 3, "failure_ratio": {"minimum_requests": 7}
            }},
            "circuits": {"a": {"trip": {"failure_ratio": {"ratio": 1}}}, "b": {}}
        }"#;
        let a = rules(document, "a");
        assert_eq!(a.consecutive_failures, None);
        assert_eq!(a.failure_ratio, Some(ratio_rule(1.0, 20, 10)));
        let b = rules(document, "b");
        assert_eq!(b.consecutive_failures, NonZeroU32::new(3));
        assert_eq!(b.failure_ratio, Some(ratio_rule(0.5, 7, 10)));
    }

    #[test]
    fn a_rule_that_is_null_is_off() {
        let document =
            with("trip", r#"{"failure_ratio": null, "failures": null, "consecutive_failures": 1}"#);
        let rules = rules(&document, "any");
        assert_eq!((rules.failure_ratio, rules.failures), (None, None));
    }

    #[test]
    fn a_circuit_that_never_trips_has_to_say_so() {
        let problem = "no rule is on, expected at least one of consecutive_failures, \
                       failure_ratio, failures, slow_ratio; a circuit that never trips is \"mode\": \"off\"";
        refuses("trip", "{}", problem);
        refuses("trip", r#"{"failures": null}"#, problem);
    }

    #[test]
    fn failures_within_a_window_are_counted_in_bounds() {
        accepts("trip.failures", r#"{"count": 1, "window": "1s"}"#);
        accepts("trip.failures", r#"{"count": 1000000, "window": "24h"}"#);
        let line = |rule| error(&with("trip.failures", rule));
        assert_eq!(
            line(r#"{"count": 0, "window": "60s"}"#),
            "defaults.trip.failures.count: 0 is out of range, expected 1 to 1000000"
        );
        assert_eq!(
            line(r#"{"cuont": 5, "window": "60s"}"#),
            "defaults.trip.failures.cuont: unknown field, expected one of count, window; \
             did you mean `count`?"
        );
    }
}
