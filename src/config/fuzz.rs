//! The configuration: see [`crate::fuzz`].
#![allow(clippy::panic)]

use super::protobuf::encode;
use super::source::{self, Source};
use super::value::Value;
use super::{Config, ConfigError};

/// Far more than a line to read needs, with every name on it escaped.
const LONGEST_LINE: usize = 8 << 10;

/// Any bytes: a configuration, or one line that says what is wrong. A JSON document is the same
/// configuration as the `Struct` that says the same.
pub fn configuration(bytes: &[u8]) {
    let parsed = parse(bytes);
    let Ok((document, Source::Json)) = source::read(bytes) else { return };
    if !matches!(document, Value::Object(_)) {
        return;
    }
    let _ = parse(&encode::as_yaml(&document));
    if says_the_same(&document, 0) {
        let as_struct = parse(&encode::exact(&document));
        match (parsed, as_struct) {
            (Ok(json), Ok(same)) => assert_eq!(json, same),
            (Ok(_), Err(error)) => panic!("refused as a Struct: {error}"),
            // A text that is a number is one in a Struct alone.
            (Err(_), _) => {}
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Config, ConfigError> {
    let parsed = Config::parse(bytes);
    match &parsed {
        Ok(config) => {
            let _ = config.policy("up");
            for name in config.named() {
                let _ = config.policy(name);
            }
        }
        Err(error) => {
            let line = error.to_string();
            assert!(!line.trim().is_empty() && line.len() < LONGEST_LINE, "{line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
    parsed
}

/// Whether a document can be said in a `Struct`, where null is absent, numbers have 53 bits and
/// nesting ends sooner.
fn says_the_same(value: &Value, depth: usize) -> bool {
    const DEEPEST: usize = 30;
    const EXACT: f64 = 9_007_199_254_740_992.0;
    depth < DEEPEST
        && match value {
            Value::Null => false,
            Value::Bool(_) | Value::Text(_) => true,
            Value::Number(number) => number.as_f64().is_some_and(|number| number.abs() <= EXACT),
            Value::List(items) => items.iter().all(|item| says_the_same(item, depth + 1)),
            Value::Object(fields) => fields.iter().all(|(_, it)| says_the_same(it, depth + 1)),
        }
}
