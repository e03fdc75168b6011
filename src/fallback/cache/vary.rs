//! Which other requests a stored response is for: `Vary` (RFC 9111, 4.1).

use super::digest::{Digest, digest_of};
use super::headers::{elements, is_token};
use crate::headers::HeaderMap;

/// A response that depends on more headers than this depends on everything.
const MOST_NAMES: usize = 32;
const MOST_BYTES: usize = 1 << 10;

/// The names of a response's Vary, and the values of the request that it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vary {
    /// Lower-case, with commas between.
    pub names: Vec<u8>,
    /// In place of the values: they may be credentials, and have no limit.
    pub values: Digest,
}

impl Vary {
    /// `None` where no other request can be known to have the same answer.
    pub(super) fn new(request: &HeaderMap, response: &HeaderMap) -> Option<Self> {
        let mut names = Vec::<u8>::new();
        for (at, name) in elements(response, b"vary").enumerate() {
            if at >= MOST_NAMES || name == b"*" || !is_token(name) {
                return None;
            }
            if !names.is_empty() {
                names.push(b',');
            }
            names.extend(name.to_ascii_lowercase());
            if names.len() > MOST_BYTES {
                return None;
            }
        }
        let values = values_of(&names, request);
        Some(Self { names, values })
    }

    /// Values are compared as they are, but for whitespace around them. Absent is equal to absent.
    pub(super) fn matches(&self, request: &HeaderMap) -> bool {
        self.values == values_of(&self.names, request)
    }
}

/// Most responses do not vary: nothing is digested for them.
fn values_of(names: &[u8], request: &HeaderMap) -> Digest {
    if names.is_empty() { Digest::default() } else { digest_of(split(names), request) }
}

fn split(names: &[u8]) -> impl Iterator<Item = &[u8]> {
    names.split(|&byte| byte == b',').filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::headers;
    use super::*;

    fn vary(request: &[(&str, &str)], lines: &[&str]) -> Option<Vary> {
        let lines: Vec<_> = lines.iter().map(|&line| ("vary", line)).collect();
        Vary::new(&headers(request), &headers(&lines))
    }

    #[test]
    fn requests_match_where_every_named_header_does() {
        let vary = vary(&[("a", "1"), ("c", "3")], &["A, b"]).unwrap();
        for (request, expected) in [
            (&[("a", "1"), ("c", "3")][..], true),
            (&[("a", "1")], true),
            (&[("c", "4"), ("a", " 1 ")], true),
            (&[("a", "1"), ("b", "")], false),
            (&[("a", "1"), ("b", "2")], false),
            (&[("a", "2")], false),
            (&[("a", "1"), ("a", "1")], false),
            (&[], false),
        ] {
            assert_eq!(vary.matches(&headers(request)), expected, "{request:?}");
        }
    }

    #[test]
    fn without_vary_every_request_matches() {
        for lines in [&[][..], &[""], &[" , "]] {
            let vary = vary(&[("a", "1")], lines).unwrap();
            assert!(vary.names.is_empty() && vary.matches(&headers(&[("b", "2")])));
        }
    }

    #[test]
    fn a_response_that_depends_on_everything_is_for_nobody_else() {
        let many = vec!["a"; 100].join(",");
        for lines in [
            &["*"][..],
            &["a, *"],
            &["a", "*"],
            &["a b"],
            &[":path"],
            &["\u{e9}"],
            &[&many],
            &[&"a".repeat(2_000)],
        ] {
            assert_eq!(vary(&[], lines), None, "{lines:?}");
        }
        assert!(vary(&[], &[&vec!["a"; 32].join(",")]).is_some());
        assert!(vary(&[], &[&"a".repeat(1_024)]).is_some());
    }
}
