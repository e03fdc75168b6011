//! The bytes of the plugin configuration as a document, whichever way Envoy delivered them.
//!
//! A `google.protobuf.StringValue` arrives as its text: JSON. A `google.protobuf.Struct` arrives as
//! raw protobuf, and nothing says so. Its first byte is a line feed, with which JSON text may begin
//! too; but no bytes are both, for a length or a tag is no JSON. So JSON is tried first, and where
//! both fail the error is JSON's, because that is what people write by hand.

use super::error::ConfigError;
use super::protobuf;
use super::value::Value;

/// How the document was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Json,
    /// Envoy's YAML loader makes strings of floats and of whole numbers beyond 32 bits, and nulls
    /// of fields left empty: here a numeric string is a number, and null is absent.
    Struct,
}

/// The tag of the first field of a `Struct`.
const STRUCT_FIELD: u8 = 0x0a;

pub(super) fn read(bytes: &[u8]) -> Result<(Value, Source), ConfigError> {
    if bytes.trim_ascii().is_empty() {
        return Ok((Value::Object(Vec::new()), Source::Json));
    }
    json(bytes).map(|value| (value, Source::Json)).or_else(|error| {
        Some(bytes)
            .filter(|bytes| bytes.first() == Some(&STRUCT_FIELD))
            .and_then(protobuf::object)
            .map(|value| (value, Source::Struct))
            .ok_or(error)
    })
}

pub(super) fn json(bytes: &[u8]) -> Result<Value, ConfigError> {
    serde_json::from_slice(bytes).map_err(|error| ConfigError::not_json(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn nothing_is_an_empty_document() {
        for bytes in [b"".as_slice(), b" \r\n\t", b"{}", b"\n\n{ }\n"] {
            assert_eq!(read(bytes).unwrap(), (Value::Object(vec![]), Source::Json));
        }
    }

    #[test]
    fn json_that_begins_with_a_line_feed_is_json() {
        let (value, source) = read(b"\n{\"k\": 5}").unwrap();
        assert_eq!((value.field("k").unwrap().to_string().as_str(), source), ("5", Source::Json));
    }

    #[test]
    fn a_struct_is_told_from_json_even_where_its_length_is_a_brace() {
        let name = "k".repeat(usize::from(b'{') - 2);
        let bytes = [b"\n{\n", [name.len() as u8].as_slice(), name.as_bytes()].concat();
        let (value, source) = read(&bytes).unwrap();
        assert_eq!((value.field(&name), source), (Some(&Value::Null), Source::Struct));
    }

    #[test]
    fn what_is_neither_is_bad_json() {
        assert_eq!(
            error(b"{\n  \"circuits\": {\n    }"),
            "configuration: not valid JSON at line 3 column 5: EOF while parsing an object"
        );
        assert_eq!(
            error(b"namespace: x"),
            "configuration: not valid JSON at line 1 column 2: expected ident"
        );
        assert_eq!(
            error(b"\n\x0e\n"),
            "configuration: not valid JSON at line 2 column 1: expected value"
        );
        assert_eq!(
            error(b"{\"a\": 1e999}"),
            "configuration: not valid JSON at line 1 column 11: number out of range"
        );
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(error(&b"[".repeat(100_000)).contains("recursion limit exceeded"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_document_or_an_error_of_one_line(bytes: Vec<u8>) {
            if let Err(error) = read(&bytes) {
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
