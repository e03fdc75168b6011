//! Whose deadline it was: a client that gives the upstream 50 ms must not trip its circuit.
//!
//! Clients set deadlines by headers. Envoy's own are gone when the call has ended: the router takes
//! them off and writes the timeout in force into one of them (Envoy 1.40). So they have to be read
//! at request headers, which is too dear to do for every request. It is done for the first ones,
//! until a request without a short deadline of its own has shown which timeout the route has; and
//! for some more whenever a timeout was short and not known to be the route's.

use crate::time::Span;

/// Of a client that Envoy trusts.
pub const CLIENT_HEADERS: [&str; 4] = [
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
    "x-envoy-expected-rq-timeout-ms",
];
/// Of the router, in the log: the timeout in force. Absent where there is none, and where the
/// router is told to suppress such headers.
pub const IN_FORCE_HEADER: &str = "x-envoy-expected-rq-timeout-ms";
/// Of a gRPC client. Stays as it is.
pub const GRPC_HEADER: &str = "grpc-timeout";

/// Timeouts of routes remembered for one circuit. More do not fit: those are looked into.
const MOST_ROUTES: usize = 4;
/// How much later than its deadline a call may have ended.
const GRACE: Span = Span::from_millis(250);
/// Requests looked at after a timeout that was not the route's.
const LOOKS: u8 = 64;

/// What is known of the deadline that the client set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientDeadline {
    /// The request's headers were not looked at.
    #[default]
    Unknown,
    None,
    Set(Span),
}

impl ClientDeadline {
    /// The sooner of two.
    #[must_use]
    pub fn or(self, other: Option<Span>) -> Self {
        match (self, other) {
            (Self::Set(one), Some(other)) => Self::Set(one.min(other)),
            (_, Some(other)) => Self::Set(other),
            (known, None) => known,
        }
    }
}

/// What ran out. Clients have a say in each in a way of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Of the route, or of one attempt: what was in force is told in the log.
    Route,
    /// Of the upstream's stream: clients can set it by a header, and nothing tells of it.
    StreamDuration,
    /// Of the whole stream: clients set it by `grpc-timeout` alone, which is still there in the log.
    WholeStream,
    /// The upstream's own, which may keep to a deadline that it was told.
    Upstream,
}

/// How a call came to time out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut {
    pub timer: Timer,
    pub client: ClientDeadline,
    /// The route's.
    pub in_force: Option<Span>,
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
    pub fn learn(&mut self, client: ClientDeadline, in_force: Option<Span>, minimum: Span) {
        let is_the_routes = match client {
            ClientDeadline::Unknown => false,
            ClientDeadline::None => true,
            ClientDeadline::Set(deadline) => deadline >= minimum,
        };
        if is_the_routes && self.routes.len() < MOST_ROUTES && !self.routes.contains(&in_force) {
            self.routes.push(in_force);
        }
    }

    /// Whether a timeout was the client's doing: its own deadline was shorter than `minimum`.
    pub fn blame_client(&mut self, timed_out: &TimedOut, minimum: Span) -> bool {
        let TimedOut { timer, client, in_force, elapsed } = *timed_out;
        // A timer that is not in the client's hands in this way.
        let told = in_force.filter(|_| matches!(timer, Timer::Route | Timer::Upstream));
        if minimum == Span::ZERO || elapsed >= minimum + GRACE {
            return false;
        }
        match client {
            ClientDeadline::None => false,
            // Where less than that was in force it was the route's.
            ClientDeadline::Set(deadline) => {
                deadline < minimum
                    && (timer != Timer::Route || told.is_none_or(|told| told >= deadline))
            }
            ClientDeadline::Unknown => {
                let is_suspect = match timer {
                    Timer::Route => {
                        told.is_none_or(|told| told < minimum && !self.routes.contains(&Some(told)))
                    }
                    Timer::StreamDuration => true,
                    Timer::WholeStream => false,
                    Timer::Upstream => told
                        .is_some_and(|told| told < minimum && !self.routes.contains(&Some(told))),
                };
                if is_suspect {
                    self.looks = LOOKS;
                }
                is_suspect
            }
        }
    }
}

/// Milliseconds, as Envoy's headers have them. Zero is no deadline.
pub fn millis(value: &[u8]) -> Option<Span> {
    let millis: u64 = str::from_utf8(value).ok()?.trim().parse().ok()?;
    (millis > 0).then(|| Span::from_millis(millis))
}

/// The value of `grpc-timeout`: at most eight digits and a unit (gRPC over HTTP/2, "Timeout").
pub fn grpc_timeout(value: &[u8]) -> Option<Span> {
    let (unit, digits) = value.split_last()?;
    let is_number = (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let number: u64 = str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
    let nanos = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    Some(Span::from_nanos(number.saturating_mul(nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMUM: Span = Span::from_secs(1);
    const ROUTE: Option<Span> = Some(Span::from_secs(15));
    const SHORT: Option<Span> = Some(Span::from_millis(100));

    fn set(millis: u64) -> ClientDeadline {
        ClientDeadline::Set(Span::from_millis(millis))
    }

    /// A route's timeout after so many milliseconds.
    fn after(span: u64, client: ClientDeadline, in_force: Option<Span>) -> TimedOut {
        TimedOut { timer: Timer::Route, client, in_force, elapsed: Span::from_millis(span) }
    }

    fn knowing(in_force: Option<Span>) -> Deadlines {
        let mut deadlines = Deadlines::default();
        deadlines.learn(ClientDeadline::None, in_force, MINIMUM);
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
        assert_blamed(&mut Deadlines::default(), after(500, ClientDeadline::None, short), false);
        let mut known = knowing(short);
        assert_blamed(&mut known, after(500, ClientDeadline::Unknown, short), false);
        assert!(!known.takes_look());
        // Nor where the client would have waited longer.
        assert_blamed(&mut known, after(500, set(900), short), false);
    }

    #[test]
    fn a_short_timeout_that_is_not_known_to_be_the_routes_is_looked_into() {
        let mut deadlines = knowing(ROUTE);
        assert!(!deadlines.takes_look());
        assert_blamed(&mut deadlines, after(100, ClientDeadline::Unknown, SHORT), true);
        for _ in 0..LOOKS {
            assert!(deadlines.takes_look());
        }
        assert!(!deadlines.takes_look());
        assert_blamed(&mut deadlines, after(100, ClientDeadline::None, SHORT), false);
    }

    #[test]
    fn a_deadline_that_was_not_in_force_excuses_nobody() {
        assert_blamed(&mut knowing(ROUTE), after(15_000, set(1), ROUTE), false);
        assert_blamed(&mut knowing(None), after(2_000, set(1), None), false);
    }

    /// The router tells what is left of the route's timeout for the last attempt.
    #[test]
    fn a_call_that_lasted_long_was_not_under_a_short_deadline() {
        let left = Some(Span::from_millis(900));
        assert_blamed(&mut knowing(ROUTE), after(15_000, ClientDeadline::Unknown, left), false);
    }

    #[test]
    fn a_long_deadline_is_the_upstreams_to_keep() {
        let second = Some(Span::from_secs(1));
        assert_blamed(&mut knowing(ROUTE), after(1_000, set(1_000), second), false);
    }

    #[test]
    fn where_the_timeout_in_force_is_not_told_the_clock_tells() {
        let mut deadlines = knowing(None);
        assert_blamed(&mut deadlines, after(1_300, ClientDeadline::Unknown, None), false);
        assert_blamed(&mut deadlines, after(300, ClientDeadline::Unknown, None), true);
        assert_blamed(&mut deadlines, after(1_010, set(999), None), true);
    }

    #[test]
    fn an_upstream_that_keeps_to_what_it_was_told_is_not_blamed() {
        let kept =
            |client, in_force| TimedOut { timer: Timer::Upstream, ..after(200, client, in_force) };
        let mut deadlines = knowing(ROUTE);
        assert_blamed(&mut deadlines, kept(ClientDeadline::Unknown, ROUTE), false);
        assert_blamed(&mut deadlines, kept(ClientDeadline::Unknown, None), false);
        assert!(!deadlines.takes_look());
        assert_blamed(&mut deadlines, kept(set(200), ROUTE), true);
        assert_blamed(&mut deadlines, kept(ClientDeadline::Unknown, SHORT), true);
        assert!(deadlines.takes_look());
    }

    #[test]
    fn the_route_says_nothing_of_a_stream_duration_nor_clients_of_the_whole_stream() {
        let ended = |timer| TimedOut { timer, ..after(100, ClientDeadline::Unknown, ROUTE) };
        assert_blamed(&mut knowing(ROUTE), ended(Timer::StreamDuration), true);
        assert_blamed(&mut knowing(ROUTE), ended(Timer::WholeStream), false);
    }

    #[test]
    fn a_request_with_a_short_deadline_teaches_nothing_about_the_route() {
        let mut deadlines = Deadlines::default();
        deadlines.learn(set(100), SHORT, MINIMUM);
        assert!(deadlines.takes_look());
        deadlines.learn(set(5_000), ROUTE, MINIMUM);
        assert!(!deadlines.takes_look());
    }

    #[test]
    fn without_a_minimum_nobody_is_excused() {
        let mut deadlines = Deadlines::default();
        assert!(!deadlines.blame_client(&after(1, set(1), SHORT), Span::ZERO));
    }

    #[test]
    fn the_sooner_deadline_counts() {
        let millis = Span::from_millis;
        assert_eq!(ClientDeadline::Unknown.or(Some(millis(5))), set(5));
        assert_eq!(set(5).or(Some(millis(9))), set(5));
        assert_eq!(set(5).or(None), set(5));
        assert_eq!(ClientDeadline::None.or(None), ClientDeadline::None);
    }

    #[test]
    fn timeouts_are_read_as_their_senders_mean_them() {
        assert_eq!(millis(b"250"), Some(Span::from_millis(250)));
        for bad in [&b"0"[..], b"", b"-1", b"1.5", b"soon", b"\xff"] {
            assert_eq!(millis(bad), None, "{bad:?}");
        }
        assert_eq!(grpc_timeout(b"100m"), Some(Span::from_millis(100)));
        assert_eq!(grpc_timeout(b"1H"), Some(Span::from_secs(3_600)));
        assert_eq!(grpc_timeout(b"99999999n"), Some(Span::from_nanos(99_999_999)));
        for bad in [&b""[..], b"m", b"100", b"100ms", b"+1S", b"123456789S", b"\xffS"] {
            assert_eq!(grpc_timeout(bad), None, "{bad:?}");
        }
    }
}
