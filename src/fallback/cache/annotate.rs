//! Values set at JSON pointers (RFC 6901) in a body, by which clients tell it from the upstream's.
//!
//! The text is changed only where a value is set: what else is in it keeps its order, its numbers
//! and its spaces, which no parsed document would.

use serde::de::IgnoredAny;

use super::headers::{elements, only, split_once};
use crate::headers::HeaderMap;

/// The body with all of these set: pointers, and what is set there as JSON. `None` where it is to
/// stay as it is: it is no JSON, it is encoded, or one of them has no place in it.
pub fn annotate(headers: &HeaderMap, body: &[u8], values: &[(String, Vec<u8>)]) -> Option<Vec<u8>> {
    if values.is_empty() || !is_plain_json(headers) {
        return None;
    }
    str::from_utf8(body).ok()?;
    let end = end_of_value(body, after_spaces(body, 0))?;
    if after_spaces(body, end) != body.len() {
        return None;
    }
    let mut text = body.to_vec();
    for (pointer, value) in values {
        text = set(&text, &tokens(pointer)?, value)?;
    }
    Some(text)
}

fn is_plain_json(headers: &HeaderMap) -> bool {
    let Some(given) = only(headers, b"content-type") else { return false };
    // RFC 9111, 5.2.2.6.
    if elements(headers, b"cache-control").any(|it| it.eq_ignore_ascii_case(b"no-transform")) {
        return false;
    }
    let media_type = split_once(given, b';').0.trim_ascii().to_ascii_lowercase();
    (media_type == b"application/json" || media_type.ends_with(b"+json"))
        && elements(headers, b"content-encoding")
            .all(|coding| coding.eq_ignore_ascii_case(b"identity"))
}

fn tokens(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    pointer.strip_prefix('/')?.split('/').map(unescaped).collect()
}

fn unescaped(token: &str) -> Option<String> {
    let mut parts = token.split('~');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (escaped, rest) = part.split_at_checked(1)?;
        text.push_str(match escaped {
            "0" => "~",
            "1" => "/",
            _ => return None,
        });
        text.push_str(rest);
    }
    Some(text)
}

/// Sets one value in a text that is JSON.
fn set(text: &[u8], tokens: &[String], value: &[u8]) -> Option<Vec<u8>> {
    let mut at = after_spaces(text, 0);
    let mut rest = tokens;
    while let [token, deeper @ ..] = rest {
        match *text.get(at)? {
            b'{' => match member(text, at, token)? {
                Place::Member(value) => at = value,
                Place::Gap { at, is_first } => {
                    let comma: &[u8] = if is_first { b"" } else { b"," };
                    let added = member_of(token, &nested(deeper, value)?)?;
                    return Some([text.get(..at)?, comma, &added, text.get(at..)?].concat());
                }
            },
            b'[' => at = element(text, at, token)?,
            b'n' => break,
            _ => return None,
        }
        rest = deeper;
    }
    let end = end_of_value(text, at)?;
    Some([text.get(..at)?, &nested(rest, value)?, text.get(end..)?].concat())
}

/// The value within the objects that these tokens name.
fn nested(tokens: &[String], value: &[u8]) -> Option<Vec<u8>> {
    let mut text = value.to_vec();
    for token in tokens.iter().rev() {
        text = [b"{", member_of(token, &text)?.as_slice(), b"}"].concat();
    }
    Some(text)
}

fn member_of(name: &str, value: &[u8]) -> Option<Vec<u8>> {
    let mut text = serde_json::to_vec(name).ok()?;
    text.push(b':');
    text.extend(value);
    Some(text)
}

enum Place {
    /// Where the member's value begins.
    Member(usize),
    /// Where there is none and one can be added.
    Gap { at: usize, is_first: bool },
}

/// Looks into the object that begins at `at`. Of members with one name the last counts, as with
/// most who read them.
fn member(text: &[u8], at: usize, name: &str) -> Option<Place> {
    let inside = at.checked_add(1)?;
    let mut gap = Place::Gap { at: inside, is_first: true };
    let mut found = None;
    let mut next = after_spaces(text, inside);
    while *text.get(next)? != b'}' {
        let name_end = end_of_value(text, next)?;
        let key = text.get(next..name_end)?;
        let value = after_spaces(text, after_spaces(text, name_end).checked_add(1)?);
        if serde_json::from_slice::<String>(key).is_ok_and(|key| key == name) {
            found = Some(Place::Member(value));
        }
        let end = end_of_value(text, value)?;
        gap = Place::Gap { at: end, is_first: false };
        next = after_comma(text, end)?;
    }
    found.or(Some(gap))
}

/// Where an element that is there begins, in the array that begins at `at`.
fn element(text: &[u8], at: usize, index: &str) -> Option<usize> {
    let is_index = index.bytes().all(|byte| byte.is_ascii_digit());
    if !is_index || (index.len() > 1 && index.starts_with('0')) {
        return None;
    }
    let mut left: usize = index.parse().ok()?;
    let mut next = after_spaces(text, at.checked_add(1)?);
    while *text.get(next)? != b']' {
        if left == 0 {
            return Some(next);
        }
        left = left.saturating_sub(1);
        next = after_comma(text, end_of_value(text, next)?)?;
    }
    None
}

/// Where the next member or element begins, or the bracket that ends them.
fn after_comma(text: &[u8], end: usize) -> Option<usize> {
    let next = after_spaces(text, end);
    match *text.get(next)? {
        b',' => Some(after_spaces(text, next.checked_add(1)?)),
        _ => Some(next),
    }
}

fn after_spaces(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|byte| b" \t\r\n".contains(byte)) {
        at = at.saturating_add(1);
    }
    at
}

/// Never recurses, however deep the value is.
fn end_of_value(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    at.checked_add(values.byte_offset())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::fixtures::headers;
    use super::*;

    fn annotated(body: &str, values: &[(&str, Value)]) -> Option<String> {
        let headers = headers(&[("content-type", "application/json")]);
        let values: Vec<_> = values
            .iter()
            .map(|(at, value)| ((*at).to_owned(), value.to_string().into_bytes()))
            .collect();
        annotate(&headers, body.as_bytes(), &values).map(|body| String::from_utf8(body).unwrap())
    }

    #[test]
    fn a_value_is_set_where_the_pointer_says() {
        for (body, pointer, expected) in [
            ("{}", "/a", r#"{"a":1}"#),
            ("  { } ", "/a", r#"  {"a":1 } "#),
            (r#"{"a":0}"#, "/a", r#"{"a":1}"#),
            (r#"{"a" : {"b":[2]} , "c":3}"#, "/a", r#"{"a" : 1 , "c":3}"#),
            (r#"{"b":2}"#, "/a", r#"{"b":2,"a":1}"#),
            ("{\"b\":2\n}", "/a", "{\"b\":2,\"a\":1\n}"),
            (r#"{"b":2}"#, "/a/c", r#"{"b":2,"a":{"c":1}}"#),
            (r#"{"a":null}"#, "/a/c/d", r#"{"a":{"c":{"d":1}}}"#),
            (r#"{"a":{"b":2}}"#, "/a/c", r#"{"a":{"b":2,"c":1}}"#),
            (r#"{"a":[5, 6]}"#, "/a/1", r#"{"a":[5, 1]}"#),
            (r#"[[],{"a":0}]"#, "/1/a", r#"[[],{"a":1}]"#),
            ("[null]", "/0/a", r#"[{"a":1}]"#),
            ("null", "/a", r#"{"a":1}"#),
            ("7", "", "1"),
            (r#"{"a/b~c":0}"#, "/a~1b~0c", r#"{"a/b~c":1}"#),
            (r#"{"~1":0}"#, "/~01", r#"{"~1":1}"#),
            (r#"{"\u00e9\"":0}"#, "/\u{e9}\"", r#"{"\u00e9\"":1}"#),
            ("{}", "/q\"\u{e9}", "{\"q\\\"\u{e9}\":1}"),
            (r#"{"":0}"#, "/", r#"{"":1}"#),
            (r#"{"a":5,"a":6}"#, "/a", r#"{"a":5,"a":1}"#),
            (r#"{"b":"{\"a\":","a":2}"#, "/a", r#"{"b":"{\"a\":","a":1}"#),
        ] {
            let result = annotated(body, &[(pointer, json!(1))]);
            assert_eq!(result.as_deref(), Some(expected), "{pointer} in {body}");
        }
    }

    #[test]
    fn what_else_there_is_stays_to_the_letter() {
        let body = r#"{"z":1.0, "n":123456789012345678901234567890, "e":1e400,
            "s":"\ud800 \u0041", "metadata":{"from_fallback":false}, "a":[ ]}"#;
        let values = [
            ("/metadata/from_fallback", json!(true)),
            ("/metadata/fallback_source", json!("l1_cache")),
        ];
        let expected = body.replace("false}", r#"true,"fallback_source":"l1_cache"}"#);
        assert_eq!(annotated(body, &values), Some(expected));
    }

    #[test]
    fn without_a_place_the_body_stays_as_it_is() {
        for (body, pointer) in [
            (r#"{"a":1}"#, "/a/b"),
            (r#"{"a":"x"}"#, "/a/b/c"),
            (r#"{"a":true}"#, "/a/b"),
            ("1", "/a"),
            ("[]", "/0"),
            ("[1]", "/1"),
            ("[1]", "/-"),
            ("[1]", "/00"),
            ("[1]", "/+0"),
            ("[1]", "/a"),
            ("[1]", "/"),
            ("[1]", "/99999999999999999999999"),
            ("{}", "a"),
            ("{}", "/~2"),
            ("{}", "/~"),
            ("{}", "/~\u{e9}"),
        ] {
            let values = [("/fine", json!(1)), (pointer, json!(1))];
            assert_eq!(annotated(body, &values[1..]), None, "{pointer} in {body}");
            assert_eq!(annotated(body, &values), None, "{pointer} in {body}");
        }
        assert_eq!(annotated("{}", &[]), None);
    }

    #[test]
    fn what_is_no_json_stays_as_it_is() {
        for body in [
            "",
            " ",
            "{",
            "{}}",
            "{} {}",
            "{\"a\":1,}",
            "nul",
            "\u{feff}{}",
            "{'a':1}",
            &"[".repeat(9_000),
        ] {
            assert_eq!(annotated(body, &[("/a", json!(1))]), None, "{body}");
        }
        let json = headers(&[("content-type", "application/json")]);
        assert_eq!(annotate(&json, b"{\"b\":\"\xff\"}", &[("/a".to_owned(), b"1".to_vec())]), None);
    }

    #[test]
    fn depth_is_no_danger() {
        let (opening, closing) = ("[".repeat(100_000), "]".repeat(100_000));
        let result = annotated(&format!(r#"{{"b":{opening}{closing}}}"#), &[("/a", json!(1))]);
        assert_eq!(result, Some(format!(r#"{{"b":{opening}{closing},"a":1}}"#)));
        assert_eq!(annotated(&opening, &[("/a", json!(1))]), None);
    }

    #[test]
    fn only_plain_json_is_annotated() {
        let kind = |value| ("content-type", value);
        let gzip = ("content-encoding", "gzip");
        for (given, expected) in [
            (&[kind("application/json")][..], true),
            (&[kind("Application/JSON; charset=utf-8")], true),
            (&[kind("application/problem+json")], true),
            (&[kind("application/json"), ("content-encoding", "identity")], true),
            (&[kind("application/json"), gzip], false),
            (&[kind("application/jsonl")], false),
            (&[kind("text/html")], false),
            (&[kind("application/json"), kind("text/html")], false),
            (&[], false),
        ] {
            let done = annotate(&headers(given), b"{}", &[("/a".to_owned(), b"1".to_vec())]);
            assert_eq!(done.is_some(), expected, "{given:?}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[a\"\\\\\u{e9}]{0,2}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[ab0/~\u{e9}]", inner, 0..4)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_was_set_is_there_and_the_rest_is_as_it_was(
            before in any_json(), pointer in "(/([ab01\u{e9}]|~0|~1)){0,3}", pretty: bool,
        ) {
            let body = if pretty { serde_json::to_string_pretty(&before) } else { serde_json::to_string(&before) };
            if let Some(after) = annotated(&body.unwrap(), &[(&pointer, json!("set"))]) {
                let mut after: Value = serde_json::from_str(&after).unwrap();
                prop_assert_eq!(after.pointer(&pointer), Some(&json!("set")));
                if let Some(was) = before.pointer(&pointer) {
                    *after.pointer_mut(&pointer).unwrap() = was.clone();
                    prop_assert_eq!(after, before);
                }
            }
        }

        #[test]
        fn any_bytes_are_annotated_or_left(body: Vec<u8>, text in "[{}\\[\\]\",:a1n \\\\]{0,30}") {
            let json = headers(&[("content-type", "application/json")]);
            for body in [body, text.into_bytes()] {
                if let Some(after) = annotate(&json, &body, &[("/a/0".to_owned(), b"1".to_vec())]) {
                    prop_assert!(serde_json::from_slice::<IgnoredAny>(&after).is_ok());
                }
            }
        }
    }
}
