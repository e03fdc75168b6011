//! A fixed answer.

use crate::breaker::State;
use crate::headers::HeaderMap;
use crate::reply::{NO_GRPC_STATUS, Reply};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respond {
    pub status: u16,
    /// Names are lower-case.
    pub headers: Vec<(String, String)>,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

impl Respond {
    pub fn reply(&self, state: State, details: &'static str) -> Reply {
        let mut reply = Reply {
            status: self.status,
            details,
            headers: HeaderMap::default(),
            body: if matches!(self.status, 204 | 205 | 304) {
                Vec::new()
            } else {
                self.body.clone()
            },
            grpc_status: NO_GRPC_STATUS,
        };
        reply.headers.push("x-circuit-breaker", state.as_str());
        reply.headers.push("x-circuit-breaker-fallback", "respond");
        reply.headers.extend(self.headers.iter().map(|(name, value)| (name, value)));
        reply.add_default("cache-control", "no-store");
        if !reply.body.is_empty() {
            reply.add_default("content-type", self.content_type);
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respond(status: u16, headers: &[(&str, &str)]) -> Respond {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Respond { status, headers, content_type: "application/json", body: b"{}".to_vec() }
    }

    fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
        let mut named = reply.headers.iter().filter(|(known, _)| *known == name.as_bytes());
        named.next().map(|(_, value)| str::from_utf8(value).unwrap())
    }

    #[test]
    fn says_what_it_is_and_that_it_must_not_be_kept() {
        let reply = respond(200, &[("x-a", "b")]).reply(State::Open, "circuit_breaker_open");
        assert_eq!((reply.status, &reply.body[..]), (200, &b"{}"[..]));
        for (name, value) in [
            ("x-circuit-breaker", "open"),
            ("x-circuit-breaker-fallback", "respond"),
            ("cache-control", "no-store"),
            ("content-type", "application/json"),
            ("x-a", "b"),
        ] {
            assert_eq!(header(&reply, name), Some(value), "{name}");
        }
    }

    #[test]
    fn headers_of_the_configuration_win_over_defaults() {
        let given = [("content-type", "text/html"), ("cache-control", "max-age=5")];
        let reply = respond(200, &given).reply(State::Open, "");
        assert_eq!(header(&reply, "content-type"), Some("text/html"));
        assert_eq!(header(&reply, "cache-control"), Some("max-age=5"));
    }

    #[test]
    fn a_status_without_content_has_none() {
        let reply = respond(204, &[]).reply(State::Open, "");
        assert!(reply.body.is_empty() && header(&reply, "content-type").is_none());
    }
}
