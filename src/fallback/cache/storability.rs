//! Whether a response may be stored (RFC 9111, 3), and what is remembered of how it may be served.

use super::CacheRules;
use super::credentials::is_personal;
use super::directives::Directives;
use super::freshness::{initial_age, lifetime};
use super::headers::{elements, only};
use super::key::is_stored;
use super::replay::MOST_HOPS;
use super::vary::Vary;
use crate::headers::HeaderMap;
use crate::time::Span;

/// A request and its response.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// As they were when the key was taken.
    pub request: &'a HeaderMap,
    pub response: &'a HeaderMap,
    /// When the response came, since the unix epoch.
    pub wall: Span,
    /// How long after the request it came.
    pub delay: Span,
}

/// What an entry remembers of the response, to be served by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long it is fresh, where it says so and that counts.
    pub lifetime: Option<Span>,
    pub stale_if_error: Option<Span>,
    /// Served while it is fresh, and no longer.
    pub never_stale: bool,
    /// Whether it is for anybody, whoever asked.
    pub is_public: bool,
    /// How old it was when it came.
    pub initial_age: Span,
    pub vary: Vary,
}

impl Terms {
    /// Past this age it is not served, whatever `max_age` says. A response that says nothing of its
    /// freshness is stale from the start.
    pub(super) fn oldest(&self) -> Option<Span> {
        let fresh = self.lifetime.unwrap_or(Span::ZERO);
        if self.never_stale {
            return Some(fresh);
        }
        self.stale_if_error.map(|more| fresh + more)
    }
}

/// `None` where it may not, or where it could never be served.
pub fn storable(rules: &CacheRules, exchange: &Exchange<'_>) -> Option<Terms> {
    let Exchange { request, response, wall, delay } = *exchange;
    let directives = Directives::read(response);
    let status = status(response).filter(|status| rules.statuses.contains(status))?;
    if !allows_storing(rules, request)
        || response.has(b"set-cookie")
        // Another fusebox's answer in place of an upstream that is down.
        || response.has(b"x-circuit-breaker")
        || !can_be_replayed(response)
        || (is_personal(rules, request) && !is_public(&directives))
    {
        return None;
    }
    let mut terms = Terms {
        lifetime: None,
        stale_if_error: None,
        never_stale: false,
        is_public: is_public(&directives),
        initial_age: initial_age(response, wall, delay),
        vary: Vary::new(request, response)?,
    };
    if rules.obey_cache_control {
        if is_forbidden(status, &directives) {
            return None;
        }
        terms.lifetime = lifetime(&directives, response, wall);
        terms.stale_if_error =
            directives.stale_if_error.map(|given| Span::from_secs(u64::from(given)));
        // RFC 9111, 4.2.4 and 5.2.2.10.
        terms.never_stale = directives.must_revalidate || directives.s_maxage.is_some();
    }
    terms.oldest().is_none_or(|oldest| terms.initial_age < oldest).then_some(terms)
}

/// Whether a response to this request may be stored, by what the request is.
pub fn allows_storing(rules: &CacheRules, request: &HeaderMap) -> bool {
    only(request, b":method").is_some_and(|method| is_stored(rules, method))
        && !(rules.obey_cache_control && Directives::read(request).no_store)
}

/// A part, and an answer to a condition, are no answers to anyone else (RFC 9111, 3).
fn status(response: &HeaderMap) -> Option<u16> {
    let status: u16 = str::from_utf8(only(response, b":status")?).ok()?.parse().ok()?;
    (status >= 200 && !matches!(status, 206 | 304)).then_some(status)
}

/// Whether it is for anybody. Stricter than RFC 9111, 3.5, which takes `must-revalidate` and
/// `s-maxage` for `public`: they say how long a response holds, and many servers send them with a
/// user's own.
const fn is_public(directives: &Directives) -> bool {
    directives.public && !directives.private && !directives.no_store
}

/// Whether what made a response storable also holds for the request as the upstream got it: what
/// filters and routes after this one add may say who asks, or change what the response varies on.
pub fn holds_upstream(rules: &CacheRules, terms: &Terms, request: &HeaderMap) -> bool {
    (terms.is_public || !is_personal(rules, request)) && terms.vary.matches(request)
}

/// Replies of more headers than this lose some at the host's limit.
const MOST_HEADERS: usize = 256;

/// All of its headers, or none of them: one that was left out may have been there for safety.
fn can_be_replayed(response: &HeaderMap) -> bool {
    response.count() <= MOST_HEADERS
        && elements(response, b"connection").nth(MOST_HOPS).is_none()
        && response.iter().all(|(_, value)| str::from_utf8(value).is_ok())
}

fn is_forbidden(status: u16, directives: &Directives) -> bool {
    // RFC 9110, 15.1, but for parts.
    const UNDERSTOOD: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];
    directives.no_store
        || directives.private
        // Even while fresh it would have to be validated (RFC 9111, 5.2.2.4): there is nobody to.
        || directives.no_cache
        || (directives.must_understand && !UNDERSTOOD.contains(&status))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{any_headers, headers, request, rules};
    use super::*;

    const WALL: Span = Span::from_secs(1_700_000_000);

    fn stored(
        rules: &CacheRules,
        request: &HeaderMap,
        status: &str,
        response: &[(&str, &str)],
    ) -> Option<Terms> {
        let mut all = headers(&[(":status", status)]);
        all.extend(response.iter().copied());
        storable(rules, &Exchange { request, response: &all, wall: WALL, delay: Span::ZERO })
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn lax() -> CacheRules {
        CacheRules { obey_cache_control: false, ..rules() }
    }

    const CACHE_CONTROL: &str = "cache-control";

    #[test]
    fn an_ordinary_response_is_stored() {
        for response in [
            &[][..],
            &[("cache-control", "max-age=60")],
            &[("cache-control", "max-age=0")],
            &[("cache-control", "max-age=60, must-revalidate")],
            &[("cache-control", "must-understand")],
            &[("expires", "0")],
            &[("vary", "accept-encoding")],
        ] {
            assert!(stored(&rules(), &request(&[]), "200", response).is_some(), "{response:?}");
        }
    }

    #[test]
    fn what_a_response_forbids_is_obeyed_where_that_is_the_rule() {
        for value in [
            "no-store",
            "private",
            "private=\"x\"",
            "no-cache",
            "no-cache=\"x\"",
            "public, no-store",
            "must-understand, no-store",
            "must-revalidate",
            "max-age=0, must-revalidate",
            "max-age=0, proxy-revalidate",
            "s-maxage=0",
            "stale-if-error=0",
            "max-age=0, stale-if-error=0",
            "max-age=0; no-store",
        ] {
            let of = |rules| stored(&rules, &request(&[]), "200", &[(CACHE_CONTROL, value)]);
            assert_eq!(of(rules()), None, "{value}");
            assert!(of(lax()).is_some(), "{value}");
        }
    }

    #[test]
    fn some_responses_are_never_stored() {
        for rules in [rules(), lax()] {
            for response in [("set-cookie", "a=b"), ("vary", "*"), ("vary", "a b")] {
                assert_eq!(stored(&rules, &request(&[]), "200", &[response]), None, "{response:?}");
            }
            let statuses = vec![100, 200, 206, 304, 404];
            let rules = CacheRules { statuses, ..rules };
            for status in ["100", "201", "206", "304", "500", "", "2OO", "99999"] {
                assert_eq!(stored(&rules, &request(&[]), status, &[]), None, "{status}");
            }
            assert!(stored(&rules, &request(&[]), "404", &[]).is_some());
        }
    }

    #[test]
    fn another_circuit_breakers_answer_is_not_stored() {
        let rejected = ("x-circuit-breaker", "open");
        assert_eq!(stored(&rules(), &request(&[]), "200", &[rejected]), None);
    }

    #[test]
    fn what_would_lose_a_header_when_it_is_replayed_is_not_stored() {
        let is_stored = |response: &HeaderMap| {
            let request = request(&[]);
            let exchange = Exchange { request: &request, response, wall: WALL, delay: Span::ZERO };
            storable(&rules(), &exchange).is_some()
        };
        let mut many = headers(&[(":status", "200")]);
        many.extend((1..MOST_HEADERS).map(|_| ("a", "b")));
        assert!(is_stored(&many));
        many.push("a", "b");
        assert!(!is_stored(&many));
        let hops = |count| {
            let hops = vec!["a"; count].join(",");
            headers(&[(":status", "200"), ("connection", &hops)])
        };
        assert!(is_stored(&hops(MOST_HOPS)) && !is_stored(&hops(MOST_HOPS + 1)));
        let mut no_text = headers(&[(":status", "200")]);
        no_text.push("a", b"\xff");
        assert!(!is_stored(&no_text));
    }

    #[test]
    fn what_filters_add_for_the_upstream_may_make_a_response_personal_or_another() {
        let terms = |value| {
            let given = [(CACHE_CONTROL, value), ("vary", "x-colour")];
            stored(&rules(), &request(&[]), "200", &given).unwrap()
        };
        let holds = |value, added| holds_upstream(&rules(), &terms(value), &request(added));
        assert!(holds("", &[]) && holds("public", &[]));
        assert!(!holds("", &[("authorization", "a")]));
        assert!(holds("public", &[("authorization", "a")]));
        assert!(!holds("public", &[("x-colour", "red")]));
    }

    #[test]
    fn a_status_that_must_be_understood_is_not_stored_unless_it_is() {
        let rules = CacheRules { statuses: vec![299], ..rules() };
        let stored = |given| stored(&rules, &request(&[]), "299", given);
        assert_eq!(stored(&[(CACHE_CONTROL, "must-understand")]), None);
        assert!(stored(&[]).is_some());
    }

    #[test]
    fn credentials_block_storing_unless_keyed_or_public() {
        let keyed = |name: &str| CacheRules { vary_on: names(&[name]), ..rules() };
        let mine = CacheRules { per_authorization: true, ..rules() };
        for name in ["authorization", "cookie", "x-api-key", "x-forwarded-client-cert"] {
            let request = request(&[(name, "a")]);
            let of = |rules: &CacheRules, value| {
                stored(rules, &request, "200", &[(CACHE_CONTROL, value)]).is_some()
            };
            for value in ["", "max-age=9", "s-maxage=9", "max-age=9, must-revalidate"] {
                assert!(!of(&rules(), value) && !of(&lax(), value), "{name}: {value}");
            }
            assert!(of(&rules(), "public"), "{name}");
            assert!(of(&lax(), "public"), "{name}");
            assert!(!of(&lax(), "public, private"), "{name}");
            assert!(of(&keyed(name), ""), "{name}");
            assert!(!of(&keyed("x-other"), ""), "{name}");
            assert_eq!(of(&mine, ""), name == "authorization", "{name}");
        }
    }

    #[test]
    fn one_keyed_credential_does_not_lift_another() {
        let rules = CacheRules { per_authorization: true, ..rules() };
        let both = request(&[("authorization", "a"), ("cookie", "b")]);
        assert_eq!(stored(&rules, &both, "200", &[]), None);
    }

    #[test]
    fn of_a_request_only_no_store_counts() {
        let of = |rules, value| {
            stored(&rules, &request(&[(CACHE_CONTROL, value)]), "200", &[]).is_some()
        };
        assert!(!of(rules(), "no-store"));
        assert!(of(lax(), "no-store"));
        for value in ["no-cache", "max-age=0", "private", "only-if-cached", "min-fresh=9"] {
            assert!(of(rules(), value), "{value}");
        }
    }

    #[test]
    fn head_is_not_stored_and_post_only_with_its_body_in_the_key() {
        let request = |method| headers(&[(":method", method)]);
        let methods = names(&["GET", "HEAD", "POST"]);
        let rules = CacheRules { methods, request_body: true, ..rules() };
        assert_eq!(stored(&rules, &request("HEAD"), "200", &[]), None);
        assert_eq!(stored(&rules, &request("PUT"), "200", &[]), None);
        assert!(stored(&rules, &request("POST"), "200", &[]).is_some());
        let without = CacheRules { request_body: false, ..rules };
        assert_eq!(stored(&without, &request("POST"), "200", &[]), None);
        assert!(stored(&without, &request("GET"), "200", &[]).is_some());
    }

    #[test]
    fn terms_say_what_the_response_said() {
        let given = [(CACHE_CONTROL, "max-age=60, stale-if-error=30"), ("age", "5")];
        let terms = stored(&rules(), &request(&[]), "200", &given).unwrap();
        assert_eq!(terms.lifetime, Some(Span::from_secs(60)));
        assert_eq!(terms.stale_if_error, Some(Span::from_secs(30)));
        assert_eq!((terms.never_stale, terms.initial_age), (false, Span::from_secs(5)));
        for (value, never_stale) in [
            ("max-age=9, must-revalidate", true),
            ("max-age=9, proxy-revalidate", true),
            ("s-maxage=9", true),
            ("max-age=9", false),
        ] {
            let terms = stored(&rules(), &request(&[]), "200", &[(CACHE_CONTROL, value)]);
            assert_eq!(terms.unwrap().never_stale, never_stale, "{value}");
        }
        let terms = stored(&lax(), &request(&[]), "200", &given).unwrap();
        assert_eq!((terms.lifetime, terms.stale_if_error), (None, None));
    }

    proptest! {
        #[test]
        fn any_headers_are_stored_or_not(request in any_headers(), response in any_headers()) {
            let exchange = Exchange { request: &request, response: &response, wall: WALL, delay: WALL };
            for rules in [rules(), lax()] {
                if let Some(terms) = storable(&rules, &exchange) {
                    prop_assert!(!response.has(b"set-cookie"));
                    prop_assert!(terms.vary.matches(&request));
                }
            }
        }
    }
}
