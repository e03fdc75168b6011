//! What happened to a request, and whose doing it was.
//!
//! Envoy says how a response came about in `response.code_details`: `via_upstream` is the
//! upstream's own answer and is judged by its status; some details are the upstream's failure to
//! answer; everything else is Envoy's, another filter's or the client's doing and says nothing of
//! the upstream.

use crate::breaker::Outcome;

/// gRPC statuses that are the upstream's failure, by number.
const UNKNOWN: u32 = 2;
const DEADLINE_EXCEEDED: u32 = 4;
const RESOURCE_EXHAUSTED: u32 = 8;
const INTERNAL: u32 = 13;
const UNAVAILABLE: u32 = 14;
const DATA_LOSS: u32 = 15;

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending<'a> {
    /// Of the response headers, if any came.
    pub status: Option<u16>,
    pub grpc: Grpc,
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
    Status(Option<u32>),
}

/// An outcome with the reason, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    pub outcome: Outcome,
    pub why: &'static str,
}

const fn success(why: &'static str) -> Classified {
    Classified { outcome: Outcome::Success, why }
}

const fn failure(why: &'static str) -> Classified {
    Classified { outcome: Outcome::Failure { reset: false }, why }
}

const fn ignored(why: &'static str) -> Classified {
    Classified { outcome: Outcome::Ignored, why }
}

/// Whether a response needs no further look: a good status, to the end. What Envoy or a filter
/// answers so is no failure either, and not worth two hostcalls on every request.
pub const fn is_plain_success(status: Option<u16>, grpc: Grpc, is_complete: bool) -> bool {
    is_complete
        && matches!(status, Some(200..=399))
        && matches!(grpc, Grpc::No | Grpc::Status(Some(0)))
}

/// Whether response headers are an answer of the upstream that is no failure.
pub fn are_good_headers(status: u16, details: &str) -> bool {
    details == VIA_UPSTREAM && by_http_status(status).outcome == Outcome::Success
}

const VIA_UPSTREAM: &str = "via_upstream";

pub fn classify(ending: &Ending<'_>) -> Classified {
    let details = ending.details;
    if let Some(reset) = details.strip_prefix("upstream_reset_before_response_started") {
        return by_reset(reset);
    }
    if let Some(reset) = details.strip_prefix("upstream_reset_after_response_started") {
        // An upgraded connection always ends so.
        return match ending.status {
            Some(101) => success("upgraded"),
            _ => by_reset(reset),
        };
    }
    match details {
        // The second is the upstream's refusal to upgrade.
        VIA_UPSTREAM | "websocket_handshake_unsuccessful" => by_answer(ending),
        "no_healthy_upstream" => failure("no healthy host"),
        "response_timeout"
        | "upstream_response_timeout"
        | "upstream_per_try_timeout"
        | "upstream_per_try_idle_timeout"
        | "upstream_max_stream_duration_reached"
        | "stream_idle_timeout"
        | "max_duration_timeout"
        | "duration_timeout" => by_timeout(ending),
        _ => ignored("not the upstream's answer"),
    }
}

/// `{reason}` or `{reason|transport failure}`.
fn by_reset(reset: &str) -> Classified {
    let reason = reset.trim_start_matches('{');
    let is = |prefix: &str| reason.starts_with(prefix);
    if is("overflow") {
        ignored("overflow of the proxy's own limits")
    } else if is("local_reset") || is("local_refused_stream_reset") {
        ignored("reset by the proxy")
    } else if is("remote_connection_failure") || is("local_connection_failure") {
        failure("connection failed")
    } else if is("connection_timeout") {
        failure("connection timed out")
    } else {
        // The connection or stream was there and died.
        Classified { outcome: Outcome::Failure { reset: true }, why: "reset" }
    }
}

fn by_timeout(ending: &Ending<'_>) -> Classified {
    if !ending.is_complete && ending.status.is_some() {
        // Headers came, then the time ran out: as likely a slow reader as a stalled upstream.
        return match by_http_status(ending.status.unwrap_or_default()) {
            Classified { outcome: Outcome::Success, .. } => ignored("timeout after good headers"),
            bad => bad,
        };
    }
    match ending.status {
        Some(408) => ignored("the client's upload timed out"),
        _ => failure("timeout"),
    }
}

fn by_answer(ending: &Ending<'_>) -> Classified {
    let Some(status) = ending.status else {
        return ignored("no response");
    };
    let answer = match ending.grpc {
        Grpc::Status(status_of_grpc) if status == 200 => by_grpc_status(status_of_grpc),
        _ => by_http_status(status),
    };
    match answer.outcome {
        Outcome::Failure { .. } if ending.is_rejected_upstream => {
            ignored("rejected by a circuit breaker further upstream")
        }
        _ => answer,
    }
}

const fn by_http_status(status: u16) -> Classified {
    match status {
        429 | 501 | 505 => ignored("status"),
        500..=599 => failure("status"),
        100..=499 => success("status"),
        _ => ignored("status out of range"),
    }
}

/// A gRPC call that ends without a status is UNKNOWN to its client.
const fn by_grpc_status(status: Option<u32>) -> Classified {
    match status {
        None => failure("no grpc-status"),
        Some(UNKNOWN | DEADLINE_EXCEEDED | INTERNAL | UNAVAILABLE | DATA_LOSS) => {
            failure("grpc-status")
        }
        Some(RESOURCE_EXHAUSTED) => ignored("grpc-status"),
        Some(_) => success("grpc-status"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURE: Outcome = Outcome::Failure { reset: false };
    const RESET: Outcome = Outcome::Failure { reset: true };

    fn answered(status: u16, details: &str) -> Outcome {
        let ending =
            Ending { status: Some(status), is_complete: true, details, ..Ending::default() };
        classify(&ending).outcome
    }

    fn cut(status: Option<u16>, details: &str) -> Outcome {
        classify(&Ending { status, details, ..Ending::default() }).outcome
    }

    fn grpc(status: Option<u32>) -> Outcome {
        let ending = Ending {
            status: Some(200),
            grpc: Grpc::Status(status),
            is_complete: true,
            details: VIA_UPSTREAM,
            ..Ending::default()
        };
        classify(&ending).outcome
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
            (408, "stream_idle_timeout"),
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
    fn after_good_headers_truncation_counts_and_timeouts_do_not() {
        let after = |reason: &str| format!("upstream_reset_after_response_started{{{reason}}}");
        assert_eq!(cut(Some(200), &after("protocol_error")), RESET);
        assert_eq!(cut(Some(200), &after("connection_termination")), RESET);
        assert_eq!(cut(Some(101), &after("connection_termination")), Outcome::Success);
        for details in ["response_timeout", "stream_idle_timeout", "max_duration_timeout"] {
            assert_eq!(cut(Some(200), details), Outcome::Ignored, "{details}");
            assert_eq!(cut(Some(500), details), FAILURE, "{details}");
        }
    }

    #[test]
    fn grpc_is_judged_by_its_status() {
        for status in [0, 1, 3, 5, 7, 12, 16] {
            assert_eq!(grpc(Some(status)), Outcome::Success, "{status}");
        }
        for status in [2, 4, 13, 14, 15] {
            assert_eq!(grpc(Some(status)), FAILURE, "{status}");
        }
        assert_eq!(grpc(Some(8)), Outcome::Ignored);
        assert_eq!(grpc(None), FAILURE);
    }

    #[test]
    fn a_rejection_further_upstream_does_not_cascade() {
        let ending = Ending {
            status: Some(503),
            is_complete: true,
            details: VIA_UPSTREAM,
            is_rejected_upstream: true,
            ..Ending::default()
        };
        assert_eq!(classify(&ending).outcome, Outcome::Ignored);
        let good = Ending { status: Some(200), ..ending };
        assert_eq!(classify(&good).outcome, Outcome::Success);
    }

    #[test]
    fn only_a_complete_good_answer_needs_no_further_look() {
        assert!(is_plain_success(Some(200), Grpc::No, true));
        assert!(is_plain_success(Some(304), Grpc::No, true));
        assert!(is_plain_success(Some(200), Grpc::Status(Some(0)), true));
        for (status, is_complete) in [(200, false), (404, true), (503, true), (101, true)] {
            assert!(!is_plain_success(Some(status), Grpc::No, is_complete));
        }
        assert!(!is_plain_success(None, Grpc::No, true));
        for status in [None, Some(14)] {
            assert!(!is_plain_success(Some(200), Grpc::Status(status), true));
        }
    }
}
