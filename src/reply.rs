//! What a rejected client gets.

mod rejections;

use serde::Serialize;

pub use rejections::Rejections;

use crate::breaker::{RejectReason, State};
use crate::config::Reject;
use crate::headers::HeaderMap;

const UNAVAILABLE: i32 = 14;
/// No gRPC status: the host derives one where it needs one.
pub const NO_GRPC_STATUS: i32 = -1;

/// A local reply, as the host is to send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// Shown as `%RESPONSE_CODE_DETAILS%`.
    pub details: &'static str,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub grpc_status: i32,
}

/// The problem document of RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    rejected: Option<Rejected<'a>>,
}

/// Our own members of a rejection's problem document.
#[derive(Serialize)]
struct Rejected<'a> {
    circuit: &'a str,
    state: &'a str,
    retry_after: u64,
}

impl<'a> Problem<'a> {
    const fn new(status: u16, detail: &'a str, rejected: Option<Rejected<'a>>) -> Self {
        Self { r#type: "about:blank", title: title(status), status, detail, rejected }
    }
}

impl Reply {
    /// A header, unless there is one of that name.
    pub fn add_default(&mut self, name: &str, value: &str) {
        if !self.headers.has(name) {
            self.headers.push(name, value);
        }
    }
}

/// The state that a rejected client is told, and the details that the access log is.
pub const fn told(reason: RejectReason) -> (State, &'static str) {
    match reason {
        RejectReason::Open => (State::Open, "circuit_breaker_open"),
        RejectReason::ProbesInFlight | RejectReason::NoProbe => {
            (State::HalfOpen, "circuit_breaker_half_open")
        }
    }
}

/// The reply of last resort.
fn reject(
    circuit: &str,
    reject: &Reject,
    reason: RejectReason,
    retry_after: u64,
    is_grpc: bool,
) -> Reply {
    let (state, details) = told(reason);
    let state = state.as_str();
    let detail = format!(
        "circuit breaker for upstream cluster \"{circuit}\" is {state}; \
         the service is temporarily unavailable"
    );
    let mut reply = Reply {
        status: reject.status,
        details,
        headers: HeaderMap::default(),
        body: Vec::new(),
        grpc_status: NO_GRPC_STATUS,
    };
    reply.headers.push("retry-after", retry_after.to_string());
    reply.headers.push("x-circuit-breaker", state);
    reply.headers.extend(reject.headers.iter().map(|(name, value)| (name, value)));
    reply.add_default("cache-control", "no-store");
    if is_grpc {
        // The host makes a trailers-only response of it, with the body as message.
        return Reply { body: detail.into_bytes(), grpc_status: UNAVAILABLE, ..reply };
    }
    match &reject.body {
        _ if matches!(reject.status, 204 | 205 | 304) => {}
        Some(text) => {
            reply.add_default("content-type", "text/plain");
            reply.body = text.clone().into_bytes();
        }
        None => {
            reply.add_default("content-type", "application/problem+json");
            let rejected = Rejected { circuit, state, retry_after };
            reply.body = json(&Problem::new(reject.status, &detail, Some(rejected)));
        }
    }
    reply
}

/// A problem that is no rejection.
pub fn problem(status: u16, details: &'static str, detail: &str) -> Reply {
    let problem = Problem::new(status, detail, None);
    document(status, details, "application/problem+json", &problem)
}

/// A reply of our own that is no rejection.
pub fn document(
    status: u16,
    details: &'static str,
    content_type: &str,
    document: &impl Serialize,
) -> Reply {
    let headers = [
        ("content-type", content_type),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ];
    Reply {
        status,
        details,
        headers: headers.into_iter().collect(),
        body: json(document),
        grpc_status: NO_GRPC_STATUS,
    }
}

fn json(document: &impl Serialize) -> Vec<u8> {
    // Our documents have string keys and finite numbers: they always serialise.
    serde_json::to_vec(document).unwrap_or_default()
}

/// The phrase of a status, which is what `about:blank` asks for as title (RFC 9457, 4.2.1).
const fn title(status: u16) -> Option<&'static str> {
    Some(match status {
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    fn default_reject() -> Reject {
        Reject { status: 503, headers: Vec::new(), body: None }
    }

    fn header<'a>(reply: &'a Reply, name: &str) -> Vec<&'a str> {
        let named = reply.headers.iter().filter(|(given, _)| *given == name.as_bytes());
        named.map(|(_, value)| str::from_utf8(value).unwrap()).collect()
    }

    #[test]
    fn a_rejection_is_a_problem_document_that_says_when_to_come_back() {
        let reply = reject("hf_api", &default_reject(), RejectReason::Open, 27, false);
        assert_eq!(reply.status, 503);
        assert_eq!(reply.details, "circuit_breaker_open");
        assert_eq!(header(&reply, "retry-after"), ["27"]);
        assert_eq!(header(&reply, "x-circuit-breaker"), ["open"]);
        assert_eq!(header(&reply, "cache-control"), ["no-store"]);
        assert_eq!(header(&reply, "content-type"), ["application/problem+json"]);
        assert_eq!(
            String::from_utf8(reply.body).unwrap(),
            r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"circuit breaker for upstream cluster \"hf_api\" is open; the service is temporarily unavailable","circuit":"hf_api","state":"open","retry_after":27}"#
        );
    }

    #[test]
    fn half_open_is_a_rejection_of_its_own() {
        let reply = reject("a", &default_reject(), RejectReason::ProbesInFlight, 1, false);
        assert_eq!(reply.details, "circuit_breaker_half_open");
        assert_eq!(header(&reply, "x-circuit-breaker"), ["half-open"]);
        assert_eq!(header(&reply, "retry-after"), ["1"]);
    }

    #[test]
    fn a_grpc_client_gets_the_detail_as_message() {
        let reply = reject("a", &default_reject(), RejectReason::Open, 27, true);
        assert_eq!(reply.grpc_status, 14);
        assert!(String::from_utf8(reply.body.clone()).unwrap().starts_with("circuit breaker for"));
        assert!(header(&reply, "content-type").is_empty());
    }

    #[test]
    fn what_the_operator_configured_wins() {
        let configured = Reject {
            status: 429,
            headers: vec![
                ("content-type".into(), "text/html".into()),
                ("x-team".into(), "a".into()),
            ],
            body: Some("<p>later</p>".into()),
        };
        let reply = reject("a", &configured, RejectReason::Open, 27, false);
        assert_eq!((reply.status, reply.body.as_slice()), (429, &b"<p>later</p>"[..]));
        assert_eq!(header(&reply, "content-type"), ["text/html"]);
        assert_eq!(header(&reply, "x-team"), ["a"]);
    }

    #[test]
    fn a_hostile_name_stays_data() {
        let reply = reject("a\"\n<b>", &default_reject(), RejectReason::Open, 27, false);
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["circuit"], "a\"\n<b>");
    }
}
