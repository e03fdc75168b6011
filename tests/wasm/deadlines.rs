//! Whose deadline it was.

use crate::endings::in_force;
use crate::harness::prelude::*;

const BY_CLIENT: &str = "x-envoy-upstream-rq-timeout-ms";

/// Trips at the first failure; the route's timeout is 15 s, and known.
fn host() -> Host {
    let host = Host::with(config().trips_after(1));
    in_force(&host.request(), 15_000).answered(200);
    host
}

fn times_out_after(host: &Host, request: Request, in_force_millis: u64) {
    let call = host.send(request);
    host.advance(millis(in_force_millis));
    in_force(&call, in_force_millis).times_out();
}

#[test]
fn clients_with_short_deadlines_of_their_own_never_trip_a_circuit() {
    for host in [Host::with(config().trips_after(1)), host()] {
        // Many at once, before anything could be learnt from the first.
        let calls: Vec<_> = (0..10).map(|_| host.send(get("/").header(BY_CLIENT, "100"))).collect();
        host.advance(millis(100));
        calls.iter().for_each(|call| drop(in_force(call, 100).times_out()));
        for _ in 0..10 {
            times_out_after(&host, get("/").header(BY_CLIENT, "100"), 100);
        }
        assert_state(&host, "up", "closed");
        assert_eq!(host.counter("circuit_breaker.up.failures"), 0);
        assert_eq!(host.counter("circuit_breaker.up.ignored"), 20);
    }
}

#[test]
fn a_short_timeout_of_the_route_trips_from_the_first_call_on() {
    let host = Host::with(config().trips_after(5));
    for _ in 0..5 {
        times_out_after(&host, get("/"), 500);
    }
    assert_state(&host, "up", "open");
}

#[test]
fn a_short_timeout_of_the_route_trips_though_clients_set_deadlines_too() {
    let host = host();
    times_out_after(&host, get("/").header(BY_CLIENT, "100"), 100);
    times_out_after(&host, get("/"), 500);
    assert_state(&host, "up", "open");
}

#[test]
fn a_deadline_that_envoy_does_not_keep_excuses_nobody() {
    let host = host();
    times_out_after(&host, get("/").header("x-envoy-expected-rq-timeout-ms", "1"), 15_000);
    assert_state(&host, "up", "open");
}

#[test]
fn a_deadline_of_at_least_the_minimum_is_the_upstreams_to_keep() {
    let host = host();
    times_out_after(&host, get("/").header(BY_CLIENT, "1000"), 1_000);
    assert_state(&host, "up", "open");
}

#[test]
fn an_upstream_that_keeps_to_the_clients_deadline_itself_is_not_blamed() {
    let host = host();
    host.send(grpc("/a/B").header("grpc-timeout", "100m")).ends_as(endings::grpc_status(4));
    host.send(grpc("/a/B").header("grpc-timeout", "100m")).ends_as(endings::grpc_trailers_only(4));
    assert_state(&host, "up", "closed");
    host.send(grpc("/a/B").header("grpc-timeout", "5S")).ends_as(endings::grpc_status(4));
    assert_state(&host, "up", "open");
}

#[test]
fn without_a_minimum_a_deadline_is_a_deadline() {
    let host =
        Host::with(config().trips_after(1).set("defaults.classify.min_deadline", json!("0s")));
    times_out_after(&host, get("/").header(BY_CLIENT, "100"), 100);
    assert_state(&host, "up", "open");
}

#[test]
fn once_a_route_is_known_its_requests_are_not_looked_at() {
    let host = host();
    let calls = host.hostcalls_during(|host| {
        in_force(&host.request(), 15_000).answered(200);
    });
    assert_eq!(calls.list(), [("proxy_get_header_map_value", 1), ("proxy_get_property", 1)]);
}

#[test]
fn an_upstream_that_only_blames_requests_teaches_the_route_too() {
    let host = Host::with(config());
    in_force(&host.request(), 15_000).answered(404);
    let calls = host.hostcalls_during(|host| {
        in_force(&host.request(), 15_000).answered(404);
    });
    assert_eq!(calls.of("proxy_get_header_map_value"), 2, "{calls:?}");
}

#[test]
fn a_slow_upload_before_a_short_deadline_is_the_clients_too() {
    let host = host();
    let upload = host.send(post("/", "").header(BY_CLIENT, "100").body_to_come());
    host.advance(secs(5));
    upload.sends("all of it", true);
    host.advance(millis(100));
    in_force(&upload, 100).times_out();
    assert_state(&host, "up", "closed");
}
