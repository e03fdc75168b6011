//! SHA-256, where a value is to be compared and not kept: credentials, and what has no limit.

use sha2::{Digest as _, Sha256};

use super::headers::values;
use crate::headers::HeaderMap;

pub(super) type Digest = [u8; 32];

/// Of the values of these headers, in order. A header that is absent differs from an empty one.
pub(super) fn digest_of<'a>(names: impl Iterator<Item = &'a [u8]>, headers: &HeaderMap) -> Digest {
    let mut hasher = Sha256::new();
    for name in names {
        for value in values(headers, name) {
            hasher.update([1]);
            hasher.update((value.len() as u64).to_le_bytes());
            hasher.update(value);
        }
        hasher.update([0]);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::headers;
    use super::*;

    #[test]
    fn values_that_differ_in_any_way_but_outer_whitespace_have_digests_of_their_own() {
        let of = |given: &[(&str, &str)]| digest_of([&b"a"[..], b"b"].into_iter(), &headers(given));
        let digests = [
            of(&[]),
            of(&[("a", "")]),
            of(&[("b", "")]),
            of(&[("a", ""), ("a", "")]),
            of(&[("a", "1")]),
            of(&[("b", "1")]),
            of(&[("a", "1"), ("a", "2")]),
            of(&[("a", "2"), ("a", "1")]),
            of(&[("a", "1"), ("b", "2")]),
            of(&[("a", "1,2")]),
        ];
        for (at, one) in digests.iter().enumerate() {
            assert!(!digests[at + 1..].contains(one), "{at}");
        }
        assert_eq!(of(&[("a", " 1\t"), ("c", "3")]), of(&[("a", "1")]));
    }
}
