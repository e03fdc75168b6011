//! Calls that take too long.

use crate::harness::prelude::*;

/// Trips when 4 of 5 calls within 10 s are slow: no headers within 500 ms.
fn policy() -> Config {
    config().trips_when_slow(0.8, 5, secs(10)).slow_after(millis(500)).opens_for(secs(1))
}

#[test]
fn an_upstream_that_hangs_trips_its_circuit_long_before_the_timeouts() {
    let host = Host::with(policy());
    let hanging: Vec<_> = (0..5).map(|_| host.request()).collect();
    host.advance(millis(490));
    assert_state(&host, "up", "closed");
    host.advance(millis(20));
    assert_rejected!(host.request());
    assert_logged(&host, Level::Warn, &["reason=\"5 of 5 requests were slow within 10s\""]);
    // What they end with is of a generation that is over.
    hanging.iter().for_each(|call| drop(call.times_out()));
    assert_eq!(host.counter("circuit_breaker.up.slow"), 5);
    assert_eq!(host.counter("circuit_breaker.up.stale_results"), 5);
}

#[test]
fn a_call_that_is_slow_in_flight_is_not_slow_again_at_its_end() {
    let host = Host::with(config().trips_after(100).slow_after(millis(500)).status_at("/s"));
    for status in [200, 503] {
        let call = host.request();
        host.advance(secs(1));
        call.answered(status);
    }
    host.tick();
    assert_eq!(host.counter("circuit_breaker.up.slow"), 2);
    assert_eq!(host.counter("circuit_breaker.up.successes"), 1);
    assert_eq!(host.counter("circuit_breaker.up.failures"), 1);
}

#[test]
fn a_late_answer_between_two_ticks_is_slow_too() {
    let host = Host::with(config().slow_after(millis(500)));
    let call = host.request();
    host.advance_without_ticks(millis(501));
    call.answered(200);
    host.tick();
    assert_eq!(host.counter("circuit_breaker.up.slow"), 1);
}

#[test]
fn slow_successes_trip() {
    let host = Host::with(policy());
    for _ in 0..5 {
        let call = assert_admitted!(host.request());
        host.advance(millis(600));
        call.answered(200);
    }
    assert_state(&host, "up", "open");
}

#[test]
fn fast_calls_of_every_worker_count_against_slow_ones() {
    let host = Host::with(policy()).workers(2);
    for _ in 0..5 {
        host.worker(1).request().answered(200);
    }
    host.tick();
    let _hanging: Vec<_> = (0..5).map(|_| host.request()).collect();
    host.advance(secs(1));
    assert_state(&host, "up", "closed");
    assert_eq!(host.counter("circuit_breaker.up.slow"), 5);
}

#[test]
fn a_stream_whose_headers_came_in_time_is_not_slow() {
    let host = Host::with(policy());
    let streams: Vec<_> = (0..10).map(|_| host.request().headers(200)).collect();
    host.advance(mins(5));
    streams.iter().for_each(|stream| drop(stream.ends()));
    assert_eq!(host.counter("circuit_breaker.up.slow"), 0);
}

#[test]
fn an_upload_is_not_slow_before_it_is_complete() {
    let host = Host::with(policy());
    let upload = host.send(post("/", "").body_to_come());
    host.advance(secs(10));
    assert_eq!(host.counter("circuit_breaker.up.slow"), 0);
    upload.sends("the end", true);
    host.advance(secs(1));
    assert_eq!(host.counter("circuit_breaker.up.slow"), 1);
}

#[test]
fn a_probe_that_is_slow_fails_as_soon_as_it_is_where_a_rule_looks() {
    let host = Host::with(policy());
    let _hanging: Vec<_> = (0..5).map(|_| host.request()).collect();
    host.advance(millis(510));
    host.advance(secs(1));
    assert_admitted!(host.request());
    host.advance(millis(510));
    assert_state(&host, "up", "open");
    assert_logged(&host, Level::Warn, &["from=half-open to=open reason=\"probe was slow\""]);
}

#[test]
fn a_probe_that_is_slow_but_succeeds_closes_where_no_rule_looks() {
    let host = Host::with(config().trips_after(1).slow_after(millis(500)).opens_for(secs(1)));
    host.traffic(1, 503);
    host.advance(secs(1));
    let probe = assert_admitted!(host.request());
    host.advance(secs(2));
    probe.answered(200);
    assert_state(&host, "up", "closed");
    assert_eq!(host.counter("circuit_breaker.up.slow"), 1);
}

/// What the tick did not see: the client left just after the call became slow.
#[test]
fn a_client_that_leaves_late_counts_as_slow_if_the_policy_says_so() {
    for (says, slow) in [("ignore", 0), ("slow", 1)] {
        let config = config()
            .slow_after(millis(500))
            .set("defaults.classify.client_disconnect", json!(says));
        let host = Host::with(config);
        let (early, late) = (host.request(), host.request());
        early.client_leaves();
        host.advance_without_ticks(millis(501));
        late.client_leaves();
        assert_eq!(host.counter("circuit_breaker.up.slow"), slow, "{says}");
        assert_eq!(host.counter("circuit_breaker.up.ignored"), 2, "{says}");
    }
}

#[test]
fn the_status_shows_slow_calls_while_they_hang() {
    let host = Host::with(policy().status_at("/s"));
    let _hanging: Vec<_> = (0..3).map(|_| host.request()).collect();
    host.advance(secs(1));
    let status = host.send(get("/s/up").without_cluster()).json();
    let circuit = &status["circuit_breaker"];
    assert_eq!((&circuit["slow"], &circuit["requests"]), (&json!(3), &json!(3)));
}

#[test]
fn slow_after_costs_two_readings_of_the_clock() {
    let host = Host::with(config().slow_after(secs(1)));
    host.traffic(1, 200);
    let calls = host.hostcalls_during(|host| host.traffic(1, 200));
    let expected =
        [("clock_time_get", 2), ("proxy_get_header_map_value", 1), ("proxy_get_property", 1)];
    assert_eq!(calls.list(), expected);
}

#[test]
fn a_slow_call_counts_for_the_cluster_that_served_it() {
    let host = Host::with(policy().circuit("b", json!({})));
    // From the first re-routed failure on it is known that requests move.
    host.request().rerouted("b").answered(503);
    for _ in 0..4 {
        let call = host.request();
        host.advance(millis(600));
        call.rerouted("b").answered(200);
    }
    assert_eq!(host.counter("circuit_breaker.up.slow"), 0);
    assert_eq!(host.counter("circuit_breaker.b.slow"), 4);
    assert_state(&host, "up", "closed");
    assert_state(&host, "b", "open");
}

#[test]
fn a_late_reply_of_another_filter_is_no_slow_call() {
    let host = Host::with(policy());
    let call = host.request();
    host.advance_without_ticks(millis(600));
    call.ends_as(endings::fault_abort());
    assert_eq!(host.counter("circuit_breaker.up.slow"), 0);
}
