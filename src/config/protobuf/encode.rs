//! The way back, for tests: a document as the bytes of a `Struct`.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::config::value::Value;

/// As Envoy encodes what its YAML loader made of the document: everything but a whole number of 32
/// bits has become a string.
pub(in crate::config) fn as_yaml(document: &Value) -> Vec<u8> {
    encode(document, |number| {
        let is_int32 = number.fract() == 0.0 && number.abs() < 2_147_483_648.0;
        if is_int32 { fixed64(number) } else { field(3, number.to_string().as_bytes()) }
    })
}

/// With numbers as numbers, as a control plane encodes it.
pub(in crate::config) fn exact(document: &Value) -> Vec<u8> {
    encode(document, fixed64)
}

type Number = fn(f64) -> Vec<u8>;

fn encode(document: &Value, number: Number) -> Vec<u8> {
    let Value::Object(fields) = document else {
        panic!("{document} is not an object");
    };
    let encoded = |(name, value): &(String, Value)| entry(name, &encode_value(value, number));
    fields.iter().flat_map(encoded).collect()
}

fn encode_value(value: &Value, number: Number) -> Vec<u8> {
    match value {
        Value::Null => vec![0x08, 0],
        Value::Bool(flag) => vec![0x20, u8::from(*flag)],
        Value::Number(it) => number(it.as_f64().unwrap()),
        Value::Text(text) => field(3, text.as_bytes()),
        Value::List(list) => {
            let items = list.iter().flat_map(|item| field(1, &encode_value(item, number)));
            field(6, &items.collect::<Vec<_>>())
        }
        Value::Object(_) => field(5, &encode(value, number)),
    }
}

pub(super) fn entry(name: &str, value: &[u8]) -> Vec<u8> {
    field(1, &[field(1, name.as_bytes()), field(2, value)].concat())
}

pub(super) fn fixed64(number: f64) -> Vec<u8> {
    [&[0x11], number.to_le_bytes().as_slice()].concat()
}

pub(super) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(bytes);
    field
}
