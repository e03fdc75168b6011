//! Who can read a stored `Content-Encoding` (RFC 9110, 12.5.3).

use super::headers::{elements, split_once};
use crate::headers::HeaderMap;

/// Whether the request accepts every coding of the response. One without Accept-Encoding may be
/// sent anything by the letter, but the clients that say nothing are those that decode nothing.
pub(super) fn accepts(request: &HeaderMap, response: &HeaderMap) -> bool {
    let mut is_plain = true;
    for coding in elements(response, b"content-encoding") {
        if !coding.eq_ignore_ascii_case(b"identity") {
            is_plain = false;
            if !is_accepted(request, coding).unwrap_or(false) {
                return false;
            }
        }
    }
    !is_plain || is_accepted(request, b"identity").unwrap_or(true)
}

/// What the request says of a coding, by name or else by `*`.
fn is_accepted(request: &HeaderMap, coding: &[u8]) -> Option<bool> {
    let (mut named, mut any) = (None, None);
    for element in elements(request, b"accept-encoding") {
        let (name, parameters) = split_once(element, b';');
        let name = name.trim_ascii();
        let said = if name == b"*" {
            &mut any
        } else if canonical(name).eq_ignore_ascii_case(canonical(coding)) {
            &mut named
        } else {
            continue;
        };
        // Of two words on one coding, the no counts.
        *said = Some(said.unwrap_or(true) && parameters.is_none_or(has_weight));
    }
    named.or(any)
}

/// RFC 9110, 8.4.1.1 and 8.4.1.3.
fn canonical(coding: &[u8]) -> &[u8] {
    match coding.split_at_checked(2) {
        Some((b"x-" | b"X-", rest))
            if rest.eq_ignore_ascii_case(b"gzip") || rest.eq_ignore_ascii_case(b"compress") =>
        {
            rest
        }
        _ => coding,
    }
}

/// Whether there is a weight above zero. One that cannot be read (RFC 9110, 12.4.2) is a no.
fn has_weight(parameters: &[u8]) -> bool {
    let (name, value) = split_once(parameters, b'=');
    if !name.trim_ascii().eq_ignore_ascii_case(b"q") {
        return false;
    }
    match value {
        Some(b"1") => true,
        Some([b'1', b'.', rest @ ..]) => rest.len() <= 3 && rest.iter().all(|&digit| digit == b'0'),
        Some([b'0', b'.', rest @ ..]) => {
            rest.len() <= 3
                && rest.iter().all(u8::is_ascii_digit)
                && rest.iter().any(|&digit| digit != b'0')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::headers;
    use super::*;

    fn accepted(accept: &[&str], coding: &[&str]) -> bool {
        let lines = |name, values: &[&str]| {
            headers(&values.iter().map(|&value| (name, value)).collect::<Vec<_>>())
        };
        accepts(&lines("accept-encoding", accept), &lines("content-encoding", coding))
    }

    #[test]
    fn a_coding_is_for_who_names_it() {
        for (accept, coding, expected) in [
            ("gzip", "gzip", true),
            ("GZip", "gzip", true),
            ("br, gzip;q=0.5", "gzip", true),
            ("br , gzip ; q=0.001", "gzip", true),
            ("*", "gzip", true),
            ("x-gzip", "gzip", true),
            ("gzip", "X-Gzip", true),
            ("compress", "x-compress", true),
            ("br", "x-br", false),
            ("gzip, br", "gzip, br", true),
            ("gzip", "gzip, br", false),
            ("gzip;q=0", "gzip", false),
            ("gzip;q=0.000", "gzip", false),
            ("gzip;q=0, *", "gzip", false),
            ("*;q=0, gzip", "gzip", true),
            ("*;q=0", "gzip", false),
            ("gzip, gzip;q=0", "gzip", false),
            ("gzip;q=2", "gzip", false),
            ("gzip;q=0.0001", "gzip", false),
            ("gzip;q=1.001", "gzip", false),
            ("gzip;q=1", "gzip", true),
            ("gzip;q=1.000", "gzip", true),
            ("gzip;q=", "gzip", false),
            ("gzip;q", "gzip", false),
            ("gzip;level=9", "gzip", false),
            ("identity", "gzip", false),
            ("br", "gzip", false),
            ("", "gzip", false),
            ("gzip2", "gzip", false),
        ] {
            assert_eq!(accepted(&[accept], &[coding]), expected, "{accept} for {coding}");
        }
        assert!(accepted(&["br", "gzip"], &["gzip", "br"]));
        assert!(!accepted(&[], &["gzip"]));
    }

    #[test]
    fn a_plain_body_is_for_all_who_do_not_refuse_it() {
        for (accept, expected) in [
            ("", true),
            ("gzip", true),
            ("identity;q=0", false),
            ("*;q=0", false),
            ("*;q=0, identity", true),
            ("gzip, *;q=0", false),
        ] {
            assert_eq!(accepted(&[accept], &[]), expected, "{accept}");
            assert_eq!(accepted(&[accept], &["identity"]), expected, "{accept}");
        }
        assert!(accepted(&[], &[]));
    }
}
