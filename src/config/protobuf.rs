//! `google.protobuf.Struct` from its wire format: what Envoy hands over for a configuration that is
//! not a string.
//!
//! ```text
//! Struct    { map<string, Value> fields = 1 }      an entry of a map: { key = 1, value = 2 }
//! Value     { null = 1, number = 2, string = 3, bool = 4, Struct = 5, ListValue = 6 }
//! ListValue { repeated Value values = 1 }
//! ```
//!
//! Forty lines of wire format instead of a protobuf crate: three messages that never change. As
//! the format demands, unknown fields are skipped and the last of repeated ones wins. `None` is
//! the answer to everything that is not a `Struct`.

use super::value::{Value, number};

/// How deep objects and lists may nest: far deeper than any configuration.
const DEEPEST: u8 = 32;

/// The whole of `bytes` as a `Struct`.
pub(super) fn object(bytes: &[u8]) -> Option<Value> {
    object_within(bytes, DEEPEST)
}

fn object_within(bytes: &[u8], depth: u8) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let mut object: Vec<(String, Value)> = Vec::new();
    for field in Fields(bytes) {
        if let (1, Wire::Bytes(entry)) = field? {
            let (name, value) = map_entry(entry, depth)?;
            object.retain(|(other, _)| *other != name);
            object.push((name, value));
        }
    }
    Some(Value::Object(object))
}

fn map_entry(bytes: &[u8], depth: u8) -> Option<(String, Value)> {
    let mut name = String::new();
    let mut value = Value::Null;
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Bytes(bytes)) => name = text(bytes)?,
            (2, Wire::Bytes(bytes)) => value = any_value(bytes, depth)?,
            _ => {}
        }
    }
    Some((name, value))
}

fn any_value(bytes: &[u8], depth: u8) -> Option<Value> {
    let mut value = Value::Null;
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Varint(_)) => value = Value::Null,
            (2, Wire::Fixed64(bits)) => value = Value::Number(number(f64::from_bits(bits))?),
            (3, Wire::Bytes(bytes)) => value = Value::Text(text(bytes)?),
            (4, Wire::Varint(flag)) => value = Value::Bool(flag != 0),
            (5, Wire::Bytes(bytes)) => value = object_within(bytes, depth)?,
            (6, Wire::Bytes(bytes)) => value = list(bytes, depth)?,
            _ => {}
        }
    }
    Some(value)
}

fn list(bytes: &[u8], depth: u8) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let mut list = Vec::new();
    for field in Fields(bytes) {
        if let (1, Wire::Bytes(bytes)) = field? {
            list.push(any_value(bytes, depth)?);
        }
    }
    Some(Value::List(list))
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// The fields of one message, with their numbers. `None` among them: the bytes are no message, and
/// nothing follows.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Wire<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => self.array::<4>().map(|_| Wire::Fixed32)?,
            _ => return None,
        };
        let number = tag >> 3;
        (number > 0).then_some((number, wire))
    }

    /// Seven bits a byte, the lowest first, ten bytes at most.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
}

#[cfg(any(test, fuzzing))]
pub(super) mod encode;

#[cfg(test)]
mod tests {
    use super::encode::{as_yaml as encode, entry, field, fixed64};
    use super::*;
    use proptest::prelude::*;

    fn decoded(bytes: &[u8]) -> Option<Value> {
        object(bytes)
    }

    fn json(text: &str) -> Option<Value> {
        Some(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn what_envoy_was_seen_to_send_is_read() {
        assert_eq!(decoded(b"\n\x0e\n\x01k\x12\t\x11\0\0\0\0\0\0\x14@"), json(r#"{"k": 5}"#));
        assert_eq!(decoded(b"\n\x0a\n\x01f\x12\x05\x1a\x030.5"), json(r#"{"f": "0.5"}"#));
        assert_eq!(decoded(b""), json("{}"));
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let document = json(r#"{"n": null, "b": true, "s": "é", "o": {"x": [1, "2", {}, []]}}"#);
        assert_eq!(decoded(&encode(document.as_ref().unwrap())), document);
        assert_eq!(decoded(&entry("f", &fixed64(0.25))), json(r#"{"f": 0.25}"#));
    }

    #[test]
    fn the_last_of_repeated_names_and_values_wins() {
        let bytes = [entry("a", b"\x20\x01"), entry("b", b""), entry("a", b"\x20\x01\x20\0")];
        assert_eq!(decoded(&bytes.concat()), json(r#"{"b": null, "a": false}"#));
    }

    #[test]
    fn unknown_fields_are_skipped_and_missing_ones_are_empty() {
        let unknown = b"\x38\x96\x01\x49abcdefgh\x52\x02hi\x5dabcd";
        let bytes = [unknown.as_slice(), &field(1, unknown)].concat();
        assert_eq!(decoded(&bytes), json(r#"{"": null}"#));
    }

    #[test]
    fn what_is_no_struct_is_refused() {
        for bytes in [
            b"{}".as_slice(),
            b"\n",                                             // no length
            b"\n\x05\n\x01k",                                  // cut short
            b"\n\x04\n\x02\xff\xff",                           // a name that is not UTF-8
            b"\x03",                                           // a wire type of protobuf 1
            b"\x02\0",                                         // field number 0
            b"\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",     // longer than memory
            b"\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", // a varint of eleven bytes
            b"\n\x0e\n\x01k\x12\t\x11\0\0\0\0\0\0\xf8\x7f",    // NaN
        ] {
            assert_eq!(decoded(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| (1..depth).fold(Vec::new(), |inner, _| entry("a", &field(5, &inner)));
        assert!(decoded(&nested(usize::from(DEEPEST))).is_some());
        assert_eq!(decoded(&nested(usize::from(DEEPEST) + 1)), None);
        let mut lists = Vec::new();
        for _ in 0..10_000 {
            lists = field(6, &field(1, &lists));
        }
        assert_eq!(decoded(&entry("a", &lists)), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_struct_or_refused(bytes: Vec<u8>) {
            let _ = decoded(&bytes);
        }

        #[test]
        fn a_damaged_struct_is_read_or_refused(at in 0_usize..200, byte: u8, cut in 0_usize..200) {
            let document = json(include_str!("defaults.json")).unwrap();
            let mut bytes = encode(&document);
            bytes[at] = byte;
            bytes.truncate(bytes.len() - cut);
            let _ = decoded(&bytes);
        }
    }
}
