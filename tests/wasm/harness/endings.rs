//! The endings that were seen on a real Envoy, by name, with the details and flags it gave them.

use super::ending::{Ending, answer, local};
use super::headers::Headers;
use super::stream::Origin;

pub mod flags {
    pub const UH: u64 = 2;
    pub const UT: u64 = 4;
    pub const UR: u64 = 16;
    pub const UF: u64 = 32;
    pub const UC: u64 = 64;
    pub const UO: u64 = 128;
    pub const NR: u64 = 256;
    pub const FI: u64 = 1024;
    pub const RL: u64 = 2048;
    pub const UAEX: u64 = 4096;
    pub const DC: u64 = 16_384;
    pub const URX: u64 = 32_768;
    pub const SI: u64 = 65_536;
    pub const DPE: u64 = 262_144;
    pub const UPE: u64 = 8_388_608;
    pub const NC: u64 = 16_777_216;
    pub const DR: u64 = 268_435_456;
}
use flags::{DC, DPE, DR, FI, NC, NR, RL, SI, UAEX, UC, UF, UH, UO, UPE, UR, URX, UT};

fn before(reason: &str) -> String {
    format!("upstream_reset_before_response_started{{{reason}}}")
}

fn after(reason: &str) -> String {
    format!("upstream_reset_after_response_started{{{reason}}}")
}

/// Good headers and some body, then only the log callback.
fn mid_body(name: &'static str, details: &str, flags: u64) -> Ending {
    answer(200).named(name).header("content-length", "100").cut().in_log(details, flags)
}

// --- no answer: connections, hosts

/// Any reset before headers, by the reason Envoy gives.
pub fn reset_before_headers(reason: &str) -> Ending {
    let (status, flags) = match reason {
        "protocol_error" => (502, UPE),
        "connection_termination" => (503, UC),
        "overflow" => (503, UO),
        "remote_reset" | "remote_refused_stream_reset" => (503, UR),
        _ => (503, UF),
    };
    local("reset_before_headers", status, &before(reason), flags)
}

pub fn refused() -> Ending {
    reset_before_headers("remote_connection_failure|delayed_connect_error:_Connection_refused")
        .named("refused")
}

pub fn connect_timeout() -> Ending {
    reset_before_headers("connection_timeout").named("connect_timeout")
}

/// No hosts at all, or none that is healthy.
pub fn no_healthy_upstream() -> Ending {
    local("no_healthy_upstream", 503, "no_healthy_upstream", UH).without_address()
}

/// FIN or RST before headers.
pub fn closes_before_headers() -> Ending {
    reset_before_headers("connection_termination").named("closes_before_headers")
}

/// Something that is not HTTP.
pub fn garbage() -> Ending {
    reset_before_headers("protocol_error").named("garbage")
}

// --- cut off in the middle

/// Over HTTP/1.
pub fn closes_mid_body() -> Ending {
    mid_body("closes_mid_body", &after("protocol_error"), UPE)
}

pub fn h2_closes_mid_body() -> Ending {
    mid_body("h2_closes_mid_body", &after("connection_termination"), UC)
}

pub fn h2_reset_mid_body() -> Ending {
    mid_body("h2_reset_mid_body", &after("remote_reset"), UR)
}

// --- timeouts

pub fn route_timeout() -> Ending {
    local("route_timeout", 504, "response_timeout", UT)
}

pub fn route_timeout_mid_body() -> Ending {
    mid_body("route_timeout_mid_body", "response_timeout", UT)
}

pub fn idle_timeout() -> Ending {
    local("idle_timeout", 504, "stream_idle_timeout", SI)
}

pub fn idle_timeout_mid_body() -> Ending {
    mid_body("idle_timeout_mid_body", "stream_idle_timeout", SI)
}

/// The client stopped sending its body.
pub fn stalled_upload() -> Ending {
    local("stalled_upload", 408, "stream_idle_timeout", SI)
}

/// The only timeout without a flag.
pub fn max_duration() -> Ending {
    local("max_duration", 504, "max_duration_timeout", 0)
}

pub fn max_duration_mid_body() -> Ending {
    mid_body("max_duration_mid_body", "max_duration_timeout", 0)
}

pub fn per_try_timeouts() -> Ending {
    local("per_try_timeouts", 504, "upstream_per_try_timeout", URX | UT).attempts(3)
}

// --- retries

pub fn retried_then(status: u16) -> Ending {
    answer(status).named("retried_then").attempts(2)
}

pub fn retries_exhausted(status: u16) -> Ending {
    answer(status).named("retries_exhausted").attempts(3).flags(URX)
}

// --- the client

/// Before the response, or in the middle of one whose headers were sent step by step.
pub fn client_leaves() -> Ending {
    answer(200)
        .named("client_leaves")
        .by(Origin::Envoy)
        .without_head()
        .details("downstream_remote_disconnect")
        .flags(DC)
}

pub fn client_leaves_mid_body() -> Ending {
    mid_body("client_leaves_mid_body", "downstream_remote_disconnect", DC)
}

pub fn h2_client_reset() -> Ending {
    client_leaves().named("h2_client_reset").details("http2.remote_reset").flags(DR)
}

// --- Envoy's own limits, and filters between this one and the router

pub fn overflow() -> Ending {
    reset_before_headers("overflow")
        .named("overflow")
        .without_address()
        .header("x-envoy-overloaded", "true")
}

pub fn fault_abort() -> Ending {
    local("fault_abort", 503, "fault_filter_abort", FI).without_address()
}

pub fn rate_limited() -> Ending {
    local("rate_limited", 429, "local_rate_limited", RL).without_address()
}

pub fn payload_too_large() -> Ending {
    local("payload_too_large", 413, "request_payload_too_large", 0).without_address()
}

pub fn unauthorized() -> Ending {
    local("unauthorized", 401, "ext_authz_denied", UAEX).without_address()
}

pub fn no_route() -> Ending {
    local("no_route", 404, "route_not_found", NR).without_address()
}

pub fn no_cluster() -> Ending {
    local("no_cluster", 503, "cluster_not_found", NC).without_address()
}

pub fn direct_response(status: u16) -> Ending {
    local("direct_response", status, "direct_response", 0).without_address()
}

// --- seen in the log callback alone: for `Host::unseen`

pub fn earlier_filter_abort() -> Ending {
    fault_abort().named("earlier_filter_abort").silent()
}

pub fn codec_reject(status: u16) -> Ending {
    let (details, flags) =
        if status == 431 { ("http1.headers_too_large", DPE) } else { ("missing_host_header", 0) };
    local("codec_reject", status, details, flags).without_address().silent()
}

// --- odd ones

/// The filter saw the request, but not this response; a new stream follows.
pub fn internal_redirect() -> Ending {
    answer(302).named("internal_redirect").details("internal_redirect").silent()
}

/// A normal end that looks like a broken one.
pub fn websocket() -> Ending {
    answer(101)
        .named("websocket")
        .chunks(["ping", "pong"])
        .cut()
        .in_log(&after("connection_termination"), UC)
}

pub fn websocket_refused(status: u16) -> Ending {
    answer(status)
        .named("websocket_refused")
        .details("websocket_handshake_unsuccessful")
        .headers_only()
}

pub fn server_sent_events(events: &[&str]) -> Ending {
    answer(200)
        .named("server_sent_events")
        .header("content-type", "text/event-stream")
        .chunks(events)
}

// --- gRPC

fn grpc_answer(name: &'static str) -> Ending {
    answer(200).named(name).header("content-type", "application/grpc")
}

fn grpc_local(
    name: &'static str,
    grpc_status: u32,
    code: u16,
    details: &str,
    flags: u64,
) -> Ending {
    grpc_answer(name)
        .by(Origin::Envoy)
        .header("grpc-status", grpc_status.to_string())
        .headers_only()
        .code(code)
        .details(details)
        .flags(flags)
}

pub fn grpc_ok() -> Ending {
    grpc_status(0).named("grpc_ok")
}

/// In the trailers.
pub fn grpc_status(status: u32) -> Ending {
    grpc_answer("grpc_status").trailers(Headers::new([("grpc-status", status.to_string())]))
}

pub fn grpc_trailers_only(status: u32) -> Ending {
    grpc_answer("grpc_trailers_only").header("grpc-status", status.to_string()).headers_only()
}

pub fn grpc_without_status() -> Ending {
    grpc_answer("grpc_without_status").h2()
}

pub fn grpc_reset_before_headers(reason: &str) -> Ending {
    grpc_local("grpc_reset_before_headers", 14, 503, &before(reason), UR)
}

pub fn grpc_refused() -> Ending {
    let details = before("remote_connection_failure|delayed_connect_error:_Connection_refused");
    grpc_local("grpc_refused", 14, 503, &details, UF)
}

pub fn grpc_reset_mid() -> Ending {
    grpc_answer("grpc_reset_mid").cut().in_log(&after("remote_reset"), UR)
}

/// The header says 200, the property 504, and the property in the log 200 again.
pub fn grpc_route_timeout() -> Ending {
    grpc_local("grpc_route_timeout", 14, 504, "response_timeout", UT)
}

/// The client's own `grpc-timeout` ran out.
pub fn grpc_deadline_exceeded() -> Ending {
    grpc_local("grpc_deadline_exceeded", 4, 504, "response_timeout", UT)
}
