//! The status endpoint: what the circuits are doing, as JSON.

use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::breaker::State;
use crate::config::Mode;
use crate::panel::View;
use crate::reply::{Reply, document, problem};
use crate::time::Span;

const DETAILS: &str = "circuit_breaker_status";

/// What a request on the status path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    All,
    One(String),
}

#[derive(Serialize)]
struct All {
    circuit_breakers: Vec<Entry>,
    timestamp: f64,
}

#[derive(Serialize)]
struct One {
    circuit_breaker: Entry,
    timestamp: f64,
}

/// Times are unix seconds, or null.
#[derive(Serialize)]
struct Entry {
    name: String,
    state: &'static str,
    enabled: bool,
    mode: &'static str,
    fail_count: u32,
    last_failure_time: Option<f64>,
    is_healthy: bool,
    generation: u32,
    opened_at: Option<f64>,
    retry_after: Option<u64>,
    reason: Option<String>,
    requests: u32,
    failures: u32,
    slow: u32,
    requests_total: u64,
    failures_total: u64,
    rejected: u64,
    /// None can be set yet: the key is part of the contract that readers rely on.
    r#override: Option<()>,
}

/// What `path` asks for below `base`; `None` where it is another path. The query is not looked at.
pub fn asked(base: &str, path: &str) -> Option<Asked> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    match path.strip_prefix(base)? {
        "" | "/" => Some(Asked::All),
        rest => rest
            .strip_prefix('/')
            .map(|name| Asked::One(percent_decode_str(name).decode_utf8_lossy().into_owned())),
    }
}

/// All circuits. `wall` is the time since the unix epoch.
pub fn all(views: Vec<View>, wall: Span) -> Reply {
    let circuit_breakers = views.into_iter().map(|view| entry(view, wall)).collect();
    document(200, DETAILS, "application/json", &All { circuit_breakers, timestamp: seconds(wall) })
}

/// One circuit.
pub fn one(name: &str, view: Option<View>, wall: Span) -> Reply {
    match view {
        Some(view) => {
            let one = One { circuit_breaker: entry(view, wall), timestamp: seconds(wall) };
            document(200, DETAILS, "application/json", &one)
        }
        None => problem(404, DETAILS, &format!("there is no circuit named \"{name}\"")),
    }
}

/// Any method but GET and HEAD.
pub fn method_not_allowed() -> Reply {
    let mut reply = problem(405, DETAILS, "the status is read with GET");
    reply.headers.push(("allow".to_owned(), "GET, HEAD".to_owned()));
    reply
}

fn entry(view: View, wall: Span) -> Entry {
    let ago =
        |span: Span| seconds(Span::from_nanos(wall.as_nanos().saturating_sub(span.as_nanos())));
    Entry {
        state: view.state.as_str(),
        enabled: view.mode != Mode::Off,
        mode: view.mode.as_str(),
        fail_count: view.tally.failures,
        last_failure_time: view.last_failure.map(ago),
        is_healthy: view.state == State::Closed,
        generation: view.generation,
        opened_at: view.opened.map(ago),
        retry_after: view.retry_after.map(|span| span.as_secs_ceil().max(1)),
        reason: view.reason.map(|reason| reason.to_string()),
        // Calls that are slow already have no outcome yet.
        requests: view.tally.requests().max(view.tally.timed()),
        failures: view.tally.failures,
        slow: view.tally.slow,
        requests_total: view.successes_total.saturating_add(view.failures_total),
        failures_total: view.failures_total,
        rejected: view.rejected_total,
        r#override: None,
        name: view.name,
    }
}

/// Unix seconds, to the millisecond.
fn seconds(wall: Span) -> f64 {
    wall.as_unix_seconds()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::{Tally, TripReason};

    fn view() -> View {
        View {
            name: "hf_api".to_owned(),
            mode: Mode::Enforce,
            state: State::Open,
            generation: 3,
            reason: Some(TripReason::ConsecutiveFailures { failures: 5 }),
            tally: Tally { successes: 7, failures: 5, fast: 9, slow: 3 },
            last_failure: Some(Span::from_secs(2)),
            opened: Some(Span::from_secs(2)),
            retry_after: Some(Span::from_millis(27_500)),
            successes_total: 70,
            failures_total: 30,
            rejected_total: 4,
        }
    }

    const WALL: Span = Span::from_millis(1_703_700_000_250);

    fn body(reply: &Reply) -> serde_json::Value {
        serde_json::from_slice(&reply.body).unwrap()
    }

    #[test]
    fn an_entry_says_all_there_is_to_say() {
        let reply = one("hf_api", Some(view()), WALL);
        assert_eq!(reply.status, 200);
        let expected = serde_json::json!({
            "circuit_breaker": {
                "name": "hf_api", "state": "open", "enabled": true, "mode": "enforce",
                "fail_count": 5, "last_failure_time": 1_703_699_998.25, "is_healthy": false,
                "generation": 3, "opened_at": 1_703_699_998.25, "retry_after": 28,
                "reason": "5 consecutive failures", "requests": 12, "failures": 5,
                "slow": 3, "requests_total": 100, "failures_total": 30, "rejected": 4, "override": null,
            },
            "timestamp": 1_703_700_000.25,
        });
        assert_eq!(body(&reply), expected);
    }

    #[test]
    fn an_open_circuit_does_not_make_the_status_fail() {
        let reply = all(vec![view(), view()], WALL);
        assert_eq!(reply.status, 200);
        assert_eq!(body(&reply)["circuit_breakers"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn an_unknown_circuit_is_a_problem() {
        let reply = one("no\"ne", None, WALL);
        assert_eq!(reply.status, 404);
        assert_eq!(body(&reply)["detail"], "there is no circuit named \"no\"ne\"");
    }

    #[test]
    fn paths_ask_for_all_or_one() {
        let base = "/-/circuit-breakers";
        let one = |name: &str| Some(Asked::One(name.to_owned()));
        assert_eq!(asked(base, "/-/circuit-breakers"), Some(Asked::All));
        assert_eq!(asked(base, "/-/circuit-breakers/?x=1"), Some(Asked::All));
        assert_eq!(asked(base, "/-/circuit-breakers/a.b"), one("a.b"));
        assert_eq!(
            asked(base, "/-/circuit-breakers/outbound%7C80%7C%7Cb?x"),
            one("outbound|80||b")
        );
        assert_eq!(asked(base, "/-/circuit-breakers/a%2"), one("a%2"));
        assert_eq!(asked(base, "/-/circuit-breakers-of-others"), None);
        assert_eq!(asked(base, "/"), None);
    }
}
