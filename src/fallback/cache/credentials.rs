//! Which headers of a request say who asks. A reply to a request with one of them is for nobody
//! else, unless the header is in the key or the reply says `public`.

use super::CacheRules;
use crate::headers::HeaderMap;

/// Parts of names, between hyphens, in order. What authentication leaves in place of what it takes off has
/// many names, and not to know one of them would give a user's reply to others.
const PARTS: [&str; 50] = [
    "account",
    "apikey",
    "assertion",
    "auth",
    "authenticated",
    "authentication",
    "authorization",
    "cert",
    "certificate",
    "claim",
    "claims",
    "clientcert",
    "consumer",
    "cookie",
    "credential",
    "credentials",
    "customer",
    "dn",
    "email",
    "group",
    "groups",
    "identity",
    "impersonate",
    "jwt",
    "key",
    "login",
    "member",
    "oidc",
    "org",
    "organisation",
    "organization",
    "orgid",
    "password",
    "principal",
    "role",
    "roles",
    "secret",
    "session",
    "sessionid",
    "sid",
    "sub",
    "subject",
    "tenant",
    "token",
    "uid",
    "user",
    "userid",
    "userinfo",
    "username",
    "workspace",
];

/// Whether a header says who asks. Its value is never kept.
pub(super) fn is_credential(rules: &CacheRules, name: &[u8]) -> bool {
    rules.credential_headers.iter().any(|known| known.as_bytes() == name) || tells_who(name)
}

fn tells_who(name: &[u8]) -> bool {
    // What browsers say of themselves, and what tells requests apart, not who sends them.
    if name.ends_with(b"user-agent")
        || name.starts_with(b"sec-")
        || name.ends_with(b"idempotency-key")
    {
        return false;
    }
    name.split(|&byte| matches!(byte, b'-' | b'_')).any(|part| place_in(&PARTS, part).is_some())
        || has_client_id(name)
}

fn has_client_id(name: &[u8]) -> bool {
    const ID: &[u8] = b"client-id";
    name.windows(ID.len()).any(|window| window.first() == ID.first() && window == ID)
}

/// Whether a request says who asks, by what is not in its key.
pub fn is_personal(rules: &CacheRules, request: &HeaderMap) -> bool {
    let is_keyed = |name: &[u8]| {
        (rules.per_authorization && name == b"authorization")
            || rules.vary_on.iter().any(|keyed| keyed.as_bytes() == name)
    };
    request.iter().any(|(name, _)| is_credential(rules, name) && !is_keyed(name))
}

/// What is asked for elsewhere than in the path: by these, and by a part of the whole. In order.
const TELLING: [&str; 13] = [
    "forwarded",
    "range",
    "upgrade",
    "x-envoy-original-dst-host",
    "x-forwarded-host",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];

/// What upstreams make addresses of, or take for a part of the question: part of every key, since
/// proxies that a request has come through add some of these to all. In order.
const KEYED: [&str; 13] = [
    "front-end-https",
    "soapaction",
    "x-amz-target",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-scheme",
    "x-url-scheme",
];

/// Whether a request asks for another thing than its path says, or for a part of it, by what is not
/// in its key: what it gets may not be kept for others.
pub(super) fn is_diverted(rules: &CacheRules, request: &HeaderMap) -> bool {
    request.iter().any(|(name, _)| {
        place_in(&TELLING, name).is_some()
            && !rules.vary_on.iter().any(|keyed| keyed.as_bytes() == name)
    })
}

/// Where in the list of those that are part of every key a header has its place.
pub(super) fn keyed_place(name: &[u8]) -> Option<u8> {
    place_in(&KEYED, name).and_then(|place| u8::try_from(place).ok())
}

/// Each header of a request is looked for in each of these lists, most in vain.
fn place_in(list: &[&str], name: &[u8]) -> Option<usize> {
    // The first letter decides most of it, without a call.
    let compare = |known: &&str| {
        let known = known.as_bytes();
        known.first().cmp(&name.first()).then_with(|| known.cmp(name))
    };
    list.binary_search_by(compare).ok()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{request, rules};
    use super::*;

    #[test]
    fn what_is_searched_is_in_order() {
        assert!(PARTS.is_sorted() && TELLING.is_sorted() && KEYED.is_sorted());
    }

    #[test]
    fn names_that_say_who_asks_are_known_by_their_parts() {
        for name in [
            "authorization",
            "cookie",
            "proxy-authorization",
            "x-api-key",
            "api-key",
            "x-auth-request-email",
            "x-jwt-payload",
            "x-goog-iap-jwt-assertion",
            "x-amzn-oidc-data",
            "x-user",
            "x_user_id",
            "x-forwarded-client-cert",
            "private-token",
            "x-tenant-id",
            "x-scope-orgid",
            "x-consumer-custom-id",
            "ocp-apim-subscription-key",
            "client-cert",
            "x-ssl-client-s-dn",
            "x-endpoint-api-userinfo",
            "impersonate-group",
            "x-hasura-role",
            "x-ibm-client-id",
        ] {
            assert!(is_personal(&rules(), &request(&[(name, "a")])), "{name}");
        }
    }

    #[test]
    fn what_every_client_sends_does_not_say_who_asks() {
        for name in [
            "user-agent",
            "x-amz-user-agent",
            "sec-fetch-user",
            "idempotency-key",
            "x-b3-traceid",
            "x-envoy-peer-metadata",
            "cf-connecting-ip",
            "x-client-data",
            "x-wap-profile",
            "accept-language",
            "x-request-id",
            "x-forwarded-for",
            "traceparent",
            "x-amzn-trace-id",
            "if-none-match",
            "x-subtitle",
        ] {
            assert!(!is_personal(&rules(), &request(&[(name, "a")])), "{name}");
        }
    }

    #[test]
    fn the_operator_adds_names_and_puts_them_into_the_key() {
        let secret = request(&[("x-badge", "a")]);
        assert!(!is_personal(&rules(), &secret));
        let named = CacheRules { credential_headers: vec!["x-badge".to_owned()], ..rules() };
        assert!(is_personal(&named, &secret));
        let keyed = CacheRules { vary_on: vec!["x-badge".to_owned()], ..named };
        assert!(!is_personal(&keyed, &secret));
    }
}
