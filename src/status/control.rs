//! Forcing a circuit's state by a request to the status endpoint: who may, and what they ask for.

use sha2::{Digest, Sha256};

use crate::breaker::Forced;
use crate::config::{DAY, duration};
use crate::panel::Order;
use crate::reply::{Reply, problem};
use crate::time::Span;

const DETAILS: &str = "circuit_breaker_control";

/// The SHA-256 of the token that a request must bring.
pub type TokenDigest = [u8; 32];

/// Whether the request brings the token, as RFC 6750 has it. The comparison takes the same time
/// whatever is wrong, so it tells nothing of how near a guess was.
pub fn is_authorized(expected: &TokenDigest, authorization: Option<&[u8]>) -> bool {
    let token = authorization.and_then(|value| {
        let (scheme, token) = value.split_at_checked("bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
    });
    let token = token.filter(|token| !token.is_empty());
    let given = Sha256::digest(token.unwrap_or_default());
    let difference = expected.iter().zip(given).fold(0, |all, (a, b)| all | (a ^ b));
    token.is_some() && difference == 0
}

/// What a request to force or to release asks for: the problem where that is not clear.
pub fn order(method: &[u8], query: &str) -> Result<Order, Reply> {
    if method == b"DELETE" {
        return Ok(Order::Release);
    }
    let [mut state, mut span, mut reason] = [const { None }; 3];
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let place = match &*name {
            "state" => &mut state,
            "for" => &mut span,
            "reason" => &mut reason,
            _ => {
                return Err(refused(&format!(
                    "{name:?} is unknown, expected state, for and reason"
                )));
            }
        };
        if place.replace(value.into_owned()).is_some() {
            return Err(refused(&format!("{name} is given twice, expected once")));
        }
    }
    Ok(Order::Force { to: to(state)?, span: lasting(span)?, reason: words(reason)? })
}

fn to(state: Option<String>) -> Result<Forced, Reply> {
    match state.as_deref() {
        Some("open") => Ok(Forced::Open),
        Some("closed") => Ok(Forced::Closed),
        given => Err(wrong("state", given, "open or closed")),
    }
}

fn lasting(given: Option<String>) -> Result<Span, Reply> {
    let range = Span::from_secs(1)..=DAY;
    let span = given.as_deref().and_then(duration).filter(|span| range.contains(span));
    span.ok_or_else(|| wrong("for", given.as_deref(), "1s to 24h, such as 10m"))
}

fn words(reason: Option<String>) -> Result<String, Reply> {
    let said = reason.filter(|reason| !reason.trim().is_empty());
    said.ok_or_else(|| wrong("reason", None, "a few words for those who will wonder"))
}

fn wrong(name: &str, given: Option<&str>, expected: &str) -> Reply {
    refused(&match given {
        Some(given) => format!("{name}: {given:?} is not that, expected {expected}"),
        None => format!("{name}: missing, expected {expected}"),
    })
}

fn refused(detail: &str) -> Reply {
    problem(400, DETAILS, detail)
}

/// The token is missing or wrong.
pub fn unauthorized() -> Reply {
    let mut reply = problem(401, DETAILS, "the control token is missing or wrong");
    let challenge = "Bearer realm=\"circuit breaker\"".to_owned();
    reply.headers.push("www-authenticate", challenge);
    reply
}

/// No token is configured: nobody may.
pub fn not_configured() -> Reply {
    let detail = "no status.control_token_sha256 is configured, so no state can be forced";
    not_allowed(detail, "GET, HEAD")
}

pub fn not_allowed(detail: &str, allowed: &str) -> Reply {
    let mut reply = problem(405, DETAILS, detail);
    reply.headers.push("allow", allowed);
    reply
}

/// The circuit's mode is off.
pub fn is_off(name: &str) -> Reply {
    problem(409, DETAILS, &format!("the mode of \"{name}\" is off: it has no state to force"))
}

/// There are more circuits than `max_circuits`.
pub fn no_slot() -> Reply {
    let detail = "other circuits have all of max_circuits: those without a slot were not forced";
    problem(503, DETAILS, detail)
}

/// The host did not take it.
pub fn failed() -> Reply {
    problem(503, DETAILS, "the override could not be stored, try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(query: &str) -> String {
        let reply = order(b"PUT", query).unwrap_err();
        assert_eq!(reply.status, 400);
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        body["detail"].as_str().unwrap().to_owned()
    }

    #[test]
    fn an_order_says_what_for_how_long_and_why() {
        assert_eq!(
            order(b"PUT", "state=open&for=10m&reason=a%20%26+b").unwrap(),
            Order::Force {
                to: Forced::Open,
                span: Span::from_secs(600),
                reason: "a & b".to_owned()
            }
        );
        assert_eq!(order(b"DELETE", "").unwrap(), Order::Release);
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        for (query, expected) in [
            ("for=1m&reason=a", "state: missing, expected open or closed"),
            (
                "state=half-open&for=1m&reason=a",
                "state: \"half-open\" is not that, expected open or closed",
            ),
            ("state=open&reason=a", "for: missing, expected 1s to 24h, such as 10m"),
            (
                "state=open&for=25h&reason=a",
                "for: \"25h\" is not that, expected 1s to 24h, such as 10m",
            ),
            (
                "state=open&for=10&reason=a",
                "for: \"10\" is not that, expected 1s to 24h, such as 10m",
            ),
            (
                "state=open&for=10m&reason=+",
                "reason: missing, expected a few words for those who will wonder",
            ),
            ("state=open&state=closed", "state is given twice, expected once"),
            ("until=1m", "\"until\" is unknown, expected state, for and reason"),
        ] {
            assert_eq!(detail(query), expected, "{query}");
        }
    }

    #[test]
    fn only_the_token_opens() {
        let expected = Sha256::digest(b"secret").into();
        for (header, is_it) in [
            (Some(&b"Bearer secret"[..]), true),
            (Some(b"bearer  secret "), true),
            (Some(b"Bearer Secret"), false),
            (Some(b"Bearer secrets"), false),
            (Some(b"Basic secret"), false),
            (Some(b"secret"), false),
            (Some(b"Bearer"), false),
            (Some(b""), false),
            (None, false),
        ] {
            assert_eq!(is_authorized(&expected, header), is_it, "{header:?}");
        }
        // Nor does none, where somebody configured the digest of nothing.
        for header in [None, Some(&b"Bearer "[..]), Some(b"Bearer   ")] {
            assert!(!is_authorized(&Sha256::digest(b"").into(), header));
        }
    }
}
