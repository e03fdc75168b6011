//! Header maps, as they cross the host's boundary: all names and values in one block. One for each
//! would cost a request with a dozen headers two dozen allocations.

/// Names are lower-case, as the host has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderMap {
    /// Of each name and its value.
    lengths: Vec<[u32; 2]>,
    /// One after the other, each with a NUL behind it.
    texts: Vec<u8>,
}

impl HeaderMap {
    /// The headers in a map as the ABI serialises it: the number of pairs, the lengths of all names
    /// and values, then the names and values. What is missing at its end is left out.
    pub fn from_abi(bytes: &[u8]) -> Self {
        let Some((count, rest)) = bytes.split_first_chunk() else {
            return Self::default();
        };
        let count = u32::from_le_bytes(*count) as usize;
        let Some((lengths, texts)) =
            count.checked_mul(8).and_then(|size| rest.split_at_checked(size))
        else {
            return Self::default();
        };
        let length = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
        let lengths =
            lengths.as_chunks().0.as_chunks().0.iter().map(|pair| pair.each_ref().map(length));
        let mut rest = texts;
        let lengths = lengths
            .take_while(|[name, value]| {
                take(&mut rest, *name).and_then(|_| take(&mut rest, *value)).is_some()
            })
            .collect();
        let used = texts.len().saturating_sub(rest.len());
        Self { lengths, texts: texts.get(..used).unwrap_or_default().to_vec() }
    }

    pub fn to_abi(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + 8 * self.lengths.len() + self.texts.len());
        bytes.extend_from_slice(&length(self.lengths.len()).to_le_bytes());
        for length in self.lengths.as_flattened() {
            bytes.extend_from_slice(&length.to_le_bytes());
        }
        bytes.extend_from_slice(&self.texts);
        bytes
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        let mut rest = &*self.texts;
        self.lengths.iter().map_while(move |[name, value]| {
            Some((take(&mut rest, *name)?, take(&mut rest, *value)?))
        })
    }

    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        self.lengths.push([length(name.len()), length(value.len())]);
        for text in [name, value] {
            self.texts.extend_from_slice(text);
            self.texts.push(0);
        }
    }

    pub fn has(&self, name: impl AsRef<[u8]>) -> bool {
        self.iter().any(|(known, _)| known == name.as_ref())
    }

    pub const fn count(&self) -> usize {
        self.lengths.len()
    }

    /// What the names and values take.
    pub const fn size(&self) -> usize {
        self.texts.len().saturating_sub(2 * self.lengths.len())
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Extend<(N, V)> for HeaderMap {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, headers: I) {
        headers.into_iter().for_each(|(name, value)| self.push(name, value));
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for HeaderMap {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        let mut map = Self::default();
        map.extend(headers);
        // It may be kept for as long as a response takes, and is counted by what is in it.
        map.texts.shrink_to_fit();
        map
    }
}

/// No header comes near the end of it: the host's limits are far below.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn take<'a>(rest: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (text, after) = rest.split_at_checked(length as usize)?;
    *rest = after.get(1..)?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&str, &str)]) -> HeaderMap {
        headers.iter().copied().collect()
    }

    #[test]
    fn headers_are_serialised_as_the_abi_has_them() {
        assert_eq!(map(&[("a", "bc")]).to_abi(), b"\x01\0\0\0\x01\0\0\0\x02\0\0\0a\0bc\0");
    }

    #[test]
    fn headers_survive_the_way_to_the_host_and_back() {
        let headers = map(&[(":path", "/a"), ("x-empty", ""), ("x-a", "b"), ("x-a", "c")]);
        assert_eq!(HeaderMap::from_abi(&headers.to_abi()), headers);
        let values = headers.iter().filter(|(name, _)| *name == b"x-a").map(|(_, value)| value);
        assert_eq!(values.collect::<Vec<_>>(), [b"b", b"c"]);
        assert_eq!((headers.count(), headers.size()), (4, 22));
    }

    #[test]
    fn a_map_that_is_cut_anywhere_gives_what_is_whole() {
        let bytes = map(&[("a", "b"), ("c", "d")]).to_abi();
        for length in 0..bytes.len() {
            let map = HeaderMap::from_abi(&bytes[..length]);
            assert_eq!(map.iter().count(), map.count());
            assert!(map.count() < 2, "{length}");
        }
        assert_eq!(HeaderMap::from_abi(&[255; 64]).count(), 0);
        assert_eq!(HeaderMap::from_abi(b"").count(), 0);
    }
}
