//! How long a response is fresh, and how old it came (RFC 9111, 4.2).

use std::time::{SystemTime, UNIX_EPOCH};

use super::directives::{Directives, seconds};
use super::headers::{elements, only, values};
use crate::headers::HeaderMap;
use crate::time::Span;

/// `None` where the response says nothing: nothing is guessed in its place. `wall` is when it came,
/// since the unix epoch.
pub(super) fn lifetime(directives: &Directives, response: &HeaderMap, wall: Span) -> Option<Span> {
    if let Some(given) = directives.s_maxage.or(directives.max_age) {
        return Some(Span::from_secs(u64::from(given)));
    }
    values(response, b"expires").next()?;
    // Two dates, or none, are a date in the past (RFC 9111, 4.2.1 and 5.3).
    let expires = only(response, b"expires").and_then(date).unwrap_or(Span::ZERO);
    Some(between(sent(response, wall), expires))
}

/// `corrected_initial_age` (RFC 9111, 4.2.3). `delay` is how long the upstream took to answer.
pub(super) fn initial_age(response: &HeaderMap, wall: Span, delay: Span) -> Span {
    // The first of several counts, and one that cannot be read does not (RFC 9111, 5.1).
    let given = elements(response, b"age").next().and_then(seconds).unwrap_or(0);
    let corrected = Span::from_secs(u64::from(given)) + delay;
    corrected.max(between(sent(response, wall), wall))
}

/// Without a date a response was sent when it came (RFC 9110, 6.6.1).
fn sent(response: &HeaderMap, wall: Span) -> Span {
    only(response, b"date").and_then(date).unwrap_or(wall)
}

fn date(value: &[u8]) -> Option<Span> {
    let date = SystemTime::from(str::from_utf8(value).ok()?.parse::<httpdate::HttpDate>().ok()?);
    Some(Span::from_secs(date.duration_since(UNIX_EPOCH).ok()?.as_secs()))
}

const fn between(earlier: Span, later: Span) -> Span {
    Span::from_nanos(later.as_nanos().saturating_sub(earlier.as_nanos()))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::headers;
    use super::*;

    const WALL: Span = Span::from_secs(1_700_000_000);
    const NOW: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const IN_A_MINUTE: &str = "Tue, 14 Nov 2023 22:14:20 GMT";
    const A_MINUTE_AGO: &str = "Tuesday, 14-Nov-23 22:12:20 GMT";

    #[test]
    fn the_most_telling_lifetime_counts() {
        for (given, expected) in [
            (&[][..], None),
            (&[("date", NOW)], None),
            (&[("cache-control", "max-age=5"), ("expires", IN_A_MINUTE)], Some(5)),
            (&[("cache-control", "max-age=5, s-maxage=7")], Some(7)),
            (&[("cache-control", "max-age=oops"), ("expires", IN_A_MINUTE)], Some(0)),
            (&[("expires", IN_A_MINUTE), ("date", NOW)], Some(60)),
            (&[("expires", IN_A_MINUTE), ("date", A_MINUTE_AGO)], Some(120)),
            (&[("expires", IN_A_MINUTE)], Some(60)),
            (&[("expires", IN_A_MINUTE), ("date", "today")], Some(60)),
            (&[("expires", A_MINUTE_AGO), ("date", NOW)], Some(0)),
            (&[("expires", "0")], Some(0)),
            (&[("expires", "")], Some(0)),
            (&[("expires", IN_A_MINUTE), ("expires", NOW)], Some(0)),
        ] {
            let response = headers(given);
            let lifetime = lifetime(&Directives::read(&response), &response, WALL);
            assert_eq!(lifetime, expected.map(Span::from_secs), "{given:?}");
        }
    }

    #[test]
    fn the_older_of_two_ages_counts() {
        for (given, expected) in [
            (&[][..], 2),
            (&[("age", "10")], 12),
            (&[("age", "10, 20")], 12),
            (&[("age", "old")], 2),
            (&[("age", "-1")], 2),
            (&[("age", "99999999999999")], (1 << 31) + 2),
            (&[("date", A_MINUTE_AGO)], 60),
            (&[("date", A_MINUTE_AGO), ("age", "70")], 72),
            (&[("date", IN_A_MINUTE)], 2),
        ] {
            let age = initial_age(&headers(given), WALL, Span::from_secs(2));
            assert_eq!(age, Span::from_secs(expected), "{given:?}");
        }
    }
}
