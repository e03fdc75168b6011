//! Who is told of transitions, besides the log.

use super::error::ConfigError;
use super::node::Node;
use crate::time::Span;

/// What a host may be, for the header that names it.
const AUTHORITY: &str = r#"a host such as "alerts.local" or "alerts.local:8080""#;

/// Where each transition is posted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    pub cluster: String,
    /// With its query, if it has one.
    pub path: String,
    pub authority: String,
    pub timeout: Span,
}

/// `None`: nobody is told.
pub(super) fn read(at: &Node<'_>) -> Result<Option<Webhook>, ConfigError> {
    let [webhook] = at.fields(["webhook"])?;
    webhook.if_given(read_webhook)
}

fn read_webhook(at: &Node<'_>) -> Result<Webhook, ConfigError> {
    let [cluster, path, authority, timeout] =
        at.fields(["cluster", "path", "authority", "timeout"])?;
    let cluster = cluster.text("the name of a cluster", "the name of a cluster", |text| {
        (!text.is_empty()).then(|| text.to_owned())
    })?;
    Ok(Webhook {
        path: path.or(Some("/".to_owned()), |at| {
            at.text("a path", r##"one that begins with "/" and has no "#" or space"##, |text| {
                is_path(text).then(|| text.to_owned())
            })
        })?,
        authority: authority.or(host_of(&cluster), |at| {
            at.text("an authority", AUTHORITY, |text| is_authority(text).then(|| text.to_owned()))
        })?,
        timeout: timeout.or(Some(Span::from_secs(1)), |at| {
            let range = Span::from_millis(1)..=Span::from_secs(60);
            at.duration(r#""1ms" to "1m""#, |span| range.contains(&span).then_some(span))
        })?,
        cluster,
    })
}

/// A cluster is most often called by the name of its host; Istio puts that last, as in
/// `outbound|80||alerts.monitoring.svc.cluster.local`.
fn host_of(cluster: &str) -> Option<String> {
    let host = cluster.rsplit('|').next()?;
    is_authority(host).then(|| host.to_owned())
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

fn is_authority(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    !text.is_empty() && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::error;
    use super::*;

    fn events(events: &str) -> String {
        format!(r#"{{"events": {events}}}"#)
    }

    fn webhook(fields: &str) -> Webhook {
        let document = events(&format!(r#"{{"webhook": {fields}}}"#));
        Config::parse(document.as_bytes()).unwrap().webhook.unwrap()
    }

    fn refuses(fields: &str, problem: &str) {
        let document = events(&format!(r#"{{"webhook": {fields}}}"#));
        assert_eq!(error(&document), format!("events.webhook{problem}"));
    }

    #[test]
    fn nobody_is_told_unless_named() {
        for document in ["{}", r#"{"webhook": null}"#, "null"].map(events) {
            assert_eq!(Config::parse(document.as_bytes()), Config::parse(b""), "{document}");
        }
        assert_eq!(Config::parse(b"").unwrap().webhook, None);
        assert_eq!(
            error(&events(r#"{"web_hook": {}}"#)),
            "events.web_hook: unknown field, expected one of webhook; did you mean `webhook`?"
        );
    }

    #[test]
    fn a_cluster_is_enough() {
        let expected = Webhook {
            cluster: "alerts".to_owned(),
            path: "/".to_owned(),
            authority: "alerts".to_owned(),
            timeout: Span::from_secs(1),
        };
        assert_eq!(webhook(r#"{"cluster": "alerts"}"#), expected);
        refuses("{}", ".cluster: missing, expected the name of a cluster");
        refuses(
            r#"{"cluster": ""}"#,
            r#".cluster: "" is not the name of a cluster, expected the name of a cluster"#,
        );
    }

    #[test]
    fn every_field_can_be_set() {
        let given = r#"{
            "cluster": "c", "path": "/hook?a=b", "authority": "[::1]:80", "timeout": "250ms"
        }"#;
        let Webhook { path, authority, timeout, .. } = webhook(given);
        assert_eq!((path.as_str(), authority.as_str()), ("/hook?a=b", "[::1]:80"));
        assert_eq!(timeout, Span::from_millis(250));
    }

    #[test]
    fn the_host_is_taken_from_the_name_of_a_cluster_that_has_one() {
        assert_eq!(
            webhook(r#"{"cluster": "outbound|80||alerts.svc"}"#).authority,
            "alerts.svc".to_owned()
        );
        for cluster in ["my alerts", "outbound|80||", "a\\nb"] {
            refuses(
                &format!(r#"{{"cluster": "{cluster}"}}"#),
                &format!(".authority: missing, expected {AUTHORITY}"),
            );
        }
        webhook(r#"{"cluster": "my alerts", "authority": "alerts"}"#);
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        for path in ["", "hook", "/a b", "/a#b", "/é"] {
            refuses(
                &format!(r#"{{"cluster": "a", "path": "{path}"}}"#),
                &format!(
                    ".path: \"{path}\" is not a path, expected one that begins with \"/\" and has \
                     no \"#\" or space"
                ),
            );
        }
        refuses(
            r#"{"cluster": "a", "authority": "http://a/"}"#,
            &format!(".authority: \"http://a/\" is not an authority, expected {AUTHORITY}"),
        );
        for timeout in ["0s", "61s"] {
            refuses(
                &format!(r#"{{"cluster": "a", "timeout": "{timeout}"}}"#),
                &format!(".timeout: \"{timeout}\" is out of range, expected \"1ms\" to \"1m\""),
            );
        }
    }
}
