//! JSON as the bytes of a `google.protobuf.Struct`, with what Envoy's YAML loader does to numbers on the way.

use serde_json::Value;

/// The fields of an object, each an entry of map field 1. An empty object is no bytes at all.
pub fn encode(json: &Value) -> Vec<u8> {
    let Value::Object(fields) = json else { panic!("a Struct is an object: {json}") };
    let entry = |(name, value): (&String, &Value)| {
        let mut entry = field(1, name.as_bytes());
        entry.extend(field(2, &encode_value(value)));
        field(1, &entry)
    };
    fields.iter().flat_map(entry).collect()
}

fn encode_value(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => vec![0x08, 0],
        Value::Bool(value) => vec![0x20, u8::from(*value)],
        Value::String(text) => field(3, text.as_bytes()),
        Value::Object(_) => field(5, &encode(value)),
        Value::Array(items) => {
            let items: Vec<u8> =
                items.iter().flat_map(|item| field(1, &encode_value(item))).collect();
            field(6, &items)
        }
        // The loader keeps small integers and makes strings of all other numbers.
        Value::Number(number) => match number.as_i64().map(i32::try_from) {
            Some(Ok(small)) => [&[0x11], f64::from(small).to_le_bytes().as_slice()].concat(),
            _ => field(3, number.to_string().as_bytes()),
        },
    }
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut encoded = vec![number << 3 | 2];
    let mut len = bytes.len();
    while len >= 0x80 {
        encoded.push(len as u8 | 0x80);
        len >>= 7;
    }
    encoded.push(len as u8);
    encoded.extend(bytes);
    encoded
}
