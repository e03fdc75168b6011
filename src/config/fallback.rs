//! What answers in place of an upstream.

use super::cache;
use super::error::ConfigError;
use super::node::Node;
use super::reject::{read_headers, read_reply_headers};
use crate::fallback::{Fallback, Reroute, Respond, Way, When};

const WAYS: &str = r#"{"cache": {}}, {"reroute": {"circuit": "backup"}} or {"respond": {"status": 200, "json": {}}}"#;

pub(super) fn read(at: &Node<'_>) -> Result<Vec<Fallback>, ConfigError> {
    let chain = at.numbered("a list of fallbacks", &format!("some such as {WAYS}"), read_one)?;
    let caches = chain.iter().filter(|fallback| matches!(fallback.way, Way::Cache(_)));
    if caches.count() > 1 {
        return Err(
            at.refused("two caches, expected one at most: a reply is stored by one set of rules")
        );
    }
    Ok(chain)
}

fn read_one(at: &Node<'_>) -> Result<Fallback, ConfigError> {
    let [cache, reroute, respond, on] = at.fields(["cache", "reroute", "respond", "on"])?;
    let is_given = [&cache, &reroute, &respond].map(|way| !way.is_absent());
    let way = match is_given {
        [true, false, false] => Way::Cache(cache::read(&cache)?),
        [false, true, false] => Way::Reroute(read_reroute(&reroute)?),
        [false, false, true] => Way::Respond(read_respond(&respond)?),
        _ => return Err(at.refused(&format!("not one fallback, expected one such as {WAYS}"))),
    };
    let when =
        if on.is_absent() { When { rejected: true, failed: false } } else { read_when(&on)? };
    if when.failed && matches!(way, Way::Reroute(_)) {
        return Err(on.refused(
            "a request that has failed cannot be re-routed, expected [\"rejected\"] for reroute",
        ));
    }
    Ok(Fallback { when, way })
}

fn read_when(at: &Node<'_>) -> Result<When, ConfigError> {
    const EXPECTED: &str = r#"["rejected"], ["failed"] or both"#;
    let mut when = When { rejected: false, failed: false };
    let moments = at.list("a list of moments", EXPECTED, |item| {
        item.text("a moment", r#""rejected" or "failed""#, |text| {
            matches!(text, "rejected" | "failed").then_some(text)
        })
    })?;
    when.rejected = moments.contains(&"rejected");
    when.failed = moments.contains(&"failed");
    if when == (When { rejected: false, failed: false }) {
        return Err(at.refused(&format!("for no request, expected {EXPECTED}")));
    }
    Ok(when)
}

fn read_reroute(at: &Node<'_>) -> Result<Reroute, ConfigError> {
    let [circuit, headers] = at.fields(["circuit", "headers"])?;
    Ok(Reroute {
        circuit: circuit.text("the name of a circuit", "the name of one cluster", |text| {
            (!text.is_empty() && !text.contains('*')).then(|| text.to_owned())
        })?,
        headers: read_headers(&headers)?,
    })
}

fn read_respond(at: &Node<'_>) -> Result<Respond, ConfigError> {
    let [status, headers, json, body] = at.fields(["status", "headers", "json", "body"])?;
    let (content_type, body) = match (json.is_absent(), body.is_absent()) {
        (false, false) => {
            return Err(at.refused("json and body are both given, expected one of them"));
        }
        (true, false) => {
            let text = body.text("a string", "text", |text| Some(text.as_bytes().to_vec()))?;
            ("text/plain", text)
        }
        (_, true) => ("application/json", json.as_json().unwrap_or_else(|| b"{}".to_vec())),
    };
    Ok(Respond {
        status: status.or(Some(200), |at| at.whole(200..=599, |n| u16::try_from(n).ok()))?,
        headers: read_reply_headers(&headers)?,
        content_type,
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{error, policy, refuses, with};
    use super::*;

    fn chain(json: &str) -> Vec<Fallback> {
        policy(&with("fallback", json), "any").fallback.clone()
    }

    #[test]
    fn there_is_none_by_default() {
        assert_eq!(policy("", "any").fallback, []);
    }

    #[test]
    fn a_chain_is_read_in_its_order() {
        let chain = chain(
            r#"[
                {"reroute": {"circuit": "backup"}},
                {"reroute": {"circuit": "other", "headers": {"x-to": "other"}}},
                {"respond": {"status": 202, "json": {"b": [1, null, "é"], "a": 1.5}}, "on": ["failed", "rejected"]},
                {"respond": {"headers": {"x-a": "b"}, "body": "sorry"}, "on": ["failed"]},
                {"respond": {}}
            ]"#,
        );
        let rejected = When { rejected: true, failed: false };
        let reroute =
            |circuit: &str, headers| Way::Reroute(Reroute { circuit: circuit.to_owned(), headers });
        let respond = |status, headers, content_type, body: &str| {
            Way::Respond(Respond { status, headers, content_type, body: body.as_bytes().to_vec() })
        };
        let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let json = "application/json";
        assert_eq!(
            chain,
            [
                Fallback { when: rejected, way: reroute("backup", vec![]) },
                Fallback { when: rejected, way: reroute("other", header("x-to", "other")) },
                Fallback {
                    when: When { rejected: true, failed: true },
                    way: respond(202, vec![], json, r#"{"b":[1,null,"é"],"a":1.5}"#),
                },
                Fallback {
                    when: When { rejected: false, failed: true },
                    way: respond(200, header("x-a", "b"), "text/plain", "sorry"),
                },
                Fallback { when: rejected, way: respond(200, vec![], json, "{}") },
            ]
        );
    }

    #[test]
    fn a_chain_replaces_that_of_the_defaults_whole() {
        let document = r#"{
            "defaults": {"fallback": [{"respond": {}}, {"respond": {}}]},
            "circuits": {"a": {"fallback": []}, "b": {"fallback": [{"reroute": {"circuit": "a"}}]}}
        }"#;
        let links = |cluster| policy(document, cluster).fallback.len();
        assert_eq!((links("any"), links("a"), links("b")), (2, 0, 1));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_in_the_chain() {
        let line = |json: &str| error(&with("fallback", json));
        assert_eq!(
            line(r#"[{"respond": {}}, {"respond": {"status": 99}}]"#),
            "defaults.fallback.1.respond.status: 99 is out of range, expected 200 to 599"
        );
        assert_eq!(
            line(r#"[{"respond": {"json": {}, "body": ""}}]"#),
            "defaults.fallback.0.respond: json and body are both given, expected one of them"
        );
        assert_eq!(
            line(r#"[{"reroute": {"circuit": "a"}, "on": ["failed"]}]"#),
            "defaults.fallback.0.on: a request that has failed cannot be re-routed, expected \
             [\"rejected\"] for reroute"
        );
        for both in [r#"[{}]"#, r#"[{"respond": {}, "reroute": {"circuit": "a"}}]"#] {
            assert!(
                line(both).starts_with("defaults.fallback.0: not one fallback, expected"),
                "{both}"
            );
        }
        assert!(line(r#"[{"respond": {}, "on": []}]"#).contains("for no request"));
        assert!(
            line(r#"[{"respond": {}, "on": ["never"]}]"#).contains("\"never\" is not a moment")
        );
        assert!(line(r#"[{"reroute": {}}]"#).contains("circuit: missing"));
        refuses(
            "fallback",
            r#"[{"cache": {}}, {"cache": {}}]"#,
            "two caches, expected one at most: a reply is stored by one set of rules",
        );
        refuses(
            "fallback",
            r#"[{}, {}, {}, {}, {}, {}, {}, {}, {}]"#,
            "9 items, expected at most 8",
        );
        refuses(
            "fallback",
            "{}",
            &format!("an object is not a list of fallbacks, expected some such as {WAYS}"),
        );
    }
}
