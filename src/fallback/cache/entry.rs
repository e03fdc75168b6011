//! A stored response, and its bytes.
//!
//! The bytes begin with a version and a sum over the rest. It guards against accident, not malice:
//! what was cut, grown or damaged is not served.

use std::hash::Hasher;

use fnv::FnvHasher;

use super::storability::Terms;
use super::vary::Vary;
use crate::headers::HeaderMap;
use crate::store::Value;
use crate::time::{Span, Timestamp};

const VERSION: u8 = 2;
/// Besides the body: what most entries need.
const USUAL_BYTES: usize = 1_024;

/// A response as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub terms: Terms,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Monotonic.
    pub stored_at: Timestamp,
}

impl Entry {
    /// Tells entries of one key apart; 0 where the response does not vary.
    pub(super) fn variant(&self) -> u32 {
        let Vary { names, values } = &self.terms.vary;
        if names.is_empty() {
            return 0;
        }
        let mut hasher = FnvHasher::default();
        hasher.write(names);
        hasher.write(values);
        (hasher.finish() as u32).max(1)
    }
}

/// What lies in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// Whose entry it is: the one proof of it.
    pub(super) key: Vec<u8>,
    pub(super) entry: Entry,
}

/// The bytes of [`Stored`], without a copy of it.
pub(super) fn encode(key: &[u8], entry: &Entry) -> Vec<u8> {
    let mut content = Vec::with_capacity(entry.body.len() + USUAL_BYTES);
    let to = &mut content;
    // The sum is known last.
    to.push(VERSION);
    put_u64(to, 0);
    put_bytes(to, key);
    put_terms(to, &entry.terms);
    to.extend_from_slice(&entry.status.to_le_bytes());
    put_bytes(to, &entry.headers.to_abi());
    put_u64(to, entry.stored_at.as_nanos());
    put_bytes(to, &entry.body);
    if let Some(([_, sum @ ..], rest)) = content.split_first_chunk_mut::<9>() {
        *sum = sum_of(rest).to_le_bytes();
    }
    content
}

impl Value for Stored {
    fn encode(&self) -> Vec<u8> {
        encode(&self.key, &self.entry)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let from = &mut &*bytes;
        let [version] = take(from)?;
        let sum = u64::from_le_bytes(take(from)?);
        if version != VERSION || sum != sum_of(from) {
            return None;
        }
        let key = take_bytes(from)?.to_vec();
        let terms = take_terms(from)?;
        let status = u16::from_le_bytes(take(from)?);
        let headers = take_headers(from)?;
        let stored_at = Timestamp::from_nanos(u64::from_le_bytes(take(from)?));
        let body = take_bytes(from)?.to_vec();
        let entry = Entry { terms, status, headers, body, stored_at };
        from.is_empty().then_some(Self { key, entry })
    }
}

fn put_u64(to: &mut Vec<u8>, value: u64) {
    to.extend_from_slice(&value.to_le_bytes());
}

fn put_length(to: &mut Vec<u8>, length: usize) {
    to.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put_length(to, bytes.len());
    to.extend_from_slice(bytes);
}

fn put_terms(to: &mut Vec<u8>, terms: &Terms) {
    for span in [terms.lifetime, terms.stale_if_error] {
        to.push(u8::from(span.is_some()));
        put_u64(to, span.unwrap_or_default().as_nanos());
    }
    to.push(u8::from(terms.never_stale));
    to.push(u8::from(terms.is_public));
    put_u64(to, terms.initial_age.as_nanos());
    put_bytes(to, &terms.vary.names);
    to.extend_from_slice(&terms.vary.values);
}

fn take_terms(from: &mut &[u8]) -> Option<Terms> {
    Some(Terms {
        lifetime: take_option(from)?,
        stale_if_error: take_option(from)?,
        never_stale: take_flag(from)?,
        is_public: take_flag(from)?,
        initial_age: take_span(from)?,
        vary: Vary { names: take_bytes(from)?.to_vec(), values: take(from)? },
    })
}

fn take_flag(from: &mut &[u8]) -> Option<bool> {
    match take(from)? {
        [0] => Some(false),
        [1] => Some(true),
        _ => None,
    }
}

fn take_option(from: &mut &[u8]) -> Option<Option<Span>> {
    match (take(from)?, take_span(from)?) {
        ([0], Span::ZERO) => Some(None),
        ([1], span) => Some(Some(span)),
        _ => None,
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (array, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*array)
}

fn take_span(from: &mut &[u8]) -> Option<Span> {
    take(from).map(|nanos| Span::from_nanos(u64::from_le_bytes(nanos)))
}

fn take_length(from: &mut &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(take(from)?)).ok()
}

fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(from)?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}

fn take_headers(from: &mut &[u8]) -> Option<HeaderMap> {
    let bytes = take_bytes(from)?;
    let headers = HeaderMap::from_abi(bytes);
    (headers.to_abi() == bytes).then_some(headers)
}

/// Eight bytes at a time, since bodies are long. Each step is one to one, so that damage to one
/// word always shows.
fn sum_of(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    let add = |sum: u64, word: &[u8; 8]| {
        (sum.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x517c_c1b7_2722_0a95)
    };
    add(words.iter().fold(bytes.len() as u64, add), &last)
}

/// With a sum that is right, so that the fields are looked at whatever they say.
#[cfg(any(test, fuzzing))]
pub(super) fn sealed(content: &[u8]) -> Vec<u8> {
    [&[VERSION][..], &sum_of(content).to_le_bytes(), content].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..most)
    }

    fn span() -> impl Strategy<Value = Option<Span>> {
        prop::option::of(any::<u64>().prop_map(Span::from_nanos))
    }

    fn terms() -> impl Strategy<Value = Terms> {
        let vary = (bytes(9), any::<[u8; 32]>());
        (span(), span(), any::<[bool; 2]>(), any::<u64>(), vary).prop_map(
            |(lifetime, stale_if_error, [never_stale, is_public], age, (names, values))| Terms {
                lifetime,
                stale_if_error,
                never_stale,
                is_public,
                initial_age: Span::from_nanos(age),
                vary: Vary { names, values },
            },
        )
    }

    fn stored() -> impl Strategy<Value = Stored> {
        let headers = prop::collection::vec((bytes(9), bytes(30)), 0..6)
            .prop_map(|headers| headers.into_iter().collect());
        (bytes(40), terms(), headers, bytes(200), any::<(u16, u64)>()).prop_map(
            |(key, terms, headers, body, (status, stored_at))| {
                let stored_at = Timestamp::from_nanos(stored_at);
                Stored { key, entry: Entry { terms, status, headers, body, stored_at } }
            },
        )
    }

    proptest! {
        #[test]
        fn an_entry_survives_the_bytes(stored in stored()) {
            prop_assert_eq!(Stored::decode(&stored.encode()), Some(stored));
        }

        #[test]
        fn a_cut_a_longer_and_a_damaged_entry_are_none(
            stored in stored(), at: prop::sample::Index, flip in 1_u8..,
        ) {
            let bytes = stored.encode();
            let at = at.index(bytes.len());
            prop_assert_eq!(Stored::decode(&bytes[..at]), None);
            prop_assert_eq!(Stored::decode(&[&bytes[..], &[0]].concat()), None);
            let mut damaged = bytes;
            damaged[at] ^= flip;
            prop_assert_eq!(Stored::decode(&damaged), None);
        }

        #[test]
        fn any_bytes_decode_or_do_not_and_never_panic(
            stored in stored(), content in bytes(400), at: prop::sample::Index,
        ) {
            let _ = Stored::decode(&content);
            // With a sum that is right: first nonsense, then an entry with nonsense in it.
            let _ = Stored::decode(&sealed(&content));
            let mut bytes = stored.encode().split_off(9);
            let at = at.index(bytes.len());
            for (to, from) in bytes[at..].iter_mut().zip(content.iter().take(4)) {
                *to = *from;
            }
            let bytes = sealed(&bytes);
            if let Some(stored) = Stored::decode(&bytes) {
                prop_assert_eq!(stored.encode(), bytes);
            }
        }
    }
}
