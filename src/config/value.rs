//! The document before it is understood: what JSON and a protobuf `Struct` have in common.
//!
//! Not `serde_json::Value`, because that silently keeps the last of two fields of the same name;
//! here both are kept, so that the second can be refused with its path.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::Number;

use super::error::quoted;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Value>),
    /// The fields in the order of the document.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// With another value for a field that is there.
    pub(super) fn with(mut self, name: &str, value: Self) -> Self {
        if let Self::Object(fields) = &mut self
            && let Some((_, field)) = fields.iter_mut().find(|(field, _)| field == name)
        {
            *field = value;
        }
        self
    }

    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else {
            return None;
        };
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }
}

/// `None` where it is not finite. Whole numbers are the same however they arrived: `5.0` is 5.
pub(super) fn number(number: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return Some(Number::from(number as i64));
    }
    Number::from_f64(number)
}

/// As an error shows it: what was found, short.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::List(_) => f.write_str("a list"),
            Self::Object(_) => f.write_str("an object"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Bool(flag) => to.serialize_bool(*flag),
            Self::Number(number) => number.serialize(to),
            Self::Text(text) => to.serialize_str(text),
            Self::List(items) => to.collect_seq(items),
            Self::Object(fields) => {
                to.collect_map(fields.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Json)
    }
}

struct Json;

impl<'de> Visitor<'de> for Json {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(self::number(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = from.next_element()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = from.next_entry()? {
            fields.push(field);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn both_fields_of_the_same_name_are_kept() {
        let Value::Object(fields) = json(r#"{"b": 1, "a": null, "b": [true, "x"]}"#) else {
            panic!("not an object");
        };
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b", "a", "b"]);
    }

    #[test]
    fn a_whole_number_is_the_same_with_and_without_a_point() {
        assert_eq!(json("5.0"), json("5"));
        assert_eq!(json("-0.0"), json("0"));
        assert_ne!(json("5.5"), json("5"));
        assert_eq!(json("18446744073709551615").to_string(), "18446744073709551615");
        assert_eq!(number(f64::NAN), None);
        assert_eq!(number(f64::INFINITY), None);
    }

    #[test]
    fn an_error_shows_values_short() {
        let shown = |text| json(text).to_string();
        assert_eq!(shown("null"), "null");
        assert_eq!(shown("1.5"), "1.5");
        assert_eq!(shown("1e300"), "1e+300");
        assert_eq!(shown(r#""a\nb""#), r#""a\nb""#);
        assert_eq!(shown("[1]"), "a list");
        assert_eq!(shown(r#"{"a": 1}"#), "an object");
    }
}
