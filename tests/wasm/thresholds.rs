//! When a circuit trips.

use crate::harness::prelude::*;

fn trips_at_failures() -> Host {
    Host::with(config().trips_at_failures(3, secs(2)))
}

#[test]
fn stays_closed_below_the_threshold() {
    let host = Host::with(config().trips_after(5));
    host.traffic(4, 503);
    assert_admitted!(host.request());
    assert_state(&host, "up", "closed");
}

#[test]
fn old_failures_leave_the_window() {
    let host = Host::with(config().trips_at_failures(3, secs(2)).status_at("/cb"));
    host.traffic(2, 503);
    host.advance(millis(2100));
    host.traffic(1, 503);
    assert_state(&host, "up", "closed");
    let status = host.send(get("/cb/up").without_cluster()).json();
    assert_eq!(status["circuit_breaker"]["fail_count"], 1);
}

#[test]
fn a_success_does_not_reset_the_failures_of_a_window() {
    let host = trips_at_failures();
    host.traffic(2, 503);
    host.traffic(1, 200);
    host.traffic(1, 503);
    assert_state(&host, "up", "open");
}

#[test]
fn a_success_ends_a_run() {
    let host = Host::with(config().trips_after(3));
    for _ in 0..10 {
        host.traffic(2, 503);
        host.traffic(1, 200);
    }
    assert_state(&host, "up", "closed");
    host.traffic(3, 503);
    assert_state(&host, "up", "open");
}

#[test]
fn half_of_twenty_requests_trips_by_default() {
    let host = Host::with(config());
    for _ in 0..9 {
        host.traffic(1, 200);
        host.traffic(1, 503);
    }
    host.traffic(1, 200);
    assert_state(&host, "up", "closed");
    host.traffic(1, 503);
    assert_state(&host, "up", "open");
    assert_logged(&host, Level::Warn, &["reason=\"10 of 20 requests failed within 10s\""]);
}

#[test]
fn a_success_never_trips() {
    let host = Host::with(config().trips_at_ratio(0.5, 20, secs(10)));
    host.traffic(19, 503);
    host.traffic(1, 200);
    assert_state(&host, "up", "closed");
    host.traffic(1, 503);
    assert_state(&host, "up", "open");
}

#[test]
fn streams_in_flight_when_a_connection_dies_are_one_failure_of_the_run() {
    let host = Host::with(config());
    let streams: Vec<_> = (0..20).map(|_| host.request()).collect();
    host.traffic(100, 200);
    for stream in streams {
        stream.reset_before_headers("connection_termination");
    }
    assert_state(&host, "up", "closed");
    assert_eq!(host.counter("circuit_breaker.up.failures"), 20);
}

#[test]
fn resets_one_after_the_other_are_a_run() {
    let host = Host::with(config());
    for _ in 0..5 {
        host.request().reset_before_headers("connection_termination");
    }
    assert_state(&host, "up", "open");
}

#[test]
fn one_failure_is_not_all_of_one_request() {
    let host = Host::with(config().trips_at_ratio(0.5, 20, secs(10)).opens_for(secs(1)));
    for _ in 0..3 {
        host.traffic(19, 503);
        assert_state(&host, "up", "closed");
        host.traffic(1, 503);
        assert_state(&host, "up", "open");
        // Nor is it after a recovery, of which the probe is all that is known.
        host.advance_without_ticks(mins(5));
        host.tick();
        assert_admitted!(host.request()).answered(200);
        assert_state(&host, "up", "closed");
    }
}

#[test]
fn one_failure_an_hour_never_trips_where_others_succeed() {
    let host = Host::with(config().trips_after(5));
    for _ in 0..20 {
        for status in [503, 200] {
            host.traffic(1, status);
            host.advance_without_ticks(mins(30));
            host.tick();
        }
    }
    assert_state(&host, "up", "closed");
    assert_eq!(host.counter("circuit_breaker.up.failures"), 20);
}
