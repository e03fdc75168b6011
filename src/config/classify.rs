//! What endings count as.

use std::ops::RangeInclusive;

use super::error::ConfigError;
use super::node::Node;
use super::units::DAY;
use crate::classify::{ClientDisconnect, GrpcStatus, GrpcStatusSet, Rules, StatusSet};
use crate::time::Span;

pub(super) fn read(at: &Node<'_>) -> Result<Rules, ConfigError> {
    let [
        failure_statuses,
        ignore_statuses,
        failure_grpc_statuses,
        min_deadline,
        slow_after,
        client_disconnect,
    ] = at.fields([
        "failure_statuses",
        "ignore_statuses",
        "failure_grpc_statuses",
        "min_deadline",
        "slow_after",
        "client_disconnect",
    ])?;
    Ok(Rules {
        failure_statuses: read_statuses(&failure_statuses)?,
        ignore_statuses: read_statuses(&ignore_statuses)?,
        failure_grpc_statuses: read_grpc_statuses(&failure_grpc_statuses)?,
        min_deadline: min_deadline
            .duration(r#""0s" to "24h""#, |span| (span <= DAY).then_some(span))?,
        slow_after: slow_after.nullable(|at| {
            let range = Span::from_millis(1)..=DAY;
            at.duration(r#""1ms" to "24h", or null"#, |span| range.contains(&span).then_some(span))
        })?,
        client_disconnect: client_disconnect.text(
            "what a client that leaves counts as",
            r#""ignore" or "slow""#,
            |text| match text {
                "ignore" => Some(ClientDisconnect::Ignore),
                "slow" => Some(ClientDisconnect::Slow),
                _ => None,
            },
        )?,
    })
}

fn read_statuses(at: &Node<'_>) -> Result<StatusSet, ConfigError> {
    let ranges =
        at.list("a list of statuses", r#"some such as [503, "5xx", "500-504"]"#, |item| {
            let range = match item.as_number() {
                Some(number) => number.as_u64().and_then(|n| u16::try_from(n).ok()).map(|n| n..=n),
                None => item.as_text().and_then(class_or_range),
            };
            let is_valid = |range: &RangeInclusive<u16>| {
                StatusSet::RANGE.contains(range.start()) && StatusSet::RANGE.contains(range.end())
            };
            range.filter(is_valid).ok_or_else(|| {
                item.is_not(
                "a status",
                r#"a number from 100 to 599, a class such as "5xx" or a range such as "500-504""#,
            )
            })
        })?;
    let mut set = StatusSet::default();
    ranges.into_iter().for_each(|range| set.insert(range));
    Ok(set)
}

/// `5xx` or `500-504`.
fn class_or_range(text: &str) -> Option<RangeInclusive<u16>> {
    if let Some(class) = text.strip_suffix("xx") {
        let hundreds = number(class).filter(|class| (1..=5).contains(class))? * 100;
        return Some(hundreds..=hundreds + 99);
    }
    let (first, last) = text.split_once('-')?;
    let range = number(first)?..=number(last)?;
    (!range.is_empty()).then_some(range)
}

fn number(digits: &str) -> Option<u16> {
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

fn read_grpc_statuses(at: &Node<'_>) -> Result<GrpcStatusSet, ConfigError> {
    const EXPECTED: &str = r#"a number from 1 to 16 or a name such as "UNAVAILABLE""#;
    let statuses =
        at.list("a list of gRPC statuses", r#"some such as ["UNAVAILABLE", 13]"#, |item| {
            let status = match item.as_number() {
                Some(number) => number
                    .as_u64()
                    .and_then(|number| u32::try_from(number).ok())
                    .and_then(GrpcStatus::from_number),
                None => item.as_text().and_then(GrpcStatus::from_name),
            };
            status
                .filter(|status| *status != GrpcStatus::OK)
                .ok_or_else(|| item.is_not("a gRPC status that can be a failure", EXPECTED))
        })?;
    let mut set = GrpcStatusSet::default();
    statuses.into_iter().for_each(|status| set.insert(status));
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{error, is_bounded, policy, refuses, with};
    use super::*;

    fn rules(fields: &str) -> Rules {
        policy(&with("classify", fields), "any").classify
    }

    #[test]
    fn the_documented_defaults_hold() {
        let rules = policy("", "any").classify;
        for status in [500, 501, 505, 599] {
            assert!(rules.failure_statuses.contains(status), "{status}");
        }
        assert!(!rules.failure_statuses.contains(499));
        for (status, expected) in [(429, true), (501, true), (505, true), (500, false)] {
            assert_eq!(rules.ignore_statuses.contains(status), expected, "{status}");
        }
        for number in 0..=16 {
            let expected = matches!(number, 2 | 4 | 13 | 14 | 15);
            let status = GrpcStatus::from_number(number).unwrap();
            assert_eq!(rules.failure_grpc_statuses.contains(status), expected, "{number}");
        }
        assert_eq!(rules.min_deadline, Span::from_secs(1));
        assert_eq!(rules.slow_after, None);
        assert_eq!(rules.client_disconnect, ClientDisconnect::Ignore);
    }

    #[test]
    fn statuses_are_numbers_classes_and_ranges() {
        let rules = rules(
            r#"{"failure_statuses": [404, "5xx", "450-459"], "ignore_statuses": [],
                "failure_grpc_statuses": ["ABORTED", 1]}"#,
        );
        for (status, expected) in [
            (403, false),
            (404, true),
            (449, false),
            (450, true),
            (459, true),
            (460, false),
            (599, true),
        ] {
            assert_eq!(rules.failure_statuses.contains(status), expected, "{status}");
        }
        assert_eq!(rules.ignore_statuses, StatusSet::default());
        for (number, expected) in [(1, true), (10, true), (14, false)] {
            let status = GrpcStatus::from_number(number).unwrap();
            assert_eq!(rules.failure_grpc_statuses.contains(status), expected, "{number}");
        }
    }

    #[test]
    fn what_is_no_status_is_refused_with_what_is_one() {
        let expected = r#"expected a number from 100 to 599, a class such as "5xx" or a range such as "500-504""#;
        for bad in [
            "99",
            "600",
            "503.5",
            r#""6xx""#,
            r#""5XX""#,
            r#""504-500""#,
            r#""500-600""#,
            r#""503""#,
            r#""+1xx""#,
            r#""-""#,
            "null",
            "[]",
        ] {
            let document = with("classify", &format!(r#"{{"failure_statuses": [{bad}]}}"#));
            let error = error(&document);
            assert!(error.starts_with("defaults.classify.failure_statuses: "), "{bad}: {error}");
            assert!(error.ends_with(expected), "{bad}: {error}");
        }
        refuses(
            "classify.failure_grpc_statuses",
            r#"["unavailable"]"#,
            "\"unavailable\" is not a gRPC status that can be a failure, expected a number from 1 to \
             16 or a name such as \"UNAVAILABLE\"",
        );
        for bad in ["0", "17", r#""OK""#] {
            let document = with("classify", &format!(r#"{{"failure_grpc_statuses": [{bad}]}}"#));
            assert!(error(&document).contains("expected a number from 1 to 16"), "{bad}");
        }
    }

    #[test]
    fn every_value_has_two_ends() {
        let expected = r#""1ms" to "24h", or null"#;
        is_bounded(
            "classify.slow_after",
            [r#""1ms""#, r#""24h""#],
            [r#""0s""#, r#""24.1h""#],
            expected,
        );
        assert_eq!(rules(r#"{"min_deadline": "0s"}"#).min_deadline, Span::ZERO);
        assert!(error(&with("classify", r#"{"min_deadline": "25h"}"#)).contains("out of range"));
    }

    #[test]
    fn a_client_that_leaves_is_ignored_or_slow() {
        let rules = rules(r#"{"client_disconnect": "slow"}"#);
        assert_eq!(rules.client_disconnect, ClientDisconnect::Slow);
        refuses(
            "classify.client_disconnect",
            r#""fail""#,
            "\"fail\" is not what a client that leaves counts as, expected \"ignore\" or \"slow\"",
        );
    }
}
