//! Which form of the status a client wants: RFC 9110, section 12.5.1.

/// Whether a client that sent this `Accept` would rather have the page than JSON. Programs that say
/// nothing, or that anything will do, get JSON.
pub fn prefers_page(accept: &str) -> bool {
    weight(accept, "text", "html") > weight(accept, "application", "json")
}

/// How welcome a media type is, from 0 to 1000. The most exact range that matches it decides.
fn weight(accept: &str, kind: &str, subtype: &str) -> u32 {
    let mut best = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let (given_kind, given_subtype) =
            parts.next().and_then(|range| range.split_once('/')).unwrap_or_default();
        let exactness = match (given_kind, given_subtype) {
            ("*", "*") => 1,
            (given, "*") if given.eq_ignore_ascii_case(kind) => 2,
            (given, sub)
                if given.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) =>
            {
                3
            }
            _ => continue,
        };
        if exactness > best.0 {
            best = (exactness, parts.find_map(quality).unwrap_or(1000));
        }
    }
    best.1
}

/// `q=0.8` is 800; what is no number of at most three decimals makes a range unwelcome.
fn quality(parameter: &str) -> Option<u32> {
    let (name, value) = parameter.split_once('=')?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let is_known = whole.len() == 1 && fraction.len() <= 3;
    let thousandths = is_known.then(|| format!("{whole}{fraction:0<3}").parse().ok()).flatten();
    name.eq_ignore_ascii_case("q").then(|| thousandths.unwrap_or(0).min(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_page() {
        for accept in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html",
            "text/*",
            "Text/HTML; level=1; Q=0.2",
            "application/json;q=0.5, text/html;q=0.7",
            "*/*;q=0.1, text/html;q=0.2",
            "*/*, application/json;q=0.9",
        ] {
            assert!(prefers_page(accept), "{accept}");
        }
    }

    #[test]
    fn whoever_does_not_ask_for_the_page_gets_json() {
        for accept in [
            "",
            "*/*",
            "application/json",
            "application/json, text/html",
            "text/html;q=0.5, */*",
            "text/html;q=0",
            "text/html;q=no",
            "text/html;q=0.0",
            "text/html;q=0.5555",
            "text/html;q=-1",
            "text/html;q=0.09, */*;q=0.1",
            "text/plain",
            "text/htmlish",
            "html",
            ",;/=,q=1",
        ] {
            assert!(!prefers_page(accept), "{accept}");
        }
    }
}
