//! gRPC is judged and answered by grpc-status.

use crate::harness::prelude::*;

fn host() -> Host {
    Host::with(config().trips_after(1))
}

fn call(host: &Host) -> Exchange {
    host.send(grpc("/pkg.Service/Method"))
}

#[test]
fn the_upstreams_grpc_failures_count() {
    for ending in [
        endings::grpc_status(14),
        endings::grpc_status(2),
        endings::grpc_trailers_only(14),
        endings::grpc_without_status(),
        endings::grpc_reset_before_headers("remote_reset"),
        endings::grpc_refused(),
        endings::grpc_reset_mid(),
        endings::grpc_route_timeout(),
    ] {
        let name = format!("{ending:?}");
        let host = host();
        call(&host).ends_as(ending);
        assert_eq!(host.counter("circuit_breaker.up.failures"), 1, "{name}");
    }
}

#[test]
fn other_grpc_statuses_do_not() {
    for status in [0, 1, 3, 5, 7, 8, 12, 16] {
        let host = host();
        call(&host).ends_as(endings::grpc_status(status));
        call(&host).ends_as(endings::grpc_trailers_only(status));
        assert_eq!(host.counter("circuit_breaker.up.failures"), 0, "{status}");
    }
}

#[test]
fn a_rejected_call_gets_unavailable_with_the_detail_as_message() {
    let host = host();
    call(&host).ends_as(endings::grpc_status(14));
    let rejected = assert_rejected!(call(&host));
    let message = rejected.header("grpc-message").unwrap();
    assert!(message.contains("is open"), "{message}");
}

#[test]
fn grpc_is_noticed_on_a_circuit_that_began_with_http() {
    let host = host();
    host.traffic(1, 200);
    call(&host).ends_as(endings::grpc_status(14));
    assert_state(&host, "up", "open");
}

#[test]
fn a_grpc_status_in_a_response_that_is_not_grpc_means_nothing() {
    let host = host();
    let trailers = Headers::new([("grpc-status", "14")]);
    host.request().answered_with(answer(200).trailers(trailers));
    assert_eq!(host.counter("circuit_breaker.up.failures"), 0);
}

#[test]
fn grpc_web_has_its_status_in_the_body_and_is_judged_as_http() {
    let host = host();
    let kind = "application/grpc-web+proto";
    for _ in 0..3 {
        let request = post("/pkg.Service/Method", "body").header("content-type", kind);
        host.send(request).answered_with(answer(200).header("content-type", kind));
    }
    host.tick();
    assert_eq!(host.counter("circuit_breaker.up.failures"), 0);
    assert_eq!(host.counter("circuit_breaker.up.successes"), 3);
}
