//! The status for people: one page that needs nothing but the JSON of its own path.

use super::DETAILS;
use crate::reply::{NO_GRPC_STATUS, Reply};

const MARKUP: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
/// Should the script ever take data for markup, the browser neither runs nor loads what is in it.
/// The two blocks are named by their SHA-256; the test says what it is after a change.
const POLICY: &str = "default-src 'none'; \
     script-src 'sha256-0ZBbMJQZuLUtNHyBqk+g1Kj9GjMfAexvAMru8F5+lxM='; \
     style-src 'sha256-k3sEWwpSgc2ME6RPMRoW5FePOZ+z0kFtAGsLrRU7ktM='; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'";

/// The page. All of it is known here; what the circuits are called and why they opened is not in it.
pub fn page() -> Reply {
    let headers = [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("vary", "accept"),
    ];
    Reply {
        status: 200,
        details: DETAILS,
        headers: headers.into_iter().collect(),
        body: MARKUP.replace("{style}", STYLE).replace("{script}", SCRIPT).into_bytes(),
        grpc_status: NO_GRPC_STATUS,
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// An inline block as a content security policy names it.
    fn hash(block: &str) -> String {
        format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(block)))
    }

    fn body() -> String {
        String::from_utf8(page().body).unwrap()
    }

    fn policy() -> String {
        let headers = page().headers;
        let mut policies = headers.iter().filter(|(name, _)| *name == b"content-security-policy");
        String::from_utf8(policies.next().unwrap().1.to_vec()).unwrap()
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
        for (directive, tag) in [("script-src", "script"), ("style-src", "style")] {
            let expected = format!("{directive} '{}'", hash(block(&page, tag)));
            assert!(policy().contains(&expected), "expected {expected}");
        }
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
}
