//! Whose doing it was.

use crate::harness::prelude::*;

/// Trips at the first failure.
fn host() -> Host {
    Host::with(config().trips_after(1))
}

#[track_caller]
fn assert_counts(ending: Ending) {
    let name = format!("{ending:?}");
    let host = host();
    host.request().ends_as(ending);
    assert_eq!(host.counter("circuit_breaker.up.failures"), 1, "{name}");
    assert_state(&host, "up", "open");
}

#[track_caller]
fn assert_does_not_count(ending: Ending) {
    let name = format!("{ending:?}");
    let host = host();
    host.request().ends_as(ending);
    assert_eq!(host.counter("circuit_breaker.up.failures"), 0, "{name}");
    assert_eq!(host.counter("circuit_breaker.up.ignored"), 1, "{name}");
    assert_state(&host, "up", "closed");
}

#[track_caller]
fn assert_succeeds(ending: Ending) {
    let name = format!("{ending:?}");
    let host = host();
    host.request().ends_as(ending);
    host.tick();
    assert_eq!(host.counter("circuit_breaker.up.successes"), 1, "{name}");
}

#[test]
fn the_upstreams_failures_count() {
    for status in [500, 502, 503, 504] {
        assert_counts(answer(status));
    }
    for ending in [
        endings::refused(),
        endings::connect_timeout(),
        endings::no_healthy_upstream(),
        endings::closes_before_headers(),
        endings::garbage(),
        endings::closes_mid_body(),
        endings::h2_closes_mid_body(),
        endings::h2_reset_mid_body(),
        endings::route_timeout(),
        endings::idle_timeout(),
        endings::max_duration(),
        endings::per_try_timeouts(),
        endings::retries_exhausted(503),
    ] {
        assert_counts(ending);
    }
}

#[test]
fn what_others_did_does_not_count() {
    for ending in [
        answer(429),
        answer(501),
        endings::client_leaves(),
        endings::client_leaves_mid_body(),
        endings::h2_client_reset(),
        endings::overflow(),
        endings::fault_abort(),
        endings::rate_limited(),
        endings::payload_too_large(),
        endings::unauthorized(),
        endings::stalled_upload(),
        endings::route_timeout_mid_body(),
        endings::idle_timeout_mid_body(),
        endings::max_duration_mid_body(),
        answer(503).header("x-circuit-breaker", "open"),
    ] {
        assert_does_not_count(ending);
    }
}

#[test]
fn good_and_client_errors_are_successes() {
    for ending in [
        answer(200),
        answer(404),
        answer(401),
        endings::retried_then(200),
        endings::websocket(),
        endings::websocket_refused(200),
        endings::server_sent_events(&["a", "b"]),
    ] {
        assert_succeeds(ending);
    }
}

#[test]
fn a_request_that_an_earlier_filter_answered_is_none_of_ours() {
    let host = host();
    for ending in [endings::earlier_filter_abort(), endings::codec_reject(400)] {
        host.unseen(get("/"), ending);
    }
    assert_eq!(host.counter("circuit_breaker.up.failures"), 0);
    assert_eq!(host.counter("circuit_breaker.up.ignored"), 0);
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
