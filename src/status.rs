//! The status endpoint: what the circuits are doing, as JSON and as a page.

mod accept;
pub mod control;
mod page;

use std::rc::Rc;

use percent_encoding::percent_decode_str;
use serde::{Serialize, Serializer};

use crate::breaker::State;
use crate::config::{CircuitPolicy, Mode};
use crate::panel::{self, View};
use crate::reply::{Reply, document, problem};
use crate::time::Span;

pub use self::accept::prefers_page;
pub use self::page::page;

const DETAILS: &str = "circuit_breaker_status";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a request on the status path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    All,
    One(String),
    /// What is forced of a circuit.
    Override(String),
}

#[derive(Serialize)]
struct All {
    circuit_breakers: Vec<Entry>,
    version: &'static str,
    timestamp: f64,
}

#[derive(Serialize)]
struct One {
    circuit_breaker: Entry,
    version: &'static str,
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
    would_reject: u64,
    would_reject_succeeded: u64,
    r#override: Option<Override>,
    #[serde(flatten)]
    details: Option<Details>,
}

#[derive(Serialize)]
struct Override {
    state: &'static str,
    until: f64,
    reason: String,
}

#[derive(Serialize)]
struct Details {
    probes: Vec<Probe>,
    transitions: Vec<Transition>,
    last_failures: Vec<Failure>,
    policy: Policy,
}

#[derive(Serialize)]
struct Probe {
    stage: &'static str,
    granted_at: f64,
    expires_at: Option<f64>,
}

#[derive(Serialize)]
struct Transition {
    at: f64,
    from: &'static str,
    to: &'static str,
    reason: String,
    generation: u32,
}

#[derive(Serialize)]
struct Failure {
    at: f64,
    status: Option<u16>,
    details: String,
}

/// As it is configured.
struct Policy(Rc<CircuitPolicy>);

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.document.serialize(to)
    }
}

/// What `path` asks for below `base`; `None` where it is another path. The query is not looked at.
pub fn asked(base: &str, path: &str) -> Option<Asked> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    match path.strip_prefix(base)? {
        "" | "/" => Some(Asked::All),
        rest => {
            let rest = rest.strip_prefix('/')?;
            let name = |name| percent_decode_str(name).decode_utf8_lossy().into_owned();
            Some(match rest.strip_suffix("/override") {
                Some(rest) => Asked::Override(name(rest)),
                None => Asked::One(name(rest)),
            })
        }
    }
}

/// All circuits; who prefers it gets the [`page()`] instead. `wall` is the time since the unix epoch.
pub fn all(views: Vec<View>, wall: Span) -> Reply {
    let circuit_breakers = views.into_iter().map(|view| entry(view, wall)).collect();
    let all = All { circuit_breakers, version: VERSION, timestamp: seconds(wall) };
    let mut reply = document(200, DETAILS, "application/json", &all);
    reply.headers.push("vary", "accept");
    reply
}

/// One circuit.
pub fn one(name: &str, view: Option<View>, wall: Span) -> Reply {
    match view {
        Some(view) => {
            let circuit_breaker = entry(view, wall);
            let one = One { circuit_breaker, version: VERSION, timestamp: seconds(wall) };
            document(200, DETAILS, "application/json", &one)
        }
        None => problem(404, DETAILS, &format!("there is no circuit named \"{name}\"")),
    }
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
        reason: view.reason,
        // Calls that are slow already have no outcome yet.
        requests: view.tally.requests().max(view.tally.timed()),
        failures: view.tally.failures,
        slow: view.tally.slow,
        requests_total: view.successes_total.saturating_add(view.failures_total),
        failures_total: view.failures_total,
        rejected: view.rejected_total,
        would_reject: view.would_reject_total,
        would_reject_succeeded: view.would_reject_succeeded_total,
        r#override: view.forced.map(|(state, left, reason)| Override {
            state: state.as_str(),
            until: seconds(wall + left),
            reason,
        }),
        details: view.details.map(|it| details(it, wall)),
        name: view.name,
    }
}

fn details(view: panel::Details, wall: Span) -> Details {
    let ago = |span: Span| seconds(wall.less(span));
    let probe = |probe: panel::Probe| Probe {
        stage: probe.stage,
        granted_at: ago(probe.granted),
        expires_at: probe.left.map(|left| seconds(wall + left)),
    };
    let transition = |(span, past): (Span, panel::Past)| Transition {
        at: ago(span),
        from: past.from.as_str(),
        to: past.to.as_str(),
        reason: past.reason,
        generation: past.generation,
    };
    let failure = |(span, failed): (Span, panel::Failed)| Failure {
        at: ago(span),
        status: failed.status,
        details: failed.details,
    };
    Details {
        probes: view.probes.into_iter().map(probe).collect(),
        transitions: view.transitions.into_iter().map(transition).collect(),
        last_failures: view.failures.into_iter().map(failure).collect(),
        policy: Policy(view.policy),
    }
}

/// Unix seconds, to the millisecond.
fn seconds(wall: Span) -> f64 {
    wall.as_unix_seconds()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::Tally;

    fn view() -> View {
        View {
            name: "hf_api".to_owned(),
            mode: Mode::Enforce,
            state: State::Open,
            generation: 3,
            reason: Some("5 consecutive failures".to_owned()),
            tally: Tally { successes: 7, failures: 5, fast: 9, slow: 3 },
            last_failure: Some(Span::from_secs(2)),
            opened: Some(Span::from_secs(2)),
            retry_after: Some(Span::from_millis(27_500)),
            successes_total: 70,
            failures_total: 30,
            rejected_total: 4,
            would_reject_total: 2,
            would_reject_succeeded_total: 1,
            forced: None,
            details: None,
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
                "slow": 3, "requests_total": 100, "failures_total": 30, "rejected": 4, "would_reject": 2,
                "would_reject_succeeded": 1, "override": null,
            },
            "version": VERSION,
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
        let forced = |name: &str| Some(Asked::Override(name.to_owned()));
        assert_eq!(asked(base, "/-/circuit-breakers/a%2Fb/override?state=open"), forced("a/b"));
        assert_eq!(asked(base, "/-/circuit-breakers/*/override"), forced("*"));
        assert_eq!(asked(base, "/-/circuit-breakers-of-others"), None);
        assert_eq!(asked(base, "/"), None);
    }
}
