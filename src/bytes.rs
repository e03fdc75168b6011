//! Little-endian fields in a row: how every stored value is written and read.
//!
//! Stored bytes may be anyone's. A [`Reader`] answers `None` past the end or on a value that cannot
//! be, and never panics.

use crate::time::{Span, Timestamp};

#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn time(&mut self, value: Timestamp) {
        self.u64(value.as_nanos());
    }

    pub fn span(&mut self, value: Span) {
        self.u64(value.as_nanos());
    }

    /// At most 65535 bytes, preceded by their number.
    pub fn text(&mut self, value: &str) {
        let bytes = value.as_bytes();
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.u16(length);
        self.0.extend(bytes.iter().take(usize::from(length)));
    }

    /// A byte that says whether there is a value, then the value.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The value, if that was all.
    pub fn finish<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn time(&mut self) -> Option<Timestamp> {
        self.u64().map(Timestamp::from_nanos)
    }

    pub fn span(&mut self) -> Option<Span> {
        self.u64().map(Span::from_nanos)
    }

    pub fn text(&mut self) -> Option<&'a str> {
        let length = usize::from(self.u16()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// `None` where the bytes are wrong, `Some(None)` where there is no value.
    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.u8()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let mut writer = Writer::default();
        writer.u16(7);
        writer.text("hf_api");
        writer.option(Some(9), Writer::u32);
        writer.option(None, Writer::u32);
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u16(), Some(7));
        assert_eq!(reader.text(), Some("hf_api"));
        assert_eq!(reader.option(Reader::u32), Some(Some(9)));
        assert_eq!(reader.option(Reader::u32), Some(None));
        assert_eq!(reader.finish(()), Some(()));
    }

    #[test]
    fn short_and_impossible_bytes_are_no_value() {
        assert_eq!(Reader::new(&[1, 2, 3]).u32(), None);
        assert_eq!(Reader::new(&[2, 0, b'a']).text(), None);
        assert_eq!(Reader::new(&[1, 0, 0xff]).text(), None);
        assert_eq!(Reader::new(&[7]).option(Reader::u8), None);
        assert_eq!(Reader::new(&[0]).finish(()), None);
    }
}
