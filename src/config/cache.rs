//! What is kept of good responses, and for whom.

use super::error::ConfigError;
use super::node::Node;
use super::reject::is_header_name;
use super::units::DAY;
use crate::fallback::CacheRules;
use crate::fallback::cache::MIN_BYTES;
use crate::time::Span;

/// Of the budget.
const LEAST: u64 = MIN_BYTES as u64;
/// The longest that a reply may be kept: a week.
const WEEK: Span = Span::from_secs(7 * 24 * 60 * 60);

pub(super) fn read_budget(at: &Node<'_>) -> Result<u64, ConfigError> {
    let [max_bytes] = at.fields(["max_bytes"])?;
    max_bytes.size(r#""1MiB" to "4GiB""#, |bytes| {
        (LEAST..=4_096 * LEAST).contains(&bytes).then_some(bytes)
    })
}

pub(super) fn read(at: &Node<'_>) -> Result<CacheRules, ConfigError> {
    let [
        methods,
        statuses,
        max_age,
        max_body_bytes,
        refresh_after,
        vary_on,
        per_authorization,
        credential_headers,
        request_body,
        body_wait,
        obey_cache_control,
        annotate_json,
    ] = at.fields([
        "methods",
        "statuses",
        "max_age",
        "max_body_bytes",
        "refresh_after",
        "vary_on",
        "per_authorization",
        "credential_headers",
        "request_body",
        "body_wait",
        "obey_cache_control",
        "annotate_json",
    ])?;
    let request_body = request_body.or(Some(false), Node::flag)?;
    let methods = methods.or(owned(&["GET", "HEAD"]), read_methods)?;
    if methods.iter().any(|method| method == "POST") && !request_body {
        return Err(at.refused(
            "methods has POST, expected \"request_body\": true with it: two requests that differ \
             in their bodies are two",
        ));
    }
    Ok(CacheRules {
        methods,
        statuses: statuses.or(Some(vec![200]), read_statuses)?,
        max_age: max_age.or(Some(DAY), |at| {
            let range = Span::from_secs(1)..=WEEK;
            at.duration(r#""1s" to "168h""#, |span| range.contains(&span).then_some(span))
        })?,
        max_body_bytes: max_body_bytes.or(Some(256 << 10), |at| {
            at.size(r#"1 to "256KiB""#, |bytes| {
                usize::try_from(bytes).ok().filter(|bytes| (1..=256 << 10).contains(bytes))
            })
        })?,
        refresh_after: refresh_after.or(Some(Span::from_secs(1)), |at| {
            at.duration(r#""0s" to "24h""#, |span| (span <= DAY).then_some(span))
        })?,
        vary_on: vary_on.or(Some(Vec::new()), read_names)?,
        per_authorization: per_authorization.or(Some(false), Node::flag)?,
        credential_headers: credential_headers
            .or(owned(&["x-api-key", "x-forwarded-client-cert"]), read_names)?,
        request_body,
        body_wait: body_wait.or(Some(Span::from_secs(1)), |at| {
            let range = Span::from_millis(1)..=Span::from_secs(60);
            at.duration(r#""1ms" to "1m""#, |span| range.contains(&span).then_some(span))
        })?,
        obey_cache_control: obey_cache_control.or(Some(true), Node::flag)?,
        annotate_json: annotate_json.or(Some(Vec::new()), read_annotations)?,
    })
}

fn owned(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn read_methods(at: &Node<'_>) -> Result<Vec<String>, ConfigError> {
    let methods = at.list("a list of methods", r#"some of "GET", "HEAD" and "POST""#, |item| {
        item.text("a method that can be cached", r#""GET", "HEAD" or "POST""#, |text| {
            matches!(text, "GET" | "HEAD" | "POST").then(|| text.to_owned())
        })
    })?;
    if methods.iter().all(|method| method == "HEAD") {
        return Err(at.refused(
            "nothing is ever stored, expected \"GET\" or \"POST\" among them: HEAD is served from GET",
        ));
    }
    Ok(methods)
}

fn read_statuses(at: &Node<'_>) -> Result<Vec<u16>, ConfigError> {
    const EXPECTED: &str = "some such as [200, 404]";
    let statuses = at.list("a list of statuses", EXPECTED, |item| {
        item.whole(200..=499, |status| u16::try_from(status).ok())
    })?;
    if statuses.is_empty() {
        return Err(at.refused(&format!("nothing is ever stored, expected {EXPECTED}")));
    }
    if let Some(status @ (206 | 304)) = statuses.iter().find(|it| matches!(it, 206 | 304)) {
        return Err(at.refused(&format!(
            "{status} is an answer to one request alone and never stored, expected {EXPECTED}"
        )));
    }
    Ok(statuses)
}

fn read_names(at: &Node<'_>) -> Result<Vec<String>, ConfigError> {
    at.list("a list of headers", r#"some such as ["accept-language"]"#, |item| {
        item.text("the name of a header", "lower-case letters, digits and \"-\"", |text| {
            is_header_name(text).then(|| text.to_owned())
        })
    })
}

fn read_annotations(at: &Node<'_>) -> Result<Vec<(String, Vec<u8>)>, ConfigError> {
    let values = at
        .entries()?
        .map(|(pointer, value)| {
            if !is_pointer(pointer) {
                return Err(value.refused(
                    "not a JSON pointer, expected one such as \"/metadata/from_fallback\"",
                ));
            }
            Ok((pointer.to_owned(), value.as_json().unwrap_or_else(|| b"null".to_vec())))
        })
        .collect::<Result<Vec<_>, _>>()?;
    for (inner, _) in &values {
        let is_within =
            |outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
        if let Some((outer, _)) = values.iter().find(|(outer, _)| is_within(outer)) {
            return Err(at.refused(&format!(
                "\"{inner}\" lies within \"{outer}\", expected one of the two: set what is within \
                 as part of the other's value"
            )));
        }
    }
    Ok(values)
}

/// RFC 6901, 3. The whole document cannot be annotated.
fn is_pointer(text: &str) -> bool {
    let escapes = |text: &str| text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    text.starts_with('/') && escapes(text)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{error, policy, with};
    use super::*;
    use crate::config::Config;
    use crate::fallback::Way;

    fn rules(fields: &str) -> CacheRules {
        let document = with("fallback", &format!(r#"[{{"cache": {fields}}}]"#));
        match policy(&document, "any").fallback.first().map(|link| link.way.clone()) {
            Some(Way::Cache(rules)) => rules,
            other => panic!("{other:?}"),
        }
    }

    fn refuses(fields: &str, problem: &str) {
        let document = with("fallback", &format!(r#"[{{"cache": {fields}}}]"#));
        assert_eq!(error(&document), format!("defaults.fallback.0.cache{problem}"));
    }

    #[test]
    fn the_documented_defaults_hold() {
        let rules = rules("{}");
        assert_eq!(rules.methods, ["GET", "HEAD"]);
        assert_eq!((rules.statuses, rules.max_body_bytes), (vec![200], 262_144));
        assert_eq!((rules.max_age, rules.refresh_after), (DAY, Span::from_secs(1)));
        assert_eq!(rules.credential_headers, ["x-api-key", "x-forwarded-client-cert"]);
        assert_eq!((rules.vary_on, rules.annotate_json), (vec![], vec![]));
        assert_eq!((rules.per_authorization, rules.request_body), (false, false));
        assert_eq!((rules.obey_cache_control, rules.body_wait), (true, Span::from_secs(1)));
        assert_eq!(Config::parse(b"").unwrap().cache_bytes, 32 << 20);
    }

    #[test]
    fn every_field_can_be_set() {
        let rules = rules(
            r#"{
                "methods": ["GET"], "statuses": [200, 404], "max_age": "1h",
                "max_body_bytes": "64KiB", "refresh_after": "0s", "vary_on": ["accept-language"],
                "per_authorization": true, "credential_headers": [],
                "body_wait": "250ms", "obey_cache_control": false,
                "annotate_json": {"/metadata/from_fallback": true, "/a~1b": {"c": [1]}}
            }"#,
        );
        assert_eq!((rules.methods, rules.statuses), (vec!["GET".to_owned()], vec![200, 404]));
        assert_eq!((rules.max_age, rules.max_body_bytes), (Span::from_secs(3_600), 65_536));
        assert_eq!(
            (rules.refresh_after, rules.vary_on),
            (Span::ZERO, vec!["accept-language".to_owned()])
        );
        assert_eq!(rules.credential_headers, Vec::<String>::new());
        assert!(rules.per_authorization && !rules.obey_cache_control);
        assert_eq!(rules.body_wait, Span::from_millis(250));
        let expected = [
            ("/metadata/from_fallback".to_owned(), b"true".to_vec()),
            ("/a~1b".to_owned(), br#"{"c":[1]}"#.to_vec()),
        ];
        assert_eq!(rules.annotate_json, expected);
    }

    #[test]
    fn a_post_is_only_told_from_another_by_its_body() {
        refuses(
            r#"{"methods": ["POST"]}"#,
            ": methods has POST, expected \"request_body\": true with it: two requests that differ \
             in their bodies are two",
        );
    }

    #[test]
    fn a_post_is_stored_where_its_body_is_in_the_key() {
        let rules = rules(r#"{"methods": ["POST"], "request_body": true}"#);
        assert!(rules.request_body && rules.methods == ["POST"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        refuses(
            r#"{"methods": ["PUT"]}"#,
            ".methods: \"PUT\" is not a method that can be cached, expected \"GET\", \"HEAD\" or \"POST\"",
        );
        refuses(
            r#"{"methods": ["HEAD"]}"#,
            ".methods: nothing is ever stored, expected \"GET\" or \"POST\" among them: HEAD is \
             served from GET",
        );
        refuses(
            r#"{"statuses": []}"#,
            ".statuses: nothing is ever stored, expected some such as [200, 404]",
        );
        refuses(
            r#"{"statuses": [200, 304]}"#,
            ".statuses: 304 is an answer to one request alone and never stored, expected some such \
             as [200, 404]",
        );
        refuses(
            r#"{"annotate_json": {"/a/b": 1, "/a": 2}}"#,
            ".annotate_json: \"/a/b\" lies within \"/a\", expected one of the two: set what is within \
             as part of the other's value",
        );
        refuses(r#"{"statuses": [500]}"#, ".statuses: 500 is out of range, expected 200 to 499");
        refuses(
            r#"{"max_body_bytes": "1MiB"}"#,
            ".max_body_bytes: \"1MiB\" is out of range, expected 1 to \"256KiB\"",
        );
        refuses(
            r#"{"max_body_bytes": "64kb"}"#,
            ".max_body_bytes: \"64kb\" is not a size, expected bytes, or a number with a unit such \
             as \"64KiB\" or \"1MiB\"",
        );
        refuses(
            r#"{"vary_on": ["Accept"]}"#,
            ".vary_on: \"Accept\" is not the name of a header, expected lower-case letters, digits \
             and \"-\"",
        );
        refuses(
            r#"{"annotate_json": {"metadata": 1}}"#,
            ".annotate_json.metadata: not a JSON pointer, expected one such as \
             \"/metadata/from_fallback\"",
        );
        assert_eq!(
            error(r#"{"cache": {"max_bytes": 1000}}"#),
            "cache.max_bytes: 1000 is out of range, expected \"1MiB\" to \"4GiB\""
        );
    }
}
