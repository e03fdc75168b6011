//! What happened to a request, and whose doing it was.
//!
//! Envoy says how a response came about in `response.code_details`: `via_upstream` is the
//! upstream's own answer and is judged by its status; some details are the upstream's failure to
//! answer; everything else is Envoy's, another filter's or the client's doing and says nothing of
//! the upstream.

mod deadline;
mod retry_after;
mod statuses;

pub use deadline::{
    CLIENT_HEADERS, ClientDeadlines, Deadlines, GRPC_HEADER, IN_FORCE_HEADER, TimedOut, Timer,
    grpc_timeout, millis,
};
pub use retry_after::retry_after;
pub use statuses::{GrpcStatus, GrpcStatusSet, StatusSet};

use crate::breaker::Outcome;
use crate::time::Span;

/// What a policy says of endings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    pub failure_statuses: StatusSet,
    /// Neither success nor failure; wins over `failure_statuses`.
    pub ignore_statuses: StatusSet,
    pub failure_grpc_statuses: GrpcStatusSet,
    /// A timeout under a deadline that the client set shorter than this is the client's doing.
    pub min_deadline: Span,
    /// A call without response headers by then is slow, from the end of its request.
    pub slow_after: Option<Span>,
    pub client_disconnect: ClientDisconnect,
}

/// What a client that leaves before the response headers says of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientDisconnect {
    Ignore,
    /// That the call was slow, if it left after `slow_after`.
    Slow,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending<'a> {
    /// Of the response headers, if any came.
    pub status: Option<u16>,
    pub grpc: Grpc,
    /// Whether the end of the request was seen.
    pub is_sent: bool,
    /// Whether the end of the response was seen.
    pub is_complete: bool,
    /// `response.code_details` at the end.
    pub details: &'a str,
    /// The response carries `x-circuit-breaker`: a fusebox further upstream rejected.
    pub is_rejected_upstream: bool,
}

/// Whether the call is gRPC, and how it ended as such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grpc {
    #[default]
    No,
    /// `grpc-status`, from the trailers or the headers of a trailers-only response.
    Status(Option<GrpcStatus>),
}

/// An outcome, by whom, and the reason for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    pub outcome: Outcome,
    pub by: By,
    pub why: &'static str,
}

/// What ended the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The upstream's answer, or its failure to give one.
    Upstream,
    /// A deadline that the client may have set.
    Deadline(Timer),
    Client,
    /// Envoy or another filter.
    Proxy,
}

impl Classified {
    const fn success(why: &'static str) -> Self {
        Self { outcome: Outcome::Success, by: By::Upstream, why }
    }

    const fn failure(why: &'static str) -> Self {
        Self { outcome: Outcome::Failure { reset: false }, by: By::Upstream, why }
    }

    const fn ignored(why: &'static str) -> Self {
        Self { outcome: Outcome::Ignored, by: By::Upstream, why }
    }

    const fn by(self, by: By) -> Self {
        Self { by, ..self }
    }

    /// A timeout turned out to be the client's own deadline.
    #[must_use]
    pub const fn blamed_on_client(self) -> Self {
        Self::ignored("the client's own deadline").by(By::Client)
    }

    pub const fn is_failure(&self) -> bool {
        matches!(self.outcome, Outcome::Failure { .. })
    }
}

/// A connection that was upgraded always ends by one side's leaving.
const UPGRADED: Classified = Classified::success("upgraded");

pub const VIA_UPSTREAM: &str = "via_upstream";

impl Rules {
    /// Whether a response needs no further look: a good status, to the end. What Envoy or a filter
    /// answers so is no failure either, and not worth two hostcalls on every request.
    pub fn is_plain_success(&self, status: Option<u16>, grpc: Grpc, is_complete: bool) -> bool {
        is_complete
            && matches!(grpc, Grpc::No | Grpc::Status(Some(GrpcStatus::OK)))
            && status.is_some_and(|status| {
                matches!(status, 200..=399)
                    && self.by_http_status(status).outcome == Outcome::Success
            })
    }

    /// Whether response headers are an answer of the upstream that is no failure.
    pub fn are_good_headers(&self, status: u16, details: &str) -> bool {
        details == VIA_UPSTREAM && self.by_http_status(status).outcome == Outcome::Success
    }

    pub fn classify(&self, ending: &Ending<'_>) -> Classified {
        let details = ending.details;
        if let Some(reset) = details.strip_prefix("upstream_reset_before_response_started") {
            return by_reset(reset);
        }
        if let Some(reset) = details.strip_prefix("upstream_reset_after_response_started") {
            return match ending.status {
                Some(101) => UPGRADED,
                _ => by_reset(reset),
            };
        }
        match details {
            // The second is the upstream's refusal to upgrade.
            VIA_UPSTREAM | "websocket_handshake_unsuccessful" => self.by_answer(ending),
            "no_healthy_upstream" => Classified::failure("no healthy host"),
            "response_timeout" | "upstream_response_timeout" => {
                self.by_timeout(ending).by(By::Deadline(Timer::Route))
            }
            "upstream_per_try_timeout" => self.by_timeout(ending).by(By::Deadline(Timer::Attempt)),
            "upstream_max_stream_duration_reached" => {
                self.by_timeout(ending).by(By::Deadline(Timer::StreamDuration))
            }
            "max_duration_timeout" | "duration_timeout" => {
                self.by_timeout(ending).by(By::Deadline(Timer::WholeStream))
            }
            "stream_idle_timeout" | "upstream_per_try_idle_timeout" => self.by_timeout(ending),
            _ if is_client_gone(details) && ending.status == Some(101) => UPGRADED,
            _ if is_client_gone(details) => Classified::ignored("the client left").by(By::Client),
            _ => Classified::ignored("not the upstream's answer").by(By::Proxy),
        }
    }

    fn by_timeout(&self, ending: &Ending<'_>) -> Classified {
        match ending.status {
            // Headers came, then the time ran out: as likely a slow reader as a stalled upstream.
            Some(status) if !ending.is_complete => match self.by_http_status(status) {
                Classified { outcome: Outcome::Success, .. } => {
                    Classified::ignored("timeout after good headers")
                }
                bad => bad,
            },
            _ if !ending.is_sent => Classified::ignored("the client's upload timed out"),
            _ => Classified::failure("timeout"),
        }
    }

    fn by_answer(&self, ending: &Ending<'_>) -> Classified {
        let Some(status) = ending.status else {
            return Classified::ignored("no response");
        };
        let answer = match ending.grpc {
            Grpc::Status(status_of_grpc) if status == 200 => self.by_grpc_status(status_of_grpc),
            _ => self.by_http_status(status),
        };
        if answer.is_failure() && ending.is_rejected_upstream {
            return Classified::ignored("rejected by a circuit breaker further upstream");
        }
        answer
    }

    fn by_http_status(&self, status: u16) -> Classified {
        if self.ignore_statuses.contains(status) {
            Classified::ignored("status")
        } else if self.failure_statuses.contains(status) {
            // The upstream may be a proxy that kept to the deadline it was told.
            let by = if status == 504 { By::Deadline(Timer::Upstream) } else { By::Upstream };
            Classified::failure("status").by(by)
        } else if StatusSet::RANGE.contains(&status) {
            Classified::success("status")
        } else {
            Classified::ignored("status out of range")
        }
    }

    fn by_grpc_status(&self, status: Option<GrpcStatus>) -> Classified {
        // A call that ends without one is UNKNOWN to its client.
        let known = status.unwrap_or(GrpcStatus::UNKNOWN);
        if self.failure_grpc_statuses.contains(known) {
            let is_deadline = known == GrpcStatus::DEADLINE_EXCEEDED;
            let by = if is_deadline { By::Deadline(Timer::Upstream) } else { By::Upstream };
            Classified::failure(if status.is_some() { "grpc-status" } else { "no grpc-status" })
                .by(by)
        } else if known == GrpcStatus::RESOURCE_EXHAUSTED {
            Classified::ignored("grpc-status")
        } else {
            Classified::success("grpc-status")
        }
    }
}

/// `{reason}` or `{reason|transport failure}`.
fn by_reset(reset: &str) -> Classified {
    let reason = reset.trim_start_matches('{');
    let is = |prefix: &str| reason.starts_with(prefix);
    if is("overflow") {
        Classified::ignored("overflow of the proxy's own limits").by(By::Proxy)
    } else if is("local_reset") || is("local_refused_stream_reset") {
        Classified::ignored("reset by the proxy").by(By::Proxy)
    } else if is("remote_connection_failure") || is("local_connection_failure") {
        Classified::failure("connection failed")
    } else if is("connection_timeout") {
        Classified::failure("connection timed out")
    } else {
        // The connection or stream was there and died.
        let outcome = Outcome::Failure { reset: true };
        Classified { outcome, by: By::Upstream, why: "reset" }
    }
}

fn is_client_gone(details: &str) -> bool {
    const WAYS: [&str; 5] = [
        "downstream_remote_disconnect",
        "http2.remote_reset",
        "http2.remote_refuse",
        "http3.remote_reset",
        "http3.remote_refuse",
    ];
    WAYS.iter().any(|way| details.starts_with(way))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The defaults, as the configuration gives them.
    fn rules() -> Rules {
        crate::config::Config::parse(b"").unwrap().policy("any").classify
    }

    const FAILURE: Outcome = Outcome::Failure { reset: false };
    const RESET: Outcome = Outcome::Failure { reset: true };

    fn answered(status: u16, details: &str) -> Outcome {
        let ending = Ending {
            status: Some(status),
            is_sent: true,
            is_complete: true,
            details,
            ..Ending::default()
        };
        rules().classify(&ending).outcome
    }

    fn cut(status: Option<u16>, details: &str) -> Outcome {
        rules().classify(&Ending { status, details, ..Ending::default() }).outcome
    }

    fn grpc_call(status: Option<u32>) -> Outcome {
        let ending = Ending {
            status: Some(200),
            grpc: Grpc::Status(status.and_then(GrpcStatus::from_number)),
            is_sent: true,
            is_complete: true,
            details: VIA_UPSTREAM,
            ..Ending::default()
        };
        rules().classify(&ending).outcome
    }

    #[test]
    fn the_upstreams_answer_is_judged_by_its_status() {
        for status in [200, 204, 304, 302, 400, 401, 404, 499] {
            assert_eq!(answered(status, VIA_UPSTREAM), Outcome::Success, "{status}");
        }
        for status in [500, 502, 503, 504, 599] {
            assert_eq!(answered(status, VIA_UPSTREAM), FAILURE, "{status}");
        }
        for status in [429, 501, 505, 0, 999] {
            assert_eq!(answered(status, VIA_UPSTREAM), Outcome::Ignored, "{status}");
        }
    }

    #[test]
    fn what_the_upstream_failed_to_answer_is_a_failure() {
        let before = |reason: &str| format!("upstream_reset_before_response_started{{{reason}}}");
        assert_eq!(
            answered(
                503,
                &before("remote_connection_failure|delayed_connect_error:_Connection_refused")
            ),
            FAILURE
        );
        assert_eq!(answered(503, &before("connection_timeout")), FAILURE);
        assert_eq!(answered(503, &before("connection_termination")), RESET);
        assert_eq!(answered(502, &before("protocol_error")), RESET);
        assert_eq!(answered(200, &before("remote_reset")), RESET);
        assert_eq!(answered(503, "no_healthy_upstream"), FAILURE);
        for details in ["response_timeout", "stream_idle_timeout", "max_duration_timeout"] {
            assert_eq!(answered(504, details), FAILURE, "{details}");
        }
    }

    #[test]
    fn what_others_did_is_ignored() {
        for (status, details) in [
            (503, "upstream_reset_before_response_started{overflow}"),
            (503, "upstream_reset_before_response_started{local_reset}"),
            (503, "fault_filter_abort"),
            (429, "local_rate_limited"),
            (413, "request_payload_too_large"),
            (404, "route_not_found"),
            (503, "cluster_not_found"),
            (401, "ext_authz_denied"),
            (408, "request_overall_timeout"),
            (503, "circuit_breaker_open"),
            (503, ""),
        ] {
            assert_eq!(answered(status, details), Outcome::Ignored, "{status} {details}");
        }
        for details in ["downstream_remote_disconnect", "http2.remote_reset"] {
            assert_eq!(cut(None, details), Outcome::Ignored, "{details}");
            assert_eq!(cut(Some(200), details), Outcome::Ignored, "{details}");
        }
    }

    #[test]
    fn a_timeout_while_the_client_is_still_sending_is_not_the_upstreams() {
        for details in ["stream_idle_timeout", "max_duration_timeout"] {
            for status in [408, 504, 200] {
                let ending = Ending {
                    status: Some(status),
                    is_complete: true,
                    details,
                    ..Ending::default()
                };
                assert_eq!(
                    rules().classify(&ending).outcome,
                    Outcome::Ignored,
                    "{status} {details}"
                );
            }
        }
    }

    #[test]
    fn after_good_headers_truncation_counts_and_timeouts_do_not() {
        let after = |reason: &str| format!("upstream_reset_after_response_started{{{reason}}}");
        assert_eq!(cut(Some(200), &after("protocol_error")), RESET);
        assert_eq!(cut(Some(200), &after("connection_termination")), RESET);
        assert_eq!(cut(Some(101), &after("connection_termination")), Outcome::Success);
        assert_eq!(cut(Some(101), "downstream_remote_disconnect"), Outcome::Success);
        for details in ["response_timeout", "stream_idle_timeout", "max_duration_timeout"] {
            assert_eq!(cut(Some(200), details), Outcome::Ignored, "{details}");
            assert_eq!(cut(Some(500), details), FAILURE, "{details}");
        }
    }

    #[test]
    fn grpc_is_judged_by_its_status() {
        for status in [0, 1, 3, 5, 7, 12, 16] {
            assert_eq!(grpc_call(Some(status)), Outcome::Success, "{status}");
        }
        for status in [2, 4, 13, 14, 15] {
            assert_eq!(grpc_call(Some(status)), FAILURE, "{status}");
        }
        assert_eq!(grpc_call(Some(8)), Outcome::Ignored);
        assert_eq!(grpc_call(None), FAILURE);
    }

    #[test]
    fn a_grpc_call_that_http_answered_is_judged_by_its_http_status() {
        let grpc = Grpc::Status(None);
        for (status, expected) in [(404, Outcome::Success), (429, Outcome::Ignored)] {
            let ending = Ending {
                status: Some(status),
                grpc,
                is_sent: true,
                is_complete: true,
                details: VIA_UPSTREAM,
                ..Ending::default()
            };
            assert_eq!(rules().classify(&ending).outcome, expected, "{status}");
        }
    }

    #[test]
    fn good_headers_are_the_upstreams_own_and_no_failure() {
        assert!(rules().are_good_headers(200, VIA_UPSTREAM));
        assert!(rules().are_good_headers(404, VIA_UPSTREAM));
        for status in [500, 429, 999] {
            assert!(!rules().are_good_headers(status, VIA_UPSTREAM), "{status}");
        }
        assert!(!rules().are_good_headers(200, "direct_response"));
    }

    #[test]
    fn a_rejection_further_upstream_does_not_cascade() {
        let ending = Ending {
            status: Some(503),
            is_sent: true,
            is_complete: true,
            details: VIA_UPSTREAM,
            is_rejected_upstream: true,
            ..Ending::default()
        };
        assert_eq!(rules().classify(&ending).outcome, Outcome::Ignored);
        let good = Ending { status: Some(200), ..ending };
        assert_eq!(rules().classify(&good).outcome, Outcome::Success);
    }

    #[test]
    fn a_deadline_may_have_been_the_clients_wherever_it_was_kept() {
        let ended = |status, grpc, details| {
            let ending = Ending {
                status: Some(status),
                grpc,
                is_sent: true,
                is_complete: true,
                details,
                ..Ending::default()
            };
            rules().classify(&ending).by
        };
        let exceeded = Grpc::Status(Some(GrpcStatus::DEADLINE_EXCEEDED));
        for (details, timer) in [
            ("response_timeout", Timer::Route),
            ("upstream_per_try_timeout", Timer::Attempt),
            ("upstream_max_stream_duration_reached", Timer::StreamDuration),
            ("max_duration_timeout", Timer::WholeStream),
            (VIA_UPSTREAM, Timer::Upstream),
        ] {
            assert_eq!(ended(504, Grpc::No, details), By::Deadline(timer), "{details}");
        }
        assert_eq!(ended(200, exceeded, VIA_UPSTREAM), By::Deadline(Timer::Upstream));
        assert_eq!(ended(504, Grpc::No, "stream_idle_timeout"), By::Upstream);
        assert_eq!(ended(503, Grpc::No, VIA_UPSTREAM), By::Upstream);
    }

    #[test]
    fn a_client_that_left_is_told_from_a_filter_that_answered() {
        let by = |details| rules().classify(&Ending { details, ..Ending::default() }).by;
        assert_eq!(by("downstream_remote_disconnect"), By::Client);
        assert_eq!(by("http2.remote_reset"), By::Client);
        assert_eq!(by("fault_filter_abort"), By::Proxy);
    }

    #[test]
    fn only_a_complete_good_answer_needs_no_further_look() {
        let mut rules = rules();
        let ok = Grpc::Status(Some(GrpcStatus::OK));
        assert!(rules.is_plain_success(Some(200), Grpc::No, true));
        assert!(rules.is_plain_success(Some(304), Grpc::No, true));
        assert!(rules.is_plain_success(Some(200), ok, true));
        for (status, is_complete) in [(200, false), (404, true), (503, true), (101, true)] {
            assert!(!rules.is_plain_success(Some(status), Grpc::No, is_complete));
        }
        assert!(!rules.is_plain_success(None, Grpc::No, true));
        for status in [None, GrpcStatus::from_number(14)] {
            assert!(!rules.is_plain_success(Some(200), Grpc::Status(status), true));
        }
        rules.failure_statuses.insert(302..=302);
        rules.ignore_statuses.insert(204..=204);
        for status in [302, 204] {
            assert!(!rules.is_plain_success(Some(status), Grpc::No, true), "{status}");
        }
    }
}
