//! A request as the filter got it, and its key, which may have to wait for the request's body.

use sha2::{Digest as _, Sha256};

use super::CacheRules;
use super::headers::only;
use super::key::{Draft, Key};
use crate::headers::HeaderMap;

/// Longer bodies of requests are not told from each other: no listener buffers more by default.
const LONGEST_BODY: usize = 1 << 20;

#[derive(Debug)]
pub struct Asked {
    pub headers: HeaderMap,
    key: Progress,
}

#[derive(Debug)]
enum Progress {
    Body {
        draft: Draft,
        hasher: Sha256,
        size: usize,
    },
    Known(Key),
    /// The body is too long, or could not be read.
    None,
}

impl Asked {
    /// `None` for a request that is neither stored nor served from the cache. `is_sent` says
    /// whether there is no more of it than its headers.
    pub fn new(
        rules: &CacheRules,
        circuit: &str,
        headers: HeaderMap,
        is_sent: bool,
    ) -> Option<Self> {
        let draft = Draft::new(rules, circuit, &headers, !is_sent)?;
        let key = if !draft.wants_body() {
            Progress::Known(draft.key(None)?)
        } else if fits(&headers) {
            Progress::Body { draft, hasher: Sha256::new(), size: 0 }
        } else {
            return None;
        };
        let mut asked = Self { headers, key };
        if is_sent {
            asked.end();
        }
        Some(asked)
    }

    /// Whether the next chunk of the body, so long, is to be added. Where it makes the body too
    /// long there is no key.
    pub fn takes(&mut self, length: usize) -> bool {
        match &self.key {
            Progress::Body { size, .. } if size.saturating_add(length) > LONGEST_BODY => {
                self.key = Progress::None;
                false
            }
            Progress::Body { .. } => length > 0,
            Progress::Known(_) | Progress::None => false,
        }
    }

    /// Of a chunk that the host did not hand over whole there is no key.
    pub fn add(&mut self, chunk: &[u8], length: usize) {
        if chunk.len() != length {
            self.key = Progress::None;
        } else if let Progress::Body { hasher, size, .. } = &mut self.key {
            hasher.update(chunk);
            *size = size.saturating_add(length);
        }
    }

    /// The body is complete.
    pub fn end(&mut self) {
        if let Progress::Body { draft, hasher, .. } = &self.key {
            let digest = hasher.clone().finalize().into();
            self.key = draft.clone().key(Some(&digest)).map_or(Progress::None, Progress::Known);
        }
    }

    pub const fn awaits_body(&self) -> bool {
        matches!(self.key, Progress::Body { .. })
    }

    /// `None` while the body is not complete, and where it is too long.
    pub const fn key(&self) -> Option<&Key> {
        match &self.key {
            Progress::Known(key) => Some(key),
            Progress::Body { .. } | Progress::None => None,
        }
    }
}

/// Whether the body may be short enough, as far as its length is said.
fn fits(headers: &HeaderMap) -> bool {
    let Some(length) = only(headers, b"content-length") else {
        return true;
    };
    let length = str::from_utf8(length).ok().and_then(|text| text.parse::<usize>().ok());
    length.is_none_or(|length| length <= LONGEST_BODY)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{request, rules, without};
    use super::*;

    fn with_bodies() -> CacheRules {
        CacheRules { methods: vec!["POST".to_owned()], request_body: true, ..rules() }
    }

    fn post(more: &[(&str, &str)]) -> HeaderMap {
        let mut headers = without(&request(more), ":method");
        headers.push(":method", "POST");
        headers
    }

    fn asked(chunks: &[&[u8]]) -> Asked {
        let mut asked = Asked::new(&with_bodies(), "up", post(&[]), false).unwrap();
        for chunk in chunks {
            if asked.takes(chunk.len()) {
                asked.add(chunk, chunk.len());
            }
        }
        asked
    }

    fn key(chunks: &[&[u8]]) -> Option<Key> {
        let mut asked = asked(chunks);
        asked.end();
        asked.key().cloned()
    }

    #[test]
    fn the_whole_body_makes_the_key_however_it_is_cut() {
        let whole = key(&[b"abc"]).unwrap();
        assert_eq!(key(&[b"a", b"", b"bc"]), Some(whole.clone()));
        assert_ne!(key(&[b"ab"]), Some(whole));
        let none = Asked::new(&with_bodies(), "up", post(&[]), true).unwrap();
        assert_eq!(none.key().cloned(), key(&[]));
    }

    #[test]
    fn an_empty_chunk_is_not_fetched() {
        assert!(!asked(&[]).takes(0) && asked(&[]).takes(1));
    }

    #[test]
    fn there_is_no_key_before_the_end() {
        let asked = asked(&[b"abc"]);
        assert!(asked.key().is_none() && asked.awaits_body());
    }

    #[test]
    fn a_body_that_is_too_long_has_no_key() {
        let chunk = vec![b'a'; LONGEST_BODY];
        assert!(key(&[&chunk]).is_some());
        let mut long = asked(&[&chunk, b"b"]);
        assert!(!long.awaits_body());
        // Not even if no more of it were to come.
        long.end();
        assert!(long.key().is_none() && !long.takes(1));
    }

    #[test]
    fn a_body_that_was_not_read_whole_has_no_key() {
        let mut asked = asked(&[b"ab"]);
        asked.add(b"c", 2);
        asked.end();
        assert!(asked.key().is_none());
    }

    #[test]
    fn a_length_that_is_too_long_is_not_waited_for() {
        for (length, fits) in [("1048576", true), ("1048577", false), ("much", true)] {
            let headers = post(&[("content-length", length)]);
            let asked = Asked::new(&with_bodies(), "up", headers, false);
            assert_eq!(asked.is_some(), fits, "{length}");
        }
    }

    #[test]
    fn where_bodies_are_not_in_the_key_none_is_awaited() {
        let asked = Asked::new(&rules(), "up", request(&[]), true).unwrap();
        assert!(asked.key().is_some() && !asked.awaits_body());
        assert!(Asked::new(&rules(), "up", request(&[]), false).is_none());
    }
}
