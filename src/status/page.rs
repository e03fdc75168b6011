//! The status for people: one page that needs nothing but the JSON of its own path.

use sha2::{Digest as _, Sha256};

use super::DETAILS;
use crate::reply::{NO_GRPC_STATUS, Reply};

const MARKUP: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The page. All of it is known here; what the circuits are called and why they opened is not in it.
pub fn page() -> Reply {
    // Should the script ever take data for markup, the browser neither runs nor loads what is in it.
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'",
        hash(SCRIPT),
        hash(STYLE)
    );
    let headers = [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", &policy),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("vary", "accept"),
    ];
    Reply {
        status: 200,
        details: DETAILS,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: MARKUP.replace("{style}", STYLE).replace("{script}", SCRIPT).into_bytes(),
        grpc_status: NO_GRPC_STATUS,
    }
}

/// An inline block as a content security policy names it.
fn hash(block: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(block)))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(*group.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let digit = DIGITS.get(bits >> (18 - 6 * at) & 63).filter(|_| at <= group.len());
            text.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> String {
        String::from_utf8(page().body).unwrap()
    }

    fn policy() -> String {
        let headers = page().headers;
        headers.into_iter().find(|(name, _)| name == "content-security-policy").unwrap().1
    }

    /// What stands between the tags of this name, of which there is one pair.
    fn block<'a>(page: &'a str, tag: &str) -> &'a str {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        assert_eq!((page.matches(&open).count(), page.matches(&close).count()), (1, 1), "{tag}");
        page.split_once(&open).unwrap().1.split_once(&close).unwrap().0
    }

    #[test]
    fn the_page_is_small() {
        assert!(body().len() <= 12 * 1024, "{}", body().len());
    }

    #[test]
    fn the_policy_names_the_blocks_as_a_browser_finds_them() {
        let page = body();
        assert!(policy().contains(&format!("script-src '{}'", hash(block(&page, "script")))));
        assert!(policy().contains(&format!("style-src '{}'", hash(block(&page, "style")))));
        // A browser would hash other line ends than are here.
        assert!(!page.contains('\r'));
    }

    #[test]
    fn nothing_is_taken_for_markup_and_nothing_comes_from_elsewhere() {
        let page = body();
        for taboo in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "://"]
        {
            assert!(!page.contains(taboo), "{taboo}");
        }
        for taboo in ["localStorage", "sessionStorage", "cookie", " style=", " onclick="] {
            assert!(!page.contains(taboo), "{taboo}");
        }
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(hash(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
