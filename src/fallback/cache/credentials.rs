//! Which headers of a request say who asks. A reply to a request with one of them is for nobody
//! else, unless the header is in the key or the reply says `public`.

use std::cmp::Ordering;

use super::CacheRules;
use crate::headers::HeaderMap;

/// Anywhere in a name. What authentication leaves in place of what it takes off has many names, and
/// not to know one of them would give a user's reply to others. In order, and none begins with
/// another: of those that come before a text, only the last can stand at its beginning.
const WORDS: [&str; 51] = [
    "account",
    "admin",
    "assertion",
    "auth",
    "bearer",
    "behalf",
    "caller",
    "cert",
    "claim",
    "client-id",
    "client_id",
    "clientid",
    "consumer",
    "cookie",
    "cred",
    "customer",
    "employee",
    "entitlement",
    "group",
    "hmac",
    "identit",
    "jwt",
    "key",
    "login",
    "mail",
    "member",
    "merchant",
    "msisdn",
    "oidc",
    "organi",
    "owner",
    "passp",
    "passw",
    "permission",
    "person",
    "principal",
    "role",
    "saml",
    "scope",
    "secret",
    "sess",
    "signature",
    "spiffe",
    "ssl-client",
    "subject",
    "subscri",
    "tenant",
    "tls-client",
    "token",
    "user",
    "workspace",
];

/// Whole parts of names, between hyphens: too short, or too common within other words. In order.
const PARTS: [&str; 10] =
    ["actor", "actorid", "cn", "dn", "org", "orgid", "sid", "sso", "sub", "uid"];

/// Whether a header says who asks. Its value is never kept.
pub(super) fn is_credential(rules: &CacheRules, name: &[u8]) -> bool {
    rules.credential_headers.iter().any(|known| known.as_bytes() == name) || tells_who(name)
}

fn tells_who(name: &[u8]) -> bool {
    // What every request has, what clients say of themselves, and what tells requests apart.
    if name.starts_with(b":")
        || name.ends_with(b"user-agent")
        || name.ends_with(b"idempotency-key")
        || matches!(name, b"sec-fetch-user" | b"sec-websocket-key")
    {
        return false;
    }
    (0..name.len()).any(|at| name.get(at..).is_some_and(begins_with_word))
        || name
            .split(|byte| !byte.is_ascii_alphanumeric())
            .any(|part| place_in(&PARTS, part).is_some())
}

fn begins_with_word(text: &[u8]) -> bool {
    let after = WORDS.partition_point(|word| order(word, text).is_le());
    WORDS.get(after.wrapping_sub(1)).is_some_and(|word| text.starts_with(word.as_bytes()))
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

fn place_in(list: &[&str], name: &[u8]) -> Option<usize> {
    list.binary_search_by(|known| order(known, name)).ok()
}

/// Each header of a request is looked for in each of these lists, most in vain: the first letter
/// decides most of it, without a call.
fn order(known: &str, name: &[u8]) -> Ordering {
    let known = known.as_bytes();
    known.first().cmp(&name.first()).then_with(|| known.cmp(name))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{request, rules};
    use super::*;

    #[test]
    fn what_is_searched_is_in_order() {
        assert!(WORDS.is_sorted() && PARTS.is_sorted() && TELLING.is_sorted() && KEYED.is_sorted());
        assert!(!WORDS.windows(2).any(|pair| pair[1].starts_with(pair[0])));
    }

    #[rustfmt::skip]
    const WHO_ASKS: &[&str] = &[
        "authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "apikey",
        "x-apikey", "ocp-apim-subscription-key", "x-functions-key", "x-goog-api-key",
        "x-access-token", "x-accesstoken", "accesstoken", "x-auth-token", "x-authtoken",
        "x-idtoken", "x-sessiontoken", "x-usertoken", "private-token", "x-csrftoken",
        "x-amz-security-token", "sec-user-token", "x-bearer", "x-jwt-payload", "jwt", "x-sessionid",
        "x-jsessionid", "x-phpsessid", "signature", "x-hmac", "x-hasura-admin-secret",
        "x-rapidapi-proxy-secret", "x-password", "x-passport", "sec-istio-auth-userinfo",
        "x-endpoint-api-userinfo", "x-goog-iap-jwt-assertion", "x-goog-authenticated-user-email",
        "x-goog-authuser", "x-amzn-oidc-data", "x-amzn-mtls-clientcert-leaf",
        "x-ms-client-principal-name", "x-ms-token-aad-id-token", "cf-access-jwt-assertion",
        "cf-access-authenticated-user-email", "x-pomerium-claim-email", "x-auth-request-email",
        "x-forwarded-user", "x-forwarded-preferred-username", "x-forwarded-groups",
        "x-authentik-username", "x-vouch-idp-claims", "remote-user", "remote-groups", "sm_user",
        "iv-creds", "oam_remote_user", "x-webauth-user", "x-remote-extra-scopes", "x-saml-name",
        "x-sso", "x-forwarded-client-cert", "x-forwarded-tls-client-cert-info", "client-cert",
        "ssl-client-verify", "x-ssl-client-cn", "x-ssl-client-s-dn", "x-tls-client-fingerprint",
        "x-arr-clientcert", "x-spiffe-id", "x-user", "x_user_id", "x-userid", "x-uid", "x-sub",
        "x-subject", "x-sid", "x-tenant-id", "x-tenantid", "x-account-id", "x-accountid",
        "x-accountno", "x-customer-id", "x-customerid", "x-ibm-client-id", "x-clientid",
        "x_client_id", "x-consumer-custom-id", "x-credential-identifier", "x-subscriber-id",
        "x-member-id", "x-memberid", "x-person-id", "x-employee-id", "x-merchant-id", "x-owner-id",
        "x-org-id", "x-scope-orgid", "x-organization", "openai-organization", "x-workspace-id",
        "x-group", "x-hasura-role", "x-roles", "x-scopes", "x-permissions", "x-entitlements",
        "x-admin", "x-actor", "x-actorid", "x-caller", "x-login", "x-principal", "x-identity",
        "on-behalf-of", "impersonate-group", "x-msisdn", "x-email",
    ];

    #[rustfmt::skip]
    const OF_ALL_CLIENTS_AND_PROXIES: &[&str] = &[
        ":method", ":scheme", ":authority", ":path", ":protocol", "host", "accept",
        "accept-charset", "accept-encoding", "accept-language", "access-control-request-headers",
        "access-control-request-method", "cache-control", "connection", "content-length",
        "content-type", "date", "device-memory", "dnt", "dpr", "early-data", "expect", "from",
        "if-match", "if-modified-since", "if-none-match", "if-unmodified-since", "keep-alive",
        "max-forwards", "origin", "pragma", "priority", "proxy-connection", "purpose", "referer",
        "rtt", "save-data", "service-worker", "service-worker-navigation-preload", "te", "trailer",
        "upgrade-insecure-requests", "user-agent", "via", "viewport-width", "sec-ch-ua",
        "sec-ch-ua-arch", "sec-ch-ua-form-factors", "sec-ch-ua-full-version-list",
        "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-ch-prefers-color-scheme",
        "sec-ch-viewport-width", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site",
        "sec-fetch-storage-access", "sec-fetch-user", "sec-gpc", "sec-purpose", "sec-required-csp",
        "sec-browsing-topics", "sec-speculation-tags", "sec-websocket-extensions",
        "sec-websocket-key", "sec-websocket-protocol", "sec-websocket-version", "x-requested-with",
        "x-client-data", "x-wap-profile", "x-moz", "x-http-method-override", "x-app-version",
        "x-device-type", "hx-request", "hx-current-url", "turbo-frame", "x-inertia-version",
        "next-router-state-tree", "rsc", "apollographql-client-name", "x-user-agent",
        "x-amz-user-agent", "x-stripe-client-user-agent", "x-original-user-agent",
        "x-goog-api-client", "grpc-timeout", "x-grpc-web", "connect-protocol-version",
        "amz-sdk-invocation-id", "x-stainless-runtime-version", "idempotency-key",
        "x-idempotency-key", "request-id", "x-request-id", "x-correlation-id", "x-client-trace-id",
        "x-ms-client-request-id", "traceparent", "tracestate", "baggage", "b3", "x-b3-traceid",
        "x-b3-parentspanid", "x-b3-spanid", "x-b3-sampled", "uber-trace-id",
        "x-cloud-trace-context", "x-amzn-trace-id", "x-datadog-parent-id",
        "x-datadog-sampling-priority", "x-ot-span-context", "sentry-trace", "newrelic",
        "x-newrelic-transaction", "elastic-apm-traceparent", "correlation-context", "forwarded",
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix",
        "x-forwarded-proto", "x-forwarded-scheme", "x-forwarded-server", "x-original-forwarded-for",
        "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-scheme", "x-original-host",
        "x-original-url", "x-request-start", "x-envoy-attempt-count", "x-envoy-decorator-operation",
        "x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node",
        "x-envoy-expected-rq-timeout-ms", "x-envoy-external-address", "x-envoy-force-trace",
        "x-envoy-internal", "x-envoy-ip-tags", "x-envoy-max-retries", "x-envoy-original-dst-host",
        "x-envoy-original-host", "x-envoy-original-method", "x-envoy-original-path",
        "x-envoy-peer-metadata", "x-envoy-peer-metadata-id", "x-envoy-retry-on",
        "x-envoy-upstream-alt-stat-name", "x-envoy-upstream-rq-per-try-timeout-ms",
        "x-envoy-upstream-rq-timeout-ms", "l5d-dst-canonical", "cdn-loop", "cf-connecting-ip",
        "cf-ipcountry", "cf-ray", "cf-visitor", "cf-worker", "true-client-ip", "fastly-client-ip",
        "fastly-ff", "x-varnish", "akamai-origin-hop", "x-akamai-edgescape",
        "cloudfront-viewer-country", "cloudfront-is-mobile-viewer", "x-amz-cf-id",
        "x-amzn-tls-version", "x-azure-clientip", "x-azure-fdid", "x-azure-ref", "x-fd-healthprobe",
        "x-arr-log-id", "x-appengine-country", "x-client-geo-location", "x-vercel-id",
        "x-nf-request-id", "x-subtitle", "x-scale-factor",
    ];

    #[test]
    fn names_that_say_who_asks_are_known_by_words_in_them() {
        for name in WHO_ASKS {
            let rules = CacheRules { credential_headers: vec![], ..rules() };
            assert!(is_personal(&rules, &request(&[(name, "a")])), "{name}");
        }
    }

    #[test]
    fn what_every_client_or_proxy_sends_does_not_say_who_asks() {
        for name in OF_ALL_CLIENTS_AND_PROXIES {
            assert!(!is_personal(&rules(), &request(&[(name, "a")])), "{name}");
        }
    }

    #[test]
    fn the_reference_lists_all_words_and_parts() {
        let text = include_str!("../../../docs/reference.md").split_whitespace();
        let text = text.collect::<Vec<_>>().join(" ");
        for list in [&WORDS[..], &PARTS] {
            let list = format!(": `{}`", list.join("`, `"));
            assert!(text.contains(&list), "{list}");
        }
    }

    #[test]
    fn each_word_and_part_is_known_wherever_it_stands() {
        for word in WORDS {
            for name in
                [word.to_owned(), format!("x-{word}"), format!("xx{word}xx"), format!("{word}-x")]
            {
                assert!(tells_who(name.as_bytes()), "{name}");
            }
        }
        for part in PARTS {
            for name in [part.to_owned(), format!("x-{part}"), format!("x_{part}.x")] {
                assert!(tells_who(name.as_bytes()), "{name}");
            }
            assert!(!tells_who(format!("x{part}x").as_bytes()), "{part}");
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
