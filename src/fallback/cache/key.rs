//! Which requests are the same to the cache.
//!
//! Everything is taken at request headers: later filters rewrite paths and remove credentials. Each
//! part is preceded by its length, and the rules that shape a key are part of it, so that different
//! requests never have the same bytes, not even across a change of the configuration.

use std::hash::Hasher;

use super::CacheRules;
use super::credentials::{is_credential, is_diverted, keyed_place};
use super::digest::{Digest, digest_of};
use super::headers::{only, values};
use crate::headers::HeaderMap;

/// Longer keys are not worth their place.
const LONGEST: usize = 8 << 10;

/// What the bytes of a body mean (RFC 9110, 8.3 and 8.4).
const MEANING: [&[u8]; 2] = [b"content-type", b"content-encoding"];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub bytes: Vec<u8>,
    /// Where to look; that it is the same key, only the bytes say.
    pub hash: u64,
}

impl Key {
    pub fn new(bytes: Vec<u8>) -> Self {
        let mut hasher = fnv::FnvHasher::default();
        hasher.write(&bytes);
        Self { hash: hasher.finish(), bytes }
    }
}

/// A key as request headers tell it, which may lack the digest of the request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    bytes: Vec<u8>,
    wants_body: bool,
}

impl Draft {
    /// `None` for a request that is neither stored nor served from the cache. `has_body` says
    /// whether more than headers comes: a request whose body is not in its key must not have one.
    pub(super) fn new(
        rules: &CacheRules,
        circuit: &str,
        request: &HeaderMap,
        has_body: bool,
    ) -> Option<Self> {
        let method = match only(request, b":method")? {
            b"HEAD" => b"GET",
            method => method,
        };
        if !is_stored(rules, method)
            || (has_body && !rules.request_body)
            || is_diverted(rules, request)
        {
            return None;
        }
        let scheme = only(request, b":scheme")?.to_ascii_lowercase();
        let authority = authority(&scheme, only(request, b":authority")?)?;
        let path = only(request, b":path").filter(|path| !path.is_empty())?;
        let mut draft = Self { bytes: Vec::with_capacity(256), wants_body: rules.request_body };
        draft.bytes.extend([
            u8::from(rules.per_authorization),
            u8::from(rules.request_body),
            u8::from(rules.obey_cache_control),
        ]);
        // A reply that was stored for anybody by laxer rules is not for anybody by these.
        draft.bytes.extend(fingerprint(&rules.credential_headers).to_le_bytes());
        for part in [circuit.as_bytes(), method, &scheme, &authority, path] {
            draft.part(part)?;
        }
        let mut keyed: Vec<(u8, &[u8])> = Vec::new();
        for (name, value) in request.iter() {
            if let Some(place) = keyed_place(name) {
                // Values of one header stay as they come.
                let at = keyed.partition_point(|(before, _)| *before <= place);
                keyed.insert(at, (place, value.trim_ascii()));
            }
        }
        for (place, value) in keyed {
            draft.bytes.push(place + 1);
            draft.part(value)?;
        }
        draft.bytes.push(0);
        if rules.per_authorization {
            draft.bytes.extend(digest_of([&b"authorization"[..]].into_iter(), request));
        }
        for name in &rules.vary_on {
            draft.bytes.push(1);
            draft.part(name.as_bytes())?;
            if is_credential(rules, name.as_bytes()) {
                draft.bytes.extend(digest_of([name.as_bytes()].into_iter(), request));
                continue;
            }
            for value in values(request, name.as_bytes()) {
                draft.bytes.push(1);
                draft.part(value)?;
            }
            draft.bytes.push(0);
        }
        draft.bytes.push(0);
        if rules.request_body {
            draft.bytes.extend(digest_of(MEANING.into_iter(), request));
        }
        Some(draft)
    }

    pub(super) const fn wants_body(&self) -> bool {
        self.wants_body
    }

    /// `None` where the body is wanted and its digest is not given.
    pub(super) fn key(mut self, body: Option<&Digest>) -> Option<Key> {
        if self.wants_body {
            self.bytes.extend(body?);
        }
        Some(Key::new(self.bytes))
    }

    fn part(&mut self, part: &[u8]) -> Option<()> {
        let length = u16::try_from(part.len()).ok()?;
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(part);
        (self.bytes.len() <= LONGEST).then_some(())
    }
}

fn fingerprint(names: &[String]) -> u64 {
    let mut hasher = fnv::FnvHasher::default();
    for name in names {
        hasher.write(name.as_bytes());
        hasher.write_u8(0);
    }
    hasher.finish()
}

/// Whether responses to this method are stored. HEAD has no body to store.
pub(super) fn is_stored(rules: &CacheRules, method: &[u8]) -> bool {
    method != b"HEAD"
        && rules.methods.iter().any(|listed| listed.as_bytes() == method)
        // What other methods ask for stands in their body.
        && (method == b"GET" || rules.request_body)
}

/// As RFC 3986, 6.2.2.1 and 6.2.3 normalise it.
fn authority(scheme: &[u8], given: &[u8]) -> Option<Vec<u8>> {
    let default_port: &[u8] = match scheme {
        b"http" => b":80",
        b"https" => b":443",
        _ => b":",
    };
    let host = given.strip_suffix(default_port).or_else(|| given.strip_suffix(b":"));
    let host = host.unwrap_or(given).to_ascii_lowercase();
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{any_headers, request, rules, without};
    use super::*;
    use crate::headers::HeaderMap;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn key_of(rules: &CacheRules, request: &HeaderMap) -> Option<Key> {
        Draft::new(rules, "up", request, false)?.key(Some(&[7; 32]))
    }

    fn set(name: &str, value: &str) -> HeaderMap {
        let mut request = without(&request(&[]), name);
        request.push(name, value);
        request
    }

    #[test]
    fn each_part_of_a_request_counts() {
        let rules = rules();
        let key = key_of(&rules, &request(&[])).unwrap();
        for (name, value) in [
            (":scheme", "http"),
            (":authority", "example.org"),
            (":authority", "example.com:8443"),
            (":authority", "example.com:80"),
            (":path", "/a"),
            (":path", "/a?B"),
            ("front-end-https", "on"),
            ("x-forwarded-proto", "http"),
            ("x-url-scheme", "http"),
        ] {
            let other = key_of(&rules, &set(name, value)).unwrap();
            assert_ne!(other.bytes, key.bytes, "{name}: {value}");
        }
        let elsewhere = Draft::new(&rules, "down", &request(&[]), false).unwrap().key(None);
        assert_ne!(elsewhere.unwrap(), key);
    }

    #[test]
    fn what_does_not_change_the_resource_does_not_count() {
        let key = key_of(&rules(), &request(&[])).unwrap();
        for (name, value) in [
            (":method", "HEAD"),
            (":scheme", "HTTPS"),
            (":authority", "Example.COM"),
            (":authority", "example.com:443"),
            (":authority", "example.com:"),
            ("cache-control", "no-cache"),
            ("authorization", "Bearer a"),
        ] {
            assert_eq!(key_of(&rules(), &set(name, value)).unwrap(), key, "{name}: {value}");
        }
        let http = |authority| {
            let mut request = without(&set(":scheme", "http"), ":authority");
            request.push(":authority", authority);
            key_of(&rules(), &request).unwrap()
        };
        assert_eq!(http("example.com:80"), http("example.com"));
        assert_ne!(http("example.com:443"), http("example.com"));
    }

    #[test]
    fn some_requests_take_no_part() {
        let mut twice = request(&[]);
        twice.push(":path", "/b");
        assert_eq!(key_of(&rules(), &twice), None);
        for (name, value) in [
            (":method", "POST"),
            (":method", "get"),
            (":authority", ""),
            (":authority", ":443"),
            (":path", ""),
            ("range", "bytes=0-1"),
            ("x-forwarded-host", "a"),
            ("x-original-url", "/b"),
            ("x-rewrite-url", "/b"),
            ("x-http-method-override", "DELETE"),
            (":path", &"/".repeat(9_000)),
            (":path", &"/".repeat(2_000_000)),
        ] {
            assert_eq!(key_of(&rules(), &set(name, value)), None, "{name}");
        }
        for missing in [":method", ":scheme", ":authority", ":path"] {
            let request = without(&request(&[]), missing);
            assert_eq!(key_of(&rules(), &request), None, "{missing}");
        }
        assert_eq!(Draft::new(&rules(), "up", &request(&[]), true), None, "a body");
    }

    #[test]
    fn head_is_served_where_get_is_stored() {
        let rules = |methods| CacheRules { methods: names(methods), ..rules() };
        let head = set(":method", "HEAD");
        assert!(key_of(&rules(&["GET"]), &head).is_some());
        assert_eq!(key_of(&rules(&["HEAD"]), &head), None);
    }

    #[test]
    fn a_header_of_vary_on_counts_and_lifts_what_it_blocks() {
        let rules = CacheRules { vary_on: names(&["x-forwarded-host", "x-b"]), ..rules() };
        let keys = [
            &[][..],
            &[("x-b", "")],
            &[("x-b", "1")],
            &[("x-b", "1"), ("x-b", "2")],
            &[("x-b", "1,2")],
            &[("x-forwarded-host", "1")],
            &[("x-forwarded-host", "2")],
        ]
        .map(|more| key_of(&rules, &request(more)).unwrap().bytes);
        for (at, one) in keys.iter().enumerate() {
            assert!(!keys[at + 1..].contains(one), "{at}");
        }
        assert_eq!(key_of(&rules, &request(&[("x-b", " 1 ")])).unwrap().bytes, keys[2]);
        let other = CacheRules { vary_on: names(&["x-b"]), ..rules };
        assert_eq!(key_of(&other, &request(&[("x-forwarded-host", "1")])), None);
    }

    #[test]
    fn credentials_tell_users_apart_and_are_not_kept() {
        let keyed = [
            (CacheRules { per_authorization: true, ..rules() }, "authorization"),
            (CacheRules { vary_on: names(&["authorization"]), ..rules() }, "authorization"),
            (CacheRules { vary_on: names(&["cookie"]), ..rules() }, "cookie"),
            (CacheRules { vary_on: names(&["x-api-key"]), ..rules() }, "x-api-key"),
        ];
        for (rules, name) in keyed {
            let key = |more: &[(&str, &str)]| key_of(&rules, &request(more)).unwrap();
            let (anna, ben) = (key(&[(name, "secret-a")]), key(&[(name, "secret-b")]));
            assert_ne!(anna, ben);
            assert_ne!(anna, key(&[]));
            assert!(!anna.bytes.windows(6).any(|bytes| bytes == b"secret"), "{name}");
        }
    }

    #[test]
    fn a_body_in_the_key_is_never_left_out() {
        let rules = CacheRules { methods: names(&["GET", "POST"]), request_body: true, ..rules() };
        let draft = Draft::new(&rules, "up", &set(":method", "POST"), true).unwrap();
        assert!(draft.wants_body());
        assert_eq!(draft.clone().key(None), None);
        let key = |body| draft.clone().key(Some(&body)).unwrap();
        assert_ne!(key([0; 32]), key([1; 32]));
        let without = CacheRules { request_body: false, ..rules };
        assert_eq!(Draft::new(&without, "up", &set(":method", "POST"), false), None);
        assert!(!Draft::new(&without, "up", &request(&[]), false).unwrap().wants_body());
    }

    #[test]
    fn other_rules_have_other_keys() {
        let key = |rules: CacheRules| key_of(&rules, &request(&[("a", "1"), ("b", "1")])).unwrap();
        let keys = [
            key(rules()),
            key(CacheRules { obey_cache_control: false, ..rules() }),
            key(CacheRules { request_body: true, ..rules() }),
            key(CacheRules { per_authorization: true, ..rules() }),
            key(CacheRules { vary_on: names(&["a"]), ..rules() }),
            key(CacheRules { vary_on: names(&["b"]), ..rules() }),
            key(CacheRules { credential_headers: names(&["a"]), ..rules() }),
            key(CacheRules { credential_headers: names(&["a", "b"]), ..rules() }),
            key(CacheRules { credential_headers: names(&["ab"]), ..rules() }),
        ];
        for (at, one) in keys.iter().enumerate() {
            assert!(!keys[at + 1..].contains(one), "{at}");
        }
    }

    /// What a key stands for, compared part by part.
    fn parts(
        rules: &CacheRules,
        circuit: &str,
        request: &HeaderMap,
    ) -> (String, Vec<Vec<Vec<u8>>>) {
        let method = only(request, b":method").unwrap();
        let scheme = only(request, b":scheme").unwrap().to_ascii_lowercase();
        let host = authority(&scheme, only(request, b":authority").unwrap()).unwrap();
        let method = if method == b"HEAD" { b"GET" } else { method };
        let path = only(request, b":path").unwrap().to_vec();
        let mut parts = vec![vec![method.to_vec()], vec![scheme], vec![host], vec![path]];
        for name in &rules.vary_on {
            parts.push(values(request, name.as_bytes()).map(<[u8]>::to_vec).collect());
        }
        if rules.per_authorization {
            parts.push(values(request, b"authorization").map(<[u8]>::to_vec).collect());
        }
        (circuit.to_owned(), parts)
    }

    /// Few letters and separators, so that parts could be mistaken for each other.
    fn close() -> impl Strategy<Value = (String, HeaderMap)> {
        let short = "[ab,\\x00\\x01]{1,3}";
        let more = proptest::collection::vec(("x-[ab]|cookie|authorization", short), 0..4);
        (short, "GET|HEAD", "https?", "[aA]b?(:80|:443)?", short, more).prop_map(
            |(circuit, method, scheme, authority, path, more)| {
                let pseudo = [
                    (":method", &method),
                    (":scheme", &scheme),
                    (":authority", &authority),
                    (":path", &path),
                ];
                let pseudo = pseudo.map(|(name, value)| (name.to_owned(), value.clone()));
                let bytes = |(n, v): (String, String)| (n.into_bytes(), v.into_bytes());
                (circuit, pseudo.into_iter().chain(more).map(bytes).collect())
            },
        )
    }

    proptest! {
        #[test]
        fn two_different_requests_never_share_a_key(
            (circuit, one) in close(), (other_circuit, other) in close(), per_authorization: bool,
        ) {
            let vary_on = names(&["x-a", "cookie", "x-b"]);
            let rules = CacheRules { vary_on, per_authorization, ..rules() };
            let key = |circuit: &str, request: &HeaderMap| {
                Draft::new(&rules, circuit, request, false).unwrap().key(None).unwrap()
            };
            prop_assert_eq!(
                key(&circuit, &one) == key(&other_circuit, &other),
                parts(&rules, &circuit, &one) == parts(&rules, &other_circuit, &other)
            );
        }

        #[test]
        fn any_headers_make_a_key_or_none(request in any_headers(), has_body: bool) {
            let vary_on = names(&["x-user", "range", ":status"]);
            let rules = CacheRules { vary_on, per_authorization: true, ..rules() };
            if let Some(draft) = Draft::new(&rules, "up", &request, has_body) {
                prop_assert!(draft.key(None).is_some());
            }
        }
    }
}
