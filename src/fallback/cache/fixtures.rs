//! What the tests of these rules have in common.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::CacheRules;
use crate::headers::HeaderMap;
use crate::time::Span;

/// The defaults of a policy.
pub(super) fn rules() -> CacheRules {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    CacheRules {
        methods: names(&["GET", "HEAD"]),
        statuses: vec![200],
        max_age: Span::from_secs(86_400),
        max_body_bytes: 256 << 10,
        refresh_after: Span::from_secs(1),
        vary_on: vec![],
        per_authorization: false,
        credential_headers: names(&["x-api-key", "x-forwarded-client-cert"]),
        request_body: false,
        body_wait: Span::from_secs(1),
        obey_cache_control: true,
        annotate_json: vec![],
    }
}

pub(super) fn headers(given: &[(&str, &str)]) -> HeaderMap {
    given.iter().copied().collect()
}

/// All but those of this name.
pub(super) fn without(headers: &HeaderMap, name: &str) -> HeaderMap {
    headers.iter().filter(|(known, _)| *known != name.as_bytes()).collect()
}

/// A request for `https://example.com/a?b`, with more headers.
pub(super) fn request(more: &[(&str, &str)]) -> HeaderMap {
    let mut request = headers(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "example.com"),
        (":path", "/a?b"),
    ]);
    request.extend(more.iter().copied());
    request
}

/// Names that mean something here, with values that look right, nearly right, or like nothing.
pub(super) fn any_headers() -> impl Strategy<Value = HeaderMap> {
    let name = select(vec![
        ":method",
        ":scheme",
        ":authority",
        ":path",
        ":status",
        "accept-encoding",
        "age",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-type",
        "cookie",
        "date",
        "expires",
        "range",
        "set-cookie",
        "vary",
        "x-api-key",
        "x-user",
    ]);
    let telling = select(vec![
        "",
        "*",
        "200",
        "GET",
        "https",
        "a",
        "a:443",
        "gzip;q=0.5, br",
        "max-age=60",
        "no-store",
        "private=\"a, b\"",
        "max-age=\"1\\",
        "public,,stale-if-error=99999999999999",
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "x-user, accept-encoding",
        "application/json",
    ]);
    let value =
        prop_oneof![telling.prop_map(|text| text.as_bytes().to_vec()), vec(any::<u8>(), 0..40)];
    vec((name, value), 0..12).prop_map(|headers| headers.into_iter().collect())
}
