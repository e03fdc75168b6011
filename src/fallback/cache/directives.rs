//! `Cache-Control` (RFC 9111, 5.2; RFC 5861). What cannot be read is read as the cautious would.

use super::headers::{is_token, split_once, values};
use crate::headers::HeaderMap;

/// Where a number of seconds does not fit (RFC 9111, 1.2.2).
const MANY: u32 = 1 << 31;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    /// Also where an element is malformed: there is no telling what it was to forbid.
    pub no_store: bool,
    /// With or without field names (RFC 9111, 5.2.2.4 and 5.2.2.7 leave the choice).
    pub no_cache: bool,
    pub private: bool,
    pub public: bool,
    /// `must-revalidate`, or `proxy-revalidate`, which is the same to a shared cache.
    pub must_revalidate: bool,
    pub must_understand: bool,
    pub max_age: Option<u32>,
    pub s_maxage: Option<u32>,
    pub stale_if_error: Option<u32>,
}

impl Directives {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for value in values(headers, b"cache-control") {
            let mut rest = Some(value);
            while let Some(text) = rest {
                let (element, after) = next_element(text);
                rest = after;
                directives.add(element.trim_ascii());
            }
        }
        directives
    }

    fn add(&mut self, element: &[u8]) {
        if element.is_empty() {
            return;
        }
        let (name, argument) = split_once(element, b'=');
        let argument = argument.map(unquoted);
        if !is_token(name) || argument == Some(None) {
            self.no_store = true;
            return;
        }
        let argument = argument.flatten();
        match name.to_ascii_lowercase().as_slice() {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache = true,
            b"private" => self.private = true,
            b"public" => self.public = true,
            b"must-revalidate" | b"proxy-revalidate" => self.must_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"max-age" => once(&mut self.max_age, argument),
            b"s-maxage" => once(&mut self.s_maxage, argument),
            b"stale-if-error" => once(&mut self.stale_if_error, argument),
            _ => {}
        }
    }
}

/// Up to a comma that is not quoted.
fn next_element(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (mut quoted, mut escaped) = (false, false);
    let end = text.iter().position(|&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    });
    match end.and_then(|end| text.split_at_checked(end)) {
        Some((element, rest)) => (element, rest.get(1..)),
        None => (text, None),
    }
}

/// An argument may come as a token or quoted, whichever the directive's own syntax is (RFC 9111,
/// 5.2). Escapes stay: no argument that is read here has a use for them.
fn unquoted(argument: &[u8]) -> Option<&[u8]> {
    if is_token(argument) {
        return Some(argument);
    }
    let text = argument.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut escaped = false;
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return None,
            _ => {}
        }
    }
    (!escaped).then_some(text)
}

/// Two that differ, or one that is no number, leave nothing fresh (RFC 9111, 4.2.1).
fn once(known: &mut Option<u32>, argument: Option<&[u8]>) {
    let given = argument.and_then(seconds).unwrap_or(0);
    *known = Some(if known.is_none_or(|known| known == given) { given } else { 0 });
}

/// `delta-seconds` (RFC 9111, 1.2.2).
pub(super) fn seconds(text: &[u8]) -> Option<u32> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| {
        text.iter().fold(0_u32, |sum, digit| {
            sum.saturating_mul(10).saturating_add(u32::from(digit - b'0')).min(MANY)
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{any_headers, headers};
    use super::*;

    fn read(value: &str) -> Directives {
        Directives::read(&headers(&[("cache-control", value)]))
    }

    const NONE: Directives = Directives {
        no_store: false,
        no_cache: false,
        private: false,
        public: false,
        must_revalidate: false,
        must_understand: false,
        max_age: None,
        s_maxage: None,
        stale_if_error: None,
    };

    #[test]
    fn directives_are_read_whatever_their_case_and_form() {
        for (value, expected) in [
            ("", NONE),
            (" , ,", NONE),
            ("immutable, x=\"no-store, private\", y", NONE),
            ("x=\"a\\\", no-store\"", NONE),
            ("No-Store", Directives { no_store: true, ..NONE }),
            ("no-cache=\"set-cookie\"", Directives { no_cache: true, ..NONE }),
            ("private=\"a, b\",public", Directives { private: true, public: true, ..NONE }),
            ("must-revalidate", Directives { must_revalidate: true, ..NONE }),
            ("proxy-revalidate", Directives { must_revalidate: true, ..NONE }),
            ("must-understand", Directives { must_understand: true, ..NONE }),
            (
                "max-age=60 , S-MaxAge=5",
                Directives { max_age: Some(60), s_maxage: Some(5), ..NONE },
            ),
            ("max-age=\"60\"", Directives { max_age: Some(60), ..NONE }),
            ("stale-if-error=0060", Directives { stale_if_error: Some(60), ..NONE }),
        ] {
            assert_eq!(read(value), expected, "{value}");
        }
    }

    #[test]
    fn lines_add_up() {
        let given = headers(&[("cache-control", "max-age=1"), ("cache-control", "private")]);
        let expected = Directives { max_age: Some(1), private: true, ..NONE };
        assert_eq!(Directives::read(&given), expected);
    }

    #[test]
    fn what_cannot_be_read_is_not_stored() {
        for value in [
            "max-age=0; no-store",
            "max-age=60 private",
            "public no-store",
            "max-age=",
            "max-age= 60",
            "max-age =60",
            "=60",
            "x=\"no-store",
            "x=\"a\\\"",
            "x=\"a\"b\"",
            "x=a\"b\"",
            "\"no-store\"",
            "priv\u{e4}t",
        ] {
            assert!(read(value).no_store, "{value}");
        }
    }

    #[test]
    fn what_is_no_number_is_not_fresh() {
        for value in ["-1", "1.5", "1e3", "soon", "\"\"", "\"6\\0\"", "0x10"] {
            assert_eq!(read(&format!("max-age={value}")).max_age, Some(0), "{value}");
        }
        assert_eq!(read("max-age").max_age, Some(0));
    }

    #[test]
    fn two_that_differ_are_not_fresh_and_two_that_agree_are() {
        assert_eq!(read("max-age=5, max-age=6").max_age, Some(0));
        assert_eq!(read("max-age=5, max-age=6, max-age=5").max_age, Some(0));
        assert_eq!(read("max-age=5, max-age=\"5\"").max_age, Some(5));
    }

    #[test]
    fn seconds_end_at_2_to_the_31() {
        for (text, expected) in [
            ("2147483647", 2_147_483_647),
            ("2147483648", MANY),
            ("4294967296", MANY),
            ("99999999999999999999999999", MANY),
        ] {
            assert_eq!(seconds(text.as_bytes()), Some(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_field_of_its_own_is_never_hidden_by_another(garbage: Vec<u8>, known in any_headers()) {
            let mut given = known;
            given.push("cache-control", garbage);
            given.push("cache-control", "private");
            prop_assert!(Directives::read(&given).private);
        }
    }
}
