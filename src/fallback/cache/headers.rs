//! Looking into headers.

use crate::headers::HeaderMap;

pub(super) fn values<'a>(headers: &'a HeaderMap, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.trim_ascii())
}

/// The value of a header that is there exactly once.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &'a [u8]) -> Option<&'a [u8]> {
    let mut values = values(headers, name);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// The elements of a list that has no quoted strings (RFC 9110, 5.6.1: empty ones do not count).
pub(super) fn elements<'a>(
    headers: &'a HeaderMap,
    name: &'a [u8],
) -> impl Iterator<Item = &'a [u8]> {
    values(headers, name)
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// RFC 9110, 5.6.2.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// What stands before and after the first `separator`.
pub(super) fn split_once(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    let mut parts = text.splitn(2, |&byte| byte == separator);
    (parts.next().unwrap_or_default(), parts.next())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::headers;
    use super::*;

    #[test]
    fn lists_run_over_lines_and_have_no_empty_elements() {
        let given = headers(&[("vary", " a ,, b"), ("x", "y"), ("vary", ""), ("vary", "c,")]);
        assert_eq!(elements(&given, b"vary").collect::<Vec<_>>(), [b"a", b"b", b"c"]);
    }

    #[test]
    fn only_is_no_choice_between_two() {
        let given = headers(&[("a", "1"), ("b", ""), ("b", "")]);
        assert_eq!((only(&given, b"a"), only(&given, b"b")), (Some(&b"1"[..]), None));
        assert_eq!(only(&given, b"c"), None);
    }

    #[test]
    fn tokens_have_no_delimiters() {
        assert!(is_token(b"x-a.b~1"));
        for bad in ["", "a b", "a;b", "a=b", "\"a\"", "\u{e9}", ":path"] {
            assert!(!is_token(bad.as_bytes()), "{bad}");
        }
    }
}
