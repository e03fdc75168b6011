//! Assertions in the words of the domain. Each hands back the exchange it was given, so that a story can go on.

use super::exchange::Exchange;
use super::host::Host;
use super::logs::{Level, Line, listing};
use super::stream::Origin;

/// What else a rejection has to say, where a test cares.
#[derive(Debug, Default)]
pub struct Rejected {
    status: Option<u16>,
    retry_after: Option<u64>,
    state: Option<String>,
    circuit: Option<String>,
}

impl Rejected {
    pub fn status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub fn state(self, state: &str) -> Self {
        Self { state: Some(state.to_owned()), ..self }
    }

    pub fn circuit(self, circuit: &str) -> Self {
        Self { circuit: Some(circuit.to_owned()), ..self }
    }
}

/// `assert_rejected!(host.request(), status = 503, retry_after = 30, state = "open", circuit = "up")`, all optional.
macro_rules! assert_rejected {
    ($exchange:expr $(, $field:ident = $value:expr)* $(,)?) => {{
        let exchange = $exchange;
        let expected = $crate::harness::assert::Rejected::default()$(.$field($value))*;
        $crate::harness::assert::rejected(&exchange, &expected);
        exchange
    }};
}

/// The request is on its way to the upstream.
macro_rules! assert_admitted {
    ($exchange:expr $(,)?) => {{
        let exchange = $exchange;
        $crate::harness::assert::admitted(&exchange);
        exchange
    }};
}

/// Nothing was changed in either direction, and nothing was stored.
macro_rules! assert_untouched {
    ($exchange:expr $(,)?) => {{
        let exchange = $exchange;
        $crate::harness::assert::untouched(&exchange);
        exchange
    }};
}

/// `assert_fell_back!(exchange, "cache")`: the filter answered, with the fallback of this name.
macro_rules! assert_fell_back {
    ($exchange:expr, $fallback:expr $(,)?) => {{
        let exchange = $exchange;
        $crate::harness::assert::fell_back(&exchange, $fallback);
        exchange
    }};
}

/// The macros take an exchange or a reference to one.
pub trait AsExchange {
    fn as_exchange(&self) -> &Exchange;
}

impl AsExchange for Exchange {
    fn as_exchange(&self) -> &Exchange {
        self
    }
}

impl AsExchange for &Exchange {
    fn as_exchange(&self) -> &Exchange {
        self
    }
}

#[allow(unused_imports)]
pub(crate) use {assert_admitted, assert_fell_back, assert_rejected, assert_untouched};

#[track_caller]
pub fn rejected(exchange: &impl AsExchange, expected: &Rejected) {
    let exchange = exchange.as_exchange();
    let reply = exchange.local_reply().filter(|_| !exchange.is_admitted());
    let Some(reply) = reply else { fail(exchange, "expected a rejection") };
    let header = |name: &str| reply.header(name).unwrap_or_default();
    let state = header("x-circuit-breaker");
    let retry_after = header("retry-after").parse::<u64>().unwrap_or(0).max(1);
    let wanted_state = expected.state.clone().unwrap_or_else(|| state.clone());
    let facts = [
        ("x-circuit-breaker", wanted_state, state.clone()),
        (
            "retry-after",
            expected.retry_after.unwrap_or(retry_after).to_string(),
            header("retry-after"),
        ),
        ("status", expected.status.unwrap_or(reply.status).to_string(), reply.status.to_string()),
        ("cache-control", "no-store".to_owned(), header("cache-control")),
        ("details", format!("circuit_breaker_{}", state.replace('-', "_")), reply.details.clone()),
        (
            "filter state",
            "rejected".to_owned(),
            exchange.filter_state("circuit_breaker").unwrap_or_default(),
        ),
    ];
    for (what, wanted, found) in facts {
        if wanted != found {
            fail(exchange, &format!("{what}: expected {wanted:?}, found {found:?}"));
        }
    }
    if !["open", "half-open"].contains(&state.as_str()) {
        fail(exchange, &format!("x-circuit-breaker: {state:?} is no state that rejects"));
    }
    if exchange.is_grpc() {
        let status = exchange.header("grpc-status");
        assert!(status.as_deref() == Some("14"), "grpc-status: expected 14, found {status:?}");
    } else if reply.header("content-type").as_deref() == Some("application/problem+json") {
        agrees_with_body(exchange, expected, &state, retry_after);
    }
}

/// The problem document says what the headers say.
#[track_caller]
fn agrees_with_body(exchange: &Exchange, expected: &Rejected, state: &str, retry_after: u64) {
    if exchange.body().is_empty() {
        return; // HEAD
    }
    let body = exchange.json();
    let status = exchange.status();
    let agrees =
        body["state"] == state && body["retry_after"] == retry_after && body["status"] == status;
    assert!(agrees, "the body disagrees with the headers\n{}", story(exchange));
    if let Some(circuit) = &expected.circuit {
        assert!(
            body["circuit"] == circuit.as_str(),
            "expected circuit {circuit:?}\n{}",
            story(exchange)
        );
    }
}

#[track_caller]
pub fn admitted(exchange: &impl AsExchange) {
    let exchange = exchange.as_exchange();
    assert!(exchange.is_admitted(), "expected the request to be admitted\n{}", story(exchange));
}

#[track_caller]
pub fn untouched(exchange: &impl AsExchange) {
    let exchange = exchange.as_exchange();
    admitted(exchange);
    let changed = {
        let stream = exchange.stream.borrow();
        let request = stream.request.value.as_ref() != Some(&stream.original_request);
        let response = stream
            .response
            .value
            .as_ref()
            .is_some_and(|response| *response != stream.original_response);
        request || response || stream.route_clears > 0 || !stream.filter_state.is_empty()
    };
    assert!(!changed, "expected an untouched exchange\n{}", story(exchange));
}

#[track_caller]
pub fn fell_back(exchange: &impl AsExchange, fallback: &str) {
    let exchange = exchange.as_exchange();
    let told =
        (exchange.filter_state("circuit_breaker"), exchange.header("x-circuit-breaker-fallback"));
    let wanted = (Some(format!("fallback:{fallback}")), Some(fallback.to_owned()));
    let answered = exchange.origin() == Some(Origin::Filter);
    assert!(
        answered && told == wanted,
        "expected the fallback {fallback:?}, found {told:?}\n{}",
        story(exchange)
    );
}

/// The state gauge, in words.
#[track_caller]
pub fn assert_state(host: &Host, circuit: &str, state: &str) {
    let names = ["closed", "open", "half-open"];
    let gauge = host.gauge(&format!("circuit_breaker.{circuit}.state"));
    let found = gauge.and_then(|value| names.get(value as usize).copied());
    let (metrics, logs) = (host.metrics(), host.logs());
    assert!(
        found == Some(state),
        "{circuit}: expected {state}, found {found:?}\n{metrics:#?}\n{}",
        listing(&logs)
    );
}

/// One line at this level has all these parts; it is handed back.
#[track_caller]
pub fn assert_logged(host: &Host, level: Level, parts: &[&str]) -> Line {
    let lines = host.logs();
    let matches =
        |line: &&Line| line.level == level && parts.iter().all(|part| line.contains(part));
    let found: Vec<&Line> = lines.iter().filter(matches).collect();
    let [line] = found.as_slice() else {
        panic!(
            "expected one {level:?} line with {parts:?}, found {}\n{}",
            found.len(),
            listing(&lines)
        );
    };
    (*line).clone()
}

#[track_caller]
fn fail(exchange: &Exchange, what: &str) -> ! {
    panic!("{what}\n{}", story(exchange));
}

/// What to read when an assertion fails.
fn story(exchange: &Exchange) -> String {
    let logs = exchange.worker.core.world.logs.borrow();
    let recent = logs.len().saturating_sub(12);
    format!("{exchange:?}\nlog:\n{}", listing(logs.get(recent..).unwrap_or_default()))
}
