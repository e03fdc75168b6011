//! A response on its way into the cache, copied as it passes.

use super::headers::only;
use super::replay::kept;
use super::{Entry, Terms};
use crate::headers::HeaderMap;
use crate::time::Timestamp;

/// The first room for a body without a length to go by.
const FIRST: usize = 4 << 10;

#[derive(Debug)]
pub struct Copy {
    entry: Entry,
    /// Longer bodies are not stored.
    most: usize,
    /// What the copy takes of the room for copies in flight: for headers, and for the body.
    headers_room: usize,
    body_room: usize,
    framing: Framing,
}

/// How the body shows that it has come to its end. Over HTTP/1 one without length or chunks ends
/// where its connection does, whether that was its end or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunks,
    Unknown,
}

impl Copy {
    /// `None` for a response that has no end, or is longer than `most` by what it says.
    pub fn new(
        terms: Terms,
        status: u16,
        response: &HeaderMap,
        stored_at: Timestamp,
        most: usize,
    ) -> Option<Self> {
        let is_stream = only(response, b"content-type")
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with(b"text/event-stream"));
        let framing = framing(response)?;
        let first = match framing {
            Framing::Length(length) => length,
            Framing::Chunks | Framing::Unknown => FIRST.min(most),
        };
        if is_stream || first > most {
            return None;
        }
        let headers = kept(response);
        let headers_room = headers.size();
        let entry = Entry { terms, status, headers, body: Vec::new(), stored_at };
        Some(Self { entry, most, headers_room, body_room: first, framing })
    }

    pub const fn room(&self) -> usize {
        self.headers_room.saturating_add(self.body_room)
    }

    /// How much more room the next chunk needs; `None` where it makes the body too long.
    pub fn growth(&self, chunk: usize) -> Option<usize> {
        let length = self.entry.body.len().checked_add(chunk).filter(|it| *it <= self.most)?;
        // Twice as much each time, so that a body is moved seldom.
        let room = length.max(self.body_room.saturating_mul(2)).min(self.most);
        Some(if length <= self.body_room { 0 } else { room.saturating_sub(self.body_room) })
    }

    /// The room that was taken for it is `more`, as [`Copy::growth`] said.
    pub fn add(&mut self, chunk: &[u8], more: usize) {
        self.body_room = self.body_room.saturating_add(more);
        let body = &mut self.entry.body;
        body.reserve_exact(self.body_room.saturating_sub(body.len()));
        body.extend_from_slice(chunk);
    }

    /// The entry, if the body is known to be whole. `is_marked` says whether its end was told apart
    /// from that of its connection.
    pub fn finish(self, is_marked: bool) -> Option<Entry> {
        let is_whole = match self.framing {
            Framing::Length(length) => self.entry.body.len() == length,
            Framing::Chunks => true,
            Framing::Unknown => is_marked,
        };
        is_whole.then_some(self.entry)
    }

    pub const fn terms(&self) -> &Terms {
        &self.entry.terms
    }
}

/// `None` where the length is no length.
fn framing(response: &HeaderMap) -> Option<Framing> {
    if response.has(b"content-length") {
        let length = str::from_utf8(only(response, b"content-length")?).ok()?;
        return Some(Framing::Length(length.parse().ok()?));
    }
    let is_chunked = response.has(b"transfer-encoding");
    Some(if is_chunked { Framing::Chunks } else { Framing::Unknown })
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{headers, request, rules};
    use super::super::{Exchange, storable};
    use super::*;
    use crate::time::Span;

    const MOST: usize = 10_000;

    fn copy(response: &[(&str, &str)]) -> Option<Copy> {
        let mut all = headers(&[(":status", "200")]);
        all.extend(response.iter().copied());
        let request = request(&[]);
        let (wall, delay) = (Span::ZERO, Span::ZERO);
        let exchange = Exchange { request: &request, response: &all, wall, delay };
        let terms = storable(&rules(), &exchange).unwrap();
        Copy::new(terms, 200, &all, Timestamp::ZERO, MOST)
    }

    fn add(copy: &mut Copy, length: usize) -> bool {
        let Some(more) = copy.growth(length) else { return false };
        copy.add(&vec![b'x'; length], more);
        true
    }

    #[test]
    fn takes_the_room_that_its_length_says_and_no_more() {
        let mut sized = copy(&[("content-length", "300")]).unwrap();
        assert_eq!(sized.room(), 300);
        assert!(add(&mut sized, 300));
        assert_eq!((sized.room(), sized.entry.body.capacity()), (300, 300));
        assert!(copy(&[("content-length", "10001")]).is_none());
        assert!(copy(&[("content-length", "much")]).is_none());
    }

    #[test]
    fn grows_as_the_body_does_up_to_the_limit() {
        let mut copy = copy(&[("transfer-encoding", "chunked")]).unwrap();
        assert_eq!(copy.room(), 4_096);
        for _ in 0..10 {
            assert!(add(&mut copy, 1_000));
            assert!(copy.body_room <= MOST && copy.entry.body.capacity() <= copy.body_room);
        }
        assert!(!add(&mut copy, 1));
    }

    #[test]
    fn headers_take_room_too() {
        let value = "v".repeat(5_000);
        let copy = copy(&[("content-length", "0"), ("x-a", &value)]).unwrap();
        assert_eq!(copy.room(), 5_003);
    }

    #[test]
    fn a_stream_of_events_has_no_end() {
        assert!(copy(&[("content-type", "text/event-stream; charset=utf-8")]).is_none());
    }

    #[test]
    fn only_what_shows_its_end_is_whole() {
        for (response, length, is_marked, is_whole) in [
            (&[("content-length", "3")][..], 3, false, true),
            (&[("content-length", "4")], 3, true, false),
            (&[("transfer-encoding", "chunked")], 3, false, true),
            (&[], 3, false, false),
            (&[], 3, true, true),
        ] {
            let mut copy = copy(response).unwrap();
            assert!(add(&mut copy, length));
            assert_eq!(copy.finish(is_marked).is_some(), is_whole, "{response:?} {is_marked}");
        }
    }
}
