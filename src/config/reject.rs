//! What a rejected client gets where nothing better answers.

use super::error::ConfigError;
use super::node::Node;

/// The last resort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    pub status: u16,
    /// Names are lower-case.
    pub headers: Vec<(String, String)>,
    /// `None`: the problem document.
    pub body: Option<String>,
}

/// Envoy frames the reply; RFC 9110 section 7.6.1 names those that describe a connection.
pub(super) const FRAMING: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Reject {
    pub(super) fn read(at: &Node<'_>) -> Result<Self, ConfigError> {
        let [status, headers, body] = at.fields(["status", "headers", "body"])?;
        Ok(Self {
            status: status.whole(200..=599, |status| u16::try_from(status).ok())?,
            headers: read_reply_headers(&headers)?,
            body: body.nullable(|body| body.text("a string", "text or null", owned))?,
        })
    }
}

/// What a reply of ours says besides what it always does.
pub(super) fn read_reply_headers(at: &Node<'_>) -> Result<Vec<(String, String)>, ConfigError> {
    let headers = read_headers(at)?;
    let is_ours = |name: &str| name == "retry-after" || name.starts_with("x-circuit-breaker");
    match headers.iter().find(|(name, _)| is_ours(name)) {
        None => Ok(headers),
        Some((name, _)) => {
            Err(at.refused(&format!("{name} is set by fusebox itself, expected other headers")))
        }
    }
}

/// Inherited one by one, like fields.
pub(super) fn read_headers(at: &Node<'_>) -> Result<Vec<(String, String)>, ConfigError> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for layer in at.apart() {
        for (name, value) in layer.entries()? {
            check_name(name, &value)?;
            if value.is_absent() {
                continue;
            }
            let value = value.text(
                "a header value",
                "text without control characters and outer spaces",
                |value| is_header_value(value).then(|| value.to_owned()),
            )?;
            headers.retain(|(inherited, _)| inherited != name);
            headers.push((name.to_owned(), value));
        }
    }
    Ok(headers)
}

fn check_name(name: &str, at: &Node<'_>) -> Result<(), ConfigError> {
    if !is_header_name(name) {
        return Err(
            at.refused("not the name of a header, expected lower-case letters, digits and \"-\"")
        );
    }
    if FRAMING.contains(&name) {
        return Err(at.refused("set by Envoy itself, expected another header"));
    }
    Ok(())
}

/// RFC 9110 section 5.6.2, lower-case as HTTP/2 wants it. Pseudo-headers are none of them.
pub(super) fn is_header_name(name: &str) -> bool {
    let is_token =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(is_token)
}

/// Outer spaces are no part of a value, and some HTTP/2 peers reset a stream over them.
fn is_header_value(value: &str) -> bool {
    value.trim_ascii() == value && !value.chars().any(char::is_control)
}

fn owned(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{error, policy};

    fn reject(fields: &str) -> String {
        format!(r#"{{"defaults": {{"reject": {fields}}}}}"#)
    }

    fn refused(fields: &str) -> String {
        error(&reject(fields))
    }

    #[test]
    fn headers_are_inherited_one_by_one() {
        let document = r#"{
            "defaults": {"reject": {"headers": {"x-b": "1", "x-a": "2"}}},
            "circuits": {"c": {"reject": {"headers": {"x-c": "3", "x-b": "4"}}}}
        }"#;
        let headers = policy(document, "c").reject.headers.clone();
        let expected = [("x-a", "2"), ("x-c", "3"), ("x-b", "4")];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn null_takes_an_inherited_body_back() {
        let document = r#"{
            "defaults": {"reject": {"body": "busy"}},
            "circuits": {"a": {"reject": {"body": null}}, "b": {"reject": {"status": 500}}}
        }"#;
        assert_eq!(policy(document, "a").reject.body, None);
        assert_eq!(policy(document, "b").reject.body.as_deref(), Some("busy"));
    }

    #[test]
    fn the_status_is_final() {
        for status in ["200", "599"] {
            policy(&reject(&format!(r#"{{"status": {status}}}"#)), "any");
        }
        for status in ["199", "600"] {
            assert_eq!(
                refused(&format!(r#"{{"status": {status}}}"#)),
                format!("defaults.reject.status: {status} is out of range, expected 200 to 599")
            );
        }
    }

    #[test]
    fn headers_that_others_set_are_refused() {
        let named = |name| refused(&format!(r#"{{"headers": {{"{name}": "1"}}}}"#));
        for name in super::FRAMING {
            assert_eq!(
                named(name),
                format!(
                    "defaults.reject.headers.{name}: set by Envoy itself, expected another header"
                )
            );
        }
        for name in ["retry-after", "x-circuit-breaker", "x-circuit-breaker-fallback"] {
            assert_eq!(
                named(name),
                format!(
                    "defaults.reject.headers: {name} is set by fusebox itself, expected other headers"
                )
            );
        }
    }

    #[test]
    fn only_what_can_be_sent_is_a_header() {
        let problem = "not the name of a header, expected lower-case letters, digits and \"-\"";
        for (name, shown) in [
            ("X-A", "X-A"),
            (":status", "\":status\""),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("é", "\"é\""),
        ] {
            assert_eq!(
                refused(&format!(r#"{{"headers": {{"{name}": "1"}}}}"#)),
                format!("defaults.reject.headers.{shown}: {problem}")
            );
        }
        for value in [r"a\r\nb", r"\u0000", r"a\tb", " a", "a ", r"\u007f"] {
            let line = refused(&format!(r#"{{"headers": {{"x-a": "{value}"}}}}"#));
            let (start, end) = (
                "defaults.reject.headers.x-a: \"",
                "\" is not a header value, expected text without control characters and outer \
                 spaces",
            );
            assert!(line.starts_with(start) && line.ends_with(end), "{line}");
        }
        assert_eq!(
            refused(r#"{"headers": {"x-a": 5}}"#),
            "defaults.reject.headers.x-a: 5 is not a header value, expected text without control \
             characters and outer spaces"
        );
        policy(&reject(r#"{"headers": {"cache-control": "", "x_1": "a é"}}"#), "any");
    }

    #[test]
    fn a_body_is_text() {
        assert_eq!(
            refused(r#"{"body": {"a": 1}}"#),
            "defaults.reject.body: an object is not a string, expected text or null"
        );
    }
}
