//! A header map as Envoy keeps it: ordered, lower-case names, values of any bytes.

use std::fmt;

#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    pub fn new<N: AsRef<str>, V: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.add(name.as_ref(), value.as_ref());
        }
        headers
    }

    pub fn len(&self) -> u32 {
        self.0.len() as u32
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first value: a guest that asks for one header gets no other.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let name = name.to_ascii_lowercase();
        let found = self.0.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_slice())
    }

    pub fn text(&self, name: &str) -> Option<String> {
        Some(String::from_utf8_lossy(self.get(name)?).into_owned())
    }

    pub fn all(&self, name: &str) -> Vec<String> {
        let named = self.0.iter().filter(|(key, _)| key == name);
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    pub fn add(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.to_ascii_lowercase(), value.to_vec()));
    }

    pub fn set(&mut self, name: &str, value: &[u8]) {
        let name = name.to_ascii_lowercase();
        match self.0.iter().position(|(key, _)| *key == name) {
            None => self.0.push((name, value.to_vec())),
            Some(first) => {
                self.0[first].1 = value.to_vec();
                let mut index = 0;
                self.0.retain(|(key, _)| {
                    index += 1;
                    index - 1 <= first || *key != name
                });
            }
        }
    }

    pub fn remove(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        self.0.retain(|(key, _)| *key != name);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The wire format of pairs: a count, all sizes, then all names and values, each with a NUL.
    pub fn encode(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut bytes = self.len().to_le_bytes().to_vec();
        for (name, value) in &self.0 {
            bytes.extend((name.len() as u32).to_le_bytes());
            bytes.extend((value.len() as u32).to_le_bytes());
        }
        for part in self.0.iter().flat_map(|(name, value)| [name.as_bytes(), value]) {
            bytes.extend(part);
            bytes.push(0);
        }
        bytes
    }

    /// Malformed pairs panic: the guest's encoder is at fault, and a real host would read past the end.
    pub fn decode(bytes: &[u8]) -> Self {
        let number = |at: usize| {
            let word = bytes.get(at..at + 4).expect("pairs are long enough for their sizes");
            u32::from_le_bytes(word.try_into().expect("four bytes")) as usize
        };
        let mut headers = Self::default();
        if bytes.is_empty() {
            return headers;
        }
        let count = number(0);
        let mut at = 4 + count * 8;
        for index in 0..count {
            let mut part = |size: usize| {
                let part = bytes.get(at..at + size).expect("pairs are long enough for their data");
                at += size + 1;
                part
            };
            let name = String::from_utf8(part(number(4 + index * 8)).to_vec());
            let value = part(number(8 + index * 8));
            headers.add(&name.expect("header names are UTF-8"), value);
        }
        headers
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.iter().map(|(name, value)| (name, String::from_utf8_lossy(value)));
        f.debug_map().entries(pairs).finish()
    }
}
