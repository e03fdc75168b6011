//! Which headers a stored response is served with.

use super::Served;
use super::headers::elements;
use crate::breaker::State;
use crate::headers::HeaderMap;

/// Why a stored response is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    CircuitOpen,
    UpstreamFailed,
}

impl Cause {
    const fn as_str(self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit-open",
            Self::UpstreamFailed => "upstream-failed",
        }
    }
}

/// A response that names more headers than this in Connection is not stored.
pub(super) const MOST_HOPS: usize = 32;

/// The headers of a response that are worth storing.
pub(super) fn kept(response: &HeaderMap) -> HeaderMap {
    let hops: Vec<_> = elements(response, b"connection").take(MOST_HOPS).collect();
    let is_named = |name: &[u8]| hops.iter().any(|named| named.eq_ignore_ascii_case(name));
    response.iter().filter(|(name, _)| !is_of_one_reply(name) && !is_named(name)).collect()
}

/// What belongs to a connection (RFC 9110, 7.6.1; RFC 9111, 3.1), to that one request, to the host,
/// or is said anew at each serving.
fn is_of_one_reply(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 14] = [
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"content-length",
        b"age",
        b"cache-status",
        b"x-request-id",
    ];
    const PREFIXES: [&[u8]; 3] = [b":", b"x-envoy-", b"x-circuit-breaker"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What tells a client that it is served from the cache (RFC 9111, 5.1; RFC 9211).
pub fn added(served: Served, cause: Cause, state: State) -> [(&'static str, String); 4] {
    let mut status = String::from("fusebox; hit; ttl=");
    status.push_str(&served.ttl.to_string());
    status.push_str("; detail=");
    status.push_str(cause.as_str());
    [
        ("age", served.age.to_string()),
        ("cache-status", status),
        ("x-circuit-breaker", state.as_str().to_owned()),
        ("x-circuit-breaker-fallback", "cache".to_owned()),
    ]
}

/// What no longer fits a body that was changed.
pub fn without_digests(headers: &HeaderMap) -> HeaderMap {
    const NAMES: [&[u8]; 5] =
        [b"etag", b"digest", b"content-digest", b"repr-digest", b"content-md5"];
    headers.iter().filter(|(name, _)| !NAMES.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{any_headers, headers};
    use super::*;

    #[test]
    fn what_belongs_to_one_reply_is_not_kept() {
        let content =
            [("content-type", "text/plain"), ("etag", "\"1\""), ("x-a", "1"), ("x-a", "")];
        let mut response = headers(&content);
        response.extend([
            (":status", "200"),
            ("connection", "close, X-Hop"),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("content-length", "4"),
            ("age", "7"),
            ("cache-status", "other; hit"),
            ("x-request-id", "1"),
            ("x-envoy-upstream-service-time", "3"),
            ("x-circuit-breaker", "open"),
            ("x-circuit-breaker-fallback", "cache"),
        ]);
        assert_eq!(kept(&response), headers(&content));
    }

    #[test]
    fn a_served_reply_says_what_it_is() {
        let stale = Served { age: 67, ttl: -7 };
        let status = |served, cause| added(served, cause, State::Open)[1].1.clone();
        assert_eq!(
            added(stale, Cause::CircuitOpen, State::HalfOpen),
            [
                ("age", "67".to_owned()),
                ("cache-status", "fusebox; hit; ttl=-7; detail=circuit-open".to_owned()),
                ("x-circuit-breaker", "half-open".to_owned()),
                ("x-circuit-breaker-fallback", "cache".to_owned()),
            ]
        );
        assert_eq!(
            status(Served { age: 1, ttl: 5 }, Cause::UpstreamFailed),
            "fusebox; hit; ttl=5; detail=upstream-failed"
        );
    }

    #[test]
    fn a_changed_body_has_no_digest() {
        let stored = headers(&[
            ("etag", "\"1\""),
            ("x-a", "1"),
            ("digest", "a"),
            ("content-digest", "a"),
            ("repr-digest", "a"),
            ("content-md5", "a"),
        ]);
        assert_eq!(without_digests(&stored), headers(&[("x-a", "1")]));
    }

    proptest! {
        #[test]
        fn nothing_is_kept_that_was_not_there(response in any_headers()) {
            let kept = kept(&response);
            prop_assert!(kept.iter().all(|header| response.iter().any(|there| there == header)));
            prop_assert_eq!(super::kept(&kept), kept);
        }
    }
}
