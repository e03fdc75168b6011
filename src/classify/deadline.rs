//! Whose deadline it was: a client that gives the upstream 50 ms must not trip its circuit.
//!
//! Clients set deadlines by headers. Envoy's own are gone when the call has ended: the router takes
//! them off and writes the timeout in force into one of them (Envoy 1.40). So they have to be read
//! at request headers, which is too dear to do for every request. It is done for the first ones,
//! until a request without a short deadline of its own has shown which timeout the route has; and
//! for some more whenever a timeout was short and not known to be the route's.

use crate::time::Span;

/// Of a client that Envoy trusts, in milliseconds.
pub const CLIENT_HEADERS: [&str; 4] = [
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
    "x-envoy-expected-rq-timeout-ms",
];
/// Of any client. The router rewrites it to what is in force.
pub const GRPC_HEADER: &str = "grpc-timeout";
/// Of the router, in the log: the timeout in force for the last attempt. Absent where there is
/// none, and where the router is told to suppress such headers.
pub const IN_FORCE_HEADER: &str = "x-envoy-expected-rq-timeout-ms";

/// Timeouts of routes remembered for one circuit. More do not fit: those are looked into.
const MOST_ROUTES: usize = 4;
/// How much later than its deadline a call may have ended.
const GRACE: Span = Span::from_millis(250);
/// Requests looked at after a timeout that was not the route's.
const LOOKS: u8 = 64;

/// The deadlines that a request's headers set; none of them where it had none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientDeadlines([Option<Span>; 5]);

impl ClientDeadlines {
    pub const fn new(of_envoy: [Option<Span>; 4], grpc: Option<Span>) -> Self {
        let [request, attempt, stream, expected] = of_envoy;
        Self([request, attempt, stream, expected, grpc])
    }

    fn shorter_than(&self, minimum: Span) -> impl Iterator<Item = Span> {
        self.0.into_iter().flatten().filter(move |deadline| *deadline < minimum)
    }
}

/// What ran out. Clients have a say in each in a way of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Of the route.
    Route,
    /// Of one attempt; there may have been several.
    Attempt,
    /// Of the upstream's stream: nothing tells how long it was.
    StreamDuration,
    /// Of the whole stream: of Envoy's and gRPC's headers only `grpc-timeout` sets it.
    WholeStream,
    /// The upstream's own, which may keep to a deadline that it was told.
    Upstream,
}

/// How a call came to time out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut {
    pub timer: Timer,
    /// `None`: the request's headers were not looked at.
    pub client: Option<ClientDeadlines>,
    /// The route's, or the attempt's, for the last attempt.
    pub in_force: Option<Span>,
    /// `grpc-timeout` in the log: the client's, or the router's.
    pub grpc: Option<Span>,
    pub is_retried: bool,
    /// From the end of the request.
    pub elapsed: Span,
}

/// What one circuit's calls have shown so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deadlines {
    /// The timeouts in force of calls whose clients had no part in them.
    routes: Vec<Option<Span>>,
    /// Requests still to be looked at.
    looks: u8,
}

impl Deadlines {
    /// Whether the next request's headers have to be looked at.
    pub fn takes_look(&mut self) -> bool {
        let is_due = self.looks > 0;
        self.looks = self.looks.saturating_sub(1);
        is_due || self.routes.is_empty()
    }

    /// Notes the timeout that was in force for a call.
    pub fn learn(&mut self, client: &ClientDeadlines, in_force: Option<Span>, minimum: Span) {
        let is_the_routes = client
            .shorter_than(minimum)
            .all(|deadline| in_force.is_some_and(|in_force| in_force < deadline));
        if is_the_routes && self.routes.len() < MOST_ROUTES && !self.routes.contains(&in_force) {
            self.routes.push(in_force);
        }
    }

    /// Whether a timeout was the client's doing: its own deadline was shorter than `minimum`.
    pub fn blame_client(&mut self, timed_out: &TimedOut, minimum: Span) -> bool {
        match &timed_out.client {
            Some(client) => {
                client.shorter_than(minimum).any(|deadline| self.is_up(timed_out, deadline))
            }
            None => {
                let is_suspect = self.is_suspect(timed_out, minimum);
                if is_suspect {
                    self.looks = LOOKS;
                }
                is_suspect
            }
        }
    }

    /// Whether it was this deadline of the client's that ran out.
    fn is_up(&self, timed_out: &TimedOut, deadline: Span) -> bool {
        let TimedOut { timer, in_force, elapsed, is_retried, .. } = *timed_out;
        let is_in_time = elapsed < deadline + GRACE;
        match (timer, in_force) {
            (Timer::Attempt, Some(in_force)) => in_force >= deadline,
            (Timer::Attempt, None) => true,
            // Of a retried call it is what was left for the last attempt.
            (Timer::Route, Some(in_force)) if !is_retried => in_force >= deadline && is_in_time,
            _ => is_in_time,
        }
    }

    /// Whether nothing that is known of the routes explains so short a timeout.
    fn is_suspect(&self, timed_out: &TimedOut, minimum: Span) -> bool {
        let TimedOut { timer, in_force, grpc, elapsed, .. } = *timed_out;
        let was_short = elapsed < minimum + GRACE;
        let is_short = |span: Option<Span>| span.is_some_and(|span| span < minimum);
        let is_unknown = is_short(in_force) && !self.routes.contains(&in_force);
        match timer {
            _ if minimum == Span::ZERO => false,
            Timer::Attempt => is_unknown || (in_force.is_none() && was_short),
            // A longer one than the call lasted is not what ran out.
            Timer::Route => {
                was_short && (is_unknown || in_force.is_none_or(|it| it > elapsed + GRACE))
            }
            Timer::StreamDuration => was_short,
            Timer::WholeStream => was_short && is_short(grpc),
            Timer::Upstream => was_short && (is_unknown || is_short(grpc)),
        }
    }
}

/// Milliseconds, as Envoy's headers have them. Zero is no deadline.
pub fn millis(value: &[u8]) -> Option<Span> {
    let millis: u64 = str::from_utf8(value).ok()?.trim().parse().ok()?;
    (millis > 0).then(|| Span::from_millis(millis))
}

/// The value of `grpc-timeout`, as leniently as Envoy reads it: some digits and a unit (gRPC over
/// HTTP/2, "Timeout").
pub fn grpc_timeout(value: &[u8]) -> Option<Span> {
    let text = str::from_utf8(value).ok()?.trim_start();
    let text = text.strip_prefix('+').unwrap_or(text);
    let digits = text.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
    let (digits, unit) = text.split_at_checked(digits)?;
    let nanos = match unit.trim_start().bytes().next()? {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    let number: u64 = digits.parse().unwrap_or(u64::MAX);
    Some(Span::from_nanos(number.saturating_mul(nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMUM: Span = Span::from_secs(1);
    const ROUTE: Option<Span> = Some(Span::from_secs(15));
    const SHORT: Option<Span> = Some(Span::from_millis(100));
    const NONE: Option<ClientDeadlines> = Some(ClientDeadlines([None; 5]));

    fn set(millis: u64) -> Option<ClientDeadlines> {
        let request = Some(Span::from_millis(millis));
        Some(ClientDeadlines::new([request, None, None, None], None))
    }

    /// A route's timeout after so many milliseconds.
    fn after(millis: u64, client: Option<ClientDeadlines>, in_force: Option<Span>) -> TimedOut {
        let elapsed = Span::from_millis(millis);
        TimedOut { timer: Timer::Route, client, in_force, grpc: None, is_retried: false, elapsed }
    }

    fn knowing(in_force: Option<Span>) -> Deadlines {
        let mut deadlines = Deadlines::default();
        deadlines.learn(&ClientDeadlines::default(), in_force, MINIMUM);
        deadlines
    }

    #[track_caller]
    fn assert_blamed(deadlines: &mut Deadlines, timed_out: TimedOut, on_client: bool) {
        assert_eq!(deadlines.blame_client(&timed_out, MINIMUM), on_client, "{timed_out:?}");
    }

    #[test]
    fn a_short_deadline_that_was_read_is_the_clients() {
        assert_blamed(&mut Deadlines::default(), after(100, set(100), SHORT), true);
    }

    #[test]
    fn a_short_timeout_of_the_route_is_not() {
        let short = Some(Span::from_millis(500));
        assert_blamed(&mut Deadlines::default(), after(500, NONE, short), false);
        let mut known = knowing(short);
        assert_blamed(&mut known, after(500, None, short), false);
        assert!(!known.takes_look());
        // Nor where the client would have waited longer.
        assert_blamed(&mut known, after(500, set(900), short), false);
    }

    #[test]
    fn a_short_timeout_that_is_not_known_to_be_the_routes_is_looked_into() {
        let mut deadlines = knowing(ROUTE);
        assert!(!deadlines.takes_look());
        assert_blamed(&mut deadlines, after(100, None, SHORT), true);
        for _ in 0..LOOKS {
            assert!(deadlines.takes_look());
        }
        assert!(!deadlines.takes_look());
        assert_blamed(&mut deadlines, after(100, NONE, SHORT), false);
    }

    #[test]
    fn a_deadline_that_was_not_in_force_excuses_nobody() {
        assert_blamed(&mut knowing(ROUTE), after(15_000, set(1), ROUTE), false);
        assert_blamed(&mut knowing(None), after(2_000, set(1), None), false);
        assert_blamed(&mut knowing(None), after(400, set(50), Some(Span::from_millis(400))), false);
    }

    #[test]
    fn what_was_left_for_the_last_attempt_is_nobodys_deadline() {
        let left = Some(Span::from_millis(30));
        let retried = |millis, client| TimedOut { is_retried: true, ..after(millis, client, left) };
        assert_blamed(&mut knowing(ROUTE), retried(15_000, None), false);
        assert_blamed(&mut knowing(ROUTE), retried(150, set(150)), true);
    }

    #[test]
    fn each_attempt_may_have_had_a_short_deadline_however_long_the_call() {
        let attempts =
            |client, in_force| TimedOut { timer: Timer::Attempt, ..after(2_000, client, in_force) };
        assert_blamed(&mut knowing(ROUTE), attempts(set(100), SHORT), true);
        assert_blamed(&mut knowing(ROUTE), attempts(None, SHORT), true);
        assert_blamed(&mut knowing(SHORT), attempts(None, SHORT), false);
        assert_blamed(&mut knowing(ROUTE), attempts(NONE, SHORT), false);
    }

    #[test]
    fn a_timeout_that_the_client_only_claims_to_be_in_force_is_not_believed() {
        let claimed = Some(Span::from_secs(5));
        assert_blamed(&mut knowing(None), after(50, None, claimed), true);
    }

    #[test]
    fn a_long_deadline_is_the_upstreams_to_keep() {
        let second = Some(Span::from_secs(1));
        assert_blamed(&mut knowing(ROUTE), after(1_000, set(1_000), second), false);
    }

    #[test]
    fn where_the_timeout_in_force_is_not_told_the_clock_tells() {
        let mut deadlines = knowing(None);
        assert_blamed(&mut deadlines, after(1_250, None, None), false);
        assert_blamed(&mut deadlines, after(1_249, None, None), true);
        assert_blamed(&mut deadlines, after(1_249, set(999), None), false);
        assert_blamed(&mut deadlines, after(1_248, set(999), None), true);
        let attempt =
            |millis, client| TimedOut { timer: Timer::Attempt, ..after(millis, client, None) };
        assert_blamed(&mut deadlines, attempt(1_250, None), false);
        assert_blamed(&mut deadlines, attempt(1_249, None), true);
        assert_blamed(&mut deadlines, attempt(1_250, set(100)), true);
    }

    #[test]
    fn a_timeout_in_force_that_is_as_long_as_the_call_and_the_minimum_is_the_routes() {
        let second = Some(Span::from_secs(1));
        assert_blamed(&mut knowing(ROUTE), after(750, None, second), false);
        assert_blamed(&mut knowing(ROUTE), after(749, None, second), true);
        let attempt = TimedOut { timer: Timer::Attempt, ..after(750, None, second) };
        assert_blamed(&mut knowing(ROUTE), attempt, false);
    }

    #[test]
    fn no_more_routes_are_remembered_than_fit() {
        let route = |number| Some(Span::from_millis(100 * number));
        let mut deadlines = Deadlines::default();
        for number in 1..=5 {
            deadlines.learn(&ClientDeadlines::default(), route(number), MINIMUM);
        }
        for number in 1..=4 {
            assert_blamed(&mut deadlines, after(100 * number, None, route(number)), false);
        }
        assert_blamed(&mut deadlines, after(500, None, route(5)), true);
    }

    #[test]
    fn an_upstream_that_keeps_to_what_it_was_told_is_not_blamed() {
        let kept = |client, in_force, grpc| TimedOut {
            timer: Timer::Upstream,
            grpc,
            ..after(100, client, in_force)
        };
        let mut deadlines = knowing(ROUTE);
        assert_blamed(&mut deadlines, kept(None, ROUTE, None), false);
        assert_blamed(&mut deadlines, kept(None, None, None), false);
        assert!(!deadlines.takes_look());
        assert_blamed(&mut deadlines, kept(set(100), ROUTE, None), true);
        assert_blamed(&mut deadlines, kept(None, ROUTE, SHORT), true);
        assert_blamed(&mut deadlines, kept(None, SHORT, None), true);
        assert!(deadlines.takes_look());
    }

    #[test]
    fn nothing_tells_of_a_stream_duration_and_grpc_timeout_of_the_whole_stream() {
        let ended = |timer, grpc| TimedOut { timer, grpc, ..after(100, None, ROUTE) };
        assert_blamed(&mut knowing(ROUTE), ended(Timer::StreamDuration, None), true);
        assert_blamed(&mut knowing(ROUTE), ended(Timer::WholeStream, None), false);
        assert_blamed(&mut knowing(ROUTE), ended(Timer::WholeStream, SHORT), true);
    }

    #[test]
    fn a_request_with_a_short_deadline_teaches_nothing_unless_the_routes_was_shorter() {
        let mut deadlines = Deadlines::default();
        deadlines.learn(&set(100).unwrap(), SHORT, MINIMUM);
        assert!(deadlines.takes_look());
        deadlines.learn(&set(900).unwrap(), SHORT, MINIMUM);
        assert!(!deadlines.takes_look());
    }

    #[test]
    fn without_a_minimum_nobody_is_excused() {
        let mut deadlines = Deadlines::default();
        assert!(!deadlines.blame_client(&after(1, set(1), SHORT), Span::ZERO));
        assert!(!deadlines.blame_client(&after(1, None, SHORT), Span::ZERO));
        assert!(!deadlines.blame_client(&after(1, None, None), Span::ZERO));
    }

    #[test]
    fn timeouts_are_read_as_envoy_reads_them() {
        assert_eq!(millis(b"250"), Some(Span::from_millis(250)));
        for bad in [&b"0"[..], b"", b"-1", b"1.5", b"soon", b"\xff"] {
            assert_eq!(millis(bad), None, "{bad:?}");
        }
        for good in [&b"100m"[..], b"0000000100m", b"+100m", b" 100 m"] {
            assert_eq!(grpc_timeout(good), SHORT, "{good:?}");
        }
        for (text, nanos) in [
            (&b"1H"[..], 3_600_000_000_000),
            (b"1M", 60_000_000_000),
            (b"1S", 1_000_000_000),
            (b"1m", 1_000_000),
            (b"1u", 1_000),
            (b"99999999n", 99_999_999),
        ] {
            assert_eq!(grpc_timeout(text), Some(Span::from_nanos(nanos)), "{text:?}");
        }
        for bad in [&b""[..], b"m", b"100", b"-1S", b"S1", b"\xffS"] {
            assert_eq!(grpc_timeout(bad), None, "{bad:?}");
        }
    }
}
