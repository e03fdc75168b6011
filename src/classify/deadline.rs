//! Whose deadline it was: a client that gives the upstream 50 ms must not trip its circuit.
//!
//! Clients set deadlines by headers. Envoy's own are gone when the call has ended: the router takes
//! them off and writes the timeout in force into one of them (Envoy 1.40). So they have to be read
//! at request headers, which is too dear to do for every request. It is done for the first ones,
//! until a request without a short deadline of its own has shown which timeout the route has; and
//! for all from the moment that a timeout was short and not the route's.

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
/// How much later than its deadline a call may have ended, where only the clock tells.
const GRACE: Span = Span::from_millis(250);

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
    /// Of the whole stream, or the upstream's own: clients set it by what is still there in the
    /// log.
    Other,
}

/// How a call came to time out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut {
    pub timer: Timer,
    pub client: ClientDeadline,
    /// The route's.
    pub in_force: Option<Span>,
    /// From the request to the end.
    pub elapsed: Span,
}

/// What one circuit's calls have shown so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deadlines {
    /// The timeouts in force of calls whose clients had no part in them.
    routes: Vec<Option<Span>>,
    /// Whether clients have been seen to set short ones.
    are_set_by_clients: bool,
}

impl Deadlines {
    /// Whether the next request's headers have to be looked at.
    pub fn are_unclear(&self) -> bool {
        self.are_set_by_clients || self.is_learning()
    }

    /// Whether no route's timeout is known yet.
    pub fn is_learning(&self) -> bool {
        self.routes.is_empty()
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
        self.learn(client, in_force, minimum);
        let told = in_force.filter(|_| timer == Timer::Route);
        let was_short = told.map_or(elapsed < minimum + GRACE, |span| span < minimum);
        match client {
            _ if !was_short || minimum == Span::ZERO => false,
            ClientDeadline::Set(deadline) => deadline < minimum,
            ClientDeadline::None => false,
            ClientDeadline::Unknown => {
                let is_the_routes = told.is_some() && self.routes.contains(&told);
                let is_suspect = timer != Timer::Other && !is_the_routes;
                // Not the route's, as far as is known. From here on it will be known.
                self.are_set_by_clients |= is_suspect;
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

    fn millis(millis: u64) -> Span {
        Span::from_millis(millis)
    }

    fn after(span: u64, client: ClientDeadline, in_force: Option<Span>) -> TimedOut {
        TimedOut { timer: Timer::Route, client, in_force, elapsed: millis(span) }
    }

    fn knowing(in_force: Option<Span>) -> Deadlines {
        let mut deadlines = Deadlines::default();
        deadlines.learn(ClientDeadline::None, in_force, MINIMUM);
        deadlines
    }

    #[test]
    fn a_short_deadline_that_was_read_is_the_clients() {
        let client = ClientDeadline::Set(millis(100));
        let timed_out = after(100, client, Some(millis(100)));
        assert!(Deadlines::default().blame_client(&timed_out, MINIMUM));
    }

    #[test]
    fn a_short_timeout_of_the_route_is_not() {
        let mut deadlines = Deadlines::default();
        let timed_out = after(500, ClientDeadline::None, Some(millis(500)));
        assert!(!deadlines.blame_client(&timed_out, MINIMUM));
        // Known from here on, without another look.
        assert!(!deadlines.are_unclear());
        let timed_out = TimedOut { client: ClientDeadline::Unknown, ..timed_out };
        assert!(!deadlines.blame_client(&timed_out, MINIMUM));
        assert!(!deadlines.are_unclear());
    }

    #[test]
    fn a_short_timeout_that_is_not_the_routes_is_looked_into_from_then_on() {
        let mut deadlines = knowing(ROUTE);
        let timed_out = after(100, ClientDeadline::Unknown, Some(millis(100)));
        assert!(deadlines.blame_client(&timed_out, MINIMUM));
        assert!(deadlines.are_unclear());
        let looked = TimedOut { client: ClientDeadline::None, ..timed_out };
        assert!(!deadlines.blame_client(&looked, MINIMUM));
    }

    #[test]
    fn a_deadline_that_was_not_in_force_excuses_nobody() {
        let client = ClientDeadline::Set(millis(1));
        assert!(!knowing(ROUTE).blame_client(&after(15_000, client, ROUTE), MINIMUM));
        assert!(!knowing(None).blame_client(&after(2_000, client, None), MINIMUM));
    }

    #[test]
    fn a_long_deadline_is_the_upstreams_to_keep() {
        let client = ClientDeadline::Set(millis(1_000));
        let timed_out = after(1_000, client, Some(millis(1_000)));
        assert!(!knowing(ROUTE).blame_client(&timed_out, MINIMUM));
    }

    #[test]
    fn where_the_timeout_in_force_is_not_told_the_clock_tells() {
        let mut deadlines = knowing(None);
        assert!(!deadlines.blame_client(&after(1_300, ClientDeadline::Unknown, None), MINIMUM));
        assert!(deadlines.blame_client(&after(300, ClientDeadline::Unknown, None), MINIMUM));
        let client = ClientDeadline::Set(millis(999));
        assert!(deadlines.blame_client(&after(1_010, client, None), MINIMUM));
    }

    #[test]
    fn what_no_header_of_envoys_can_set_is_looked_at_in_the_log() {
        let mut deadlines = knowing(ROUTE);
        let kept_by_upstream =
            |client| TimedOut { timer: Timer::Other, ..after(200, client, ROUTE) };
        assert!(!deadlines.blame_client(&kept_by_upstream(ClientDeadline::Unknown), MINIMUM));
        assert!(!deadlines.are_unclear());
        let client = ClientDeadline::Set(millis(200));
        assert!(deadlines.blame_client(&kept_by_upstream(client), MINIMUM));
    }

    #[test]
    fn the_route_says_nothing_of_a_stream_duration() {
        let mut deadlines = knowing(ROUTE);
        let ended = |span| TimedOut {
            timer: Timer::StreamDuration,
            ..after(span, ClientDeadline::Unknown, ROUTE)
        };
        assert!(!deadlines.blame_client(&ended(5_000), MINIMUM));
        assert!(deadlines.blame_client(&ended(100), MINIMUM));
        assert!(deadlines.are_unclear());
    }

    #[test]
    fn a_request_with_a_short_deadline_teaches_nothing_about_the_route() {
        let mut deadlines = Deadlines::default();
        deadlines.learn(ClientDeadline::Set(millis(100)), Some(millis(100)), MINIMUM);
        assert!(deadlines.is_learning());
        deadlines.learn(ClientDeadline::Set(millis(5_000)), ROUTE, MINIMUM);
        assert!(!deadlines.is_learning());
    }

    #[test]
    fn without_a_minimum_nobody_is_excused() {
        let client = ClientDeadline::Set(millis(1));
        let timed_out = after(1, client, Some(millis(1)));
        assert!(!Deadlines::default().blame_client(&timed_out, Span::ZERO));
    }

    #[test]
    fn the_sooner_deadline_counts() {
        let set = |span| ClientDeadline::Set(millis(span));
        assert_eq!(ClientDeadline::Unknown.or(Some(millis(5))), set(5));
        assert_eq!(set(5).or(Some(millis(9))), set(5));
        assert_eq!(set(5).or(None), set(5));
        assert_eq!(ClientDeadline::None.or(None), ClientDeadline::None);
    }

    #[test]
    fn timeouts_are_read_as_their_senders_mean_them() {
        assert_eq!(super::millis(b"250"), Some(millis(250)));
        for bad in [&b"0"[..], b"", b"-1", b"1.5", b"soon", b"\xff"] {
            assert_eq!(super::millis(bad), None, "{bad:?}");
        }
        assert_eq!(grpc_timeout(b"100m"), Some(millis(100)));
        assert_eq!(grpc_timeout(b"1H"), Some(Span::from_secs(3_600)));
        assert_eq!(grpc_timeout(b"99999999n"), Some(Span::from_nanos(99_999_999)));
        for bad in [&b""[..], b"m", b"100", b"100ms", b"+1S", b"123456789S", b"\xffS"] {
            assert_eq!(grpc_timeout(bad), None, "{bad:?}");
        }
    }
}
