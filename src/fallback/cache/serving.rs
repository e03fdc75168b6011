//! Whether a stored response may answer a request (RFC 9111, 4; RFC 5861, 4).

use super::CacheRules;
use super::coding::accepts;
use super::credentials::is_personal;
use super::storability::Terms;
use crate::headers::HeaderMap;
use crate::time::Span;

/// What a stored response is served with, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    pub age: u64,
    /// How long it is still fresh (RFC 9211, 2.4); negative once it is stale. A response that says
    /// nothing of its freshness is stale from the start.
    pub ttl: i64,
}

/// `stored` are the headers of the entry, `resident` is how long ago it was stored: `max_age` is
/// the operator's and runs from there, freshness is the upstream's and runs from where it was made.
pub fn may_serve(
    rules: &CacheRules,
    terms: &Terms,
    stored: &HeaderMap,
    request: &HeaderMap,
    resident: Span,
) -> Option<Served> {
    let age = terms.initial_age + resident;
    if resident >= rules.max_age
        || terms.oldest().is_some_and(|oldest| age >= oldest)
        // What was said to nobody in particular may not be meant for this one.
        || (is_personal(rules, request) && !terms.is_public)
        || !terms.vary.matches(request)
        || !accepts(request, stored)
    {
        return None;
    }
    let fresh = terms.lifetime.unwrap_or(Span::ZERO);
    let seconds = |span: Span| i64::try_from(span.as_nanos() / 1_000_000_000).unwrap_or(i64::MAX);
    // In step with Age, whose part of a second is cut off too; but what is stale is negative.
    let ttl = seconds(fresh).saturating_sub(seconds(age));
    let is_stale = age > fresh;
    Some(Served {
        age: age.as_nanos() / 1_000_000_000,
        ttl: if is_stale { ttl.min(-1) } else { ttl.max(0) },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{any_headers, headers, request, rules};
    use super::super::storability::{Exchange, storable};
    use super::*;

    const DAY: u64 = 86_400;

    fn terms(response: &[(&str, &str)]) -> Terms {
        let mut all = headers(&[(":status", "200")]);
        all.extend(response.iter().copied());
        let request = request(&[("x-colour", "anna")]);
        let exchange =
            Exchange { request: &request, response: &all, wall: Span::ZERO, delay: Span::ZERO };
        storable(&rules(), &exchange).unwrap()
    }

    fn served(terms: &Terms, resident: u64) -> Option<(u64, i64)> {
        let resident = Span::from_secs(resident);
        let served = may_serve(&rules(), terms, &HeaderMap::default(), &request(&[]), resident)?;
        Some((served.age, served.ttl))
    }

    #[test]
    fn is_served_until_the_sooner_of_two_ends() {
        for (response, last) in [
            (&[][..], DAY),
            (&[("cache-control", "max-age=60")], DAY),
            (&[("expires", "0")], DAY),
            (&[("cache-control", "max-age=60, stale-if-error=30")], 90),
            (&[("cache-control", "max-age=60, stale-if-error=30"), ("age", "50")], 40),
            (&[("cache-control", "max-age=60, stale-if-error=oops")], 60),
            (&[("cache-control", "stale-if-error=30")], 30),
            (&[("cache-control", "max-age=60, stale-if-error=999999999")], DAY),
            (&[("cache-control", "max-age=60, must-revalidate")], 60),
            (&[("cache-control", "max-age=60, must-revalidate, stale-if-error=30")], 60),
            (&[("cache-control", "max-age=9, s-maxage=60, stale-if-error=30")], 60),
            (&[("cache-control", "max-age=999999999, must-revalidate")], DAY),
            (&[("age", "999999999")], DAY),
        ] {
            let terms = terms(response);
            assert!(served(&terms, last - 1).is_some(), "{response:?}");
            assert_eq!(served(&terms, last), None, "{response:?}");
        }
    }

    #[test]
    fn age_and_ttl_count_from_where_the_response_was_made() {
        let terms = terms(&[("cache-control", "max-age=60"), ("age", "10")]);
        assert_eq!(served(&terms, 0), Some((10, 50)));
        assert_eq!(served(&terms, 50), Some((60, 0)));
        assert_eq!(served(&terms, 57), Some((67, -7)));
    }

    #[test]
    fn a_response_without_freshness_is_stale_from_the_start() {
        let terms = terms(&[]);
        assert_eq!(served(&terms, 7), Some((7, -7)));
        let soon =
            may_serve(&rules(), &terms, &HeaderMap::default(), &request(&[]), Span::from_millis(1));
        assert_eq!(soon, Some(Served { age: 0, ttl: -1 }));
    }

    #[test]
    fn what_was_said_to_nobody_in_particular_is_not_said_to_a_user_unless_it_is_public() {
        let user = request(&[("authorization", "anna")]);
        let is_served = |terms: &Terms| {
            may_serve(&rules(), terms, &HeaderMap::default(), &user, Span::ZERO).is_some()
        };
        assert!(!is_served(&terms(&[])));
        assert!(is_served(&terms(&[("cache-control", "public")])));
    }

    #[test]
    fn is_served_only_to_requests_that_vary_names_as_the_same() {
        let terms = terms(&[("vary", "x-colour")]);
        let served = |user| {
            may_serve(
                &rules(),
                &terms,
                &HeaderMap::default(),
                &request(&[("x-colour", user)]),
                Span::ZERO,
            )
            .is_some()
        };
        assert!(served("anna") && !served("ben"));
        assert_eq!(
            may_serve(&rules(), &terms, &HeaderMap::default(), &request(&[]), Span::ZERO),
            None
        );
    }

    #[test]
    fn a_coding_is_served_only_to_who_accepts_it() {
        let stored = headers(&[("content-encoding", "gzip")]);
        let served = |more: &[(&str, &str)]| {
            may_serve(&rules(), &terms(&[]), &stored, &request(more), Span::ZERO).is_some()
        };
        assert!(served(&[("accept-encoding", "br, gzip")]) && !served(&[]));
    }

    proptest! {
        #[test]
        fn any_request_is_served_or_not(
            request in any_headers(), stored in any_headers(), [a, b, c, d]: [u64; 4], never_stale: bool,
        ) {
            let terms = Terms {
                lifetime: Some(Span::from_nanos(a)),
                stale_if_error: Some(Span::from_nanos(b)),
                never_stale,
                initial_age: Span::from_nanos(c),
                ..terms(&[])
            };
            let rules = CacheRules { max_age: Span::from_nanos(u64::MAX), ..rules() };
            let served = may_serve(&rules, &terms, &stored, &request, Span::from_nanos(d));
            prop_assert!(!never_stale || served.is_none_or(|served| served.ttl >= 0));
        }
    }
}
