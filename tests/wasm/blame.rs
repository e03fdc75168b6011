//! Whose doing it was.

use crate::harness::prelude::*;

/// Trips at the first failure.
fn host() -> Host {
    Host::with(config().trips_after(1))
}

#[test]
fn our_own_replies_are_not_counted() {
    let host = host();
    host.traffic(1, 503);
    for _ in 0..10 {
        assert_rejected!(host.request());
    }
    assert_eq!(host.counter("circuit_breaker.up.failures"), 1);
    assert_eq!(host.counter("circuit_breaker.up.ignored"), 0);
}

#[test]
fn the_verdict_counts_for_the_cluster_that_served() {
    let host = Host::with(config().trips_after(1).circuit("b", json!({})));
    host.request().rerouted("b").answered(503);
    assert_eq!(host.counter("circuit_breaker.up.failures"), 0);
    assert_eq!(host.counter("circuit_breaker.up.ignored"), 0);
    assert_eq!(host.counter("circuit_breaker.b.failures"), 1);
    assert_rejected!(host.send(get("/").to("b")));
    assert_admitted!(host.request());
}

#[test]
fn a_probe_that_went_elsewhere_gives_its_slot_back() {
    let host = Host::with(config().trips_after(1).opens_for(secs(1)));
    host.traffic(1, 503);
    host.advance(secs(1));
    assert_admitted!(host.request()).rerouted("b").answered(200);
    assert_state(&host, "up", "half-open");
    assert_admitted!(host.request()).answered(200);
    assert_state(&host, "up", "closed");
}

#[test]
fn successes_too_count_for_the_cluster_that_served_once_requests_are_seen_to_move() {
    let host = Host::with(config().trips_after(5));
    for _ in 0..5 {
        for status in [503, 200, 200] {
            host.request().rerouted("b").answered(status);
        }
    }
    host.tick();
    assert_state(&host, "b", "closed");
    assert_eq!(host.counter("circuit_breaker.b.successes"), 10);
    assert_eq!(host.counter("circuit_breaker.up.successes"), 0);
}

#[test]
fn good_headers_of_another_cluster_do_not_let_a_probe_pass() {
    let host = Host::with(config().trips_after(1).opens_for(secs(1)));
    host.traffic(1, 503);
    host.advance(secs(1));
    let stream = assert_admitted!(host.request()).rerouted("b").headers(200);
    host.advance(secs(3));
    assert_state(&host, "up", "half-open");
    stream.ends();
    assert_state(&host, "up", "half-open");
    assert_admitted!(host.request()).answered(200);
    assert_state(&host, "up", "closed");
}

/// Of b's first life; b has opened and closed since.
#[test]
fn a_call_of_before_an_outage_that_another_filter_moved_does_not_count_after_it() {
    let host = Host::with(config().trips_after(1).opens_for(secs(1)).circuit("b", json!({})));
    let old = host.request().rerouted("b");
    host.send(get("/").to("b")).answered(503);
    host.advance(secs(2));
    assert_admitted!(host.send(get("/").to("b"))).answered(200);
    old.answered(503);
    assert_state(&host, "b", "closed");
    assert_eq!(host.counter("circuit_breaker.b.stale_results"), 1);
}
