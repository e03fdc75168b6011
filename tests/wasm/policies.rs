//! What a policy can say besides thresholds: statuses, Retry-After, methods of probes, uploads of
//! probes, and two policies at once.

use crate::harness::prelude::*;

/// Half-open from now on.
fn half_open(config: Config) -> Host {
    let host = Host::with(config.trips_after(1).opens_for(secs(1)));
    host.traffic(1, 503);
    host.advance(secs(1));
    host
}

#[test]
fn the_policy_says_which_statuses_are_failures() {
    let host = Host::with(
        config()
            .trips_after(100)
            .set("defaults.classify.failure_statuses", json!([302, 404, "500-502"]))
            .set("defaults.classify.ignore_statuses", json!([501, "418-419"])),
    );
    for status in [302, 404, 500, 501, 418, 503, 200] {
        host.request().answered(status);
    }
    host.tick();
    let counter = |metric: &str| host.counter(&format!("circuit_breaker.up.{metric}"));
    assert_eq!((counter("failures"), counter("ignored"), counter("successes")), (3, 2, 2));
}

#[test]
fn the_policy_says_which_grpc_statuses_are_failures() {
    let statuses = json!(["ABORTED", 8]);
    let host = Host::with(
        config().trips_after(100).set("defaults.classify.failure_grpc_statuses", statuses),
    );
    for status in [8, 10, 14] {
        host.send(grpc("/a/B")).ends_as(endings::grpc_status(status));
    }
    assert_eq!(host.counter("circuit_breaker.up.failures"), 2);
    host.tick();
    assert_eq!(host.counter("circuit_breaker.up.successes"), 1);
}

#[test]
fn retry_after_on_the_failure_that_trips_lengthens_the_wait_up_to_the_cap() {
    let date = |host: &Host, ahead: u64| {
        let at = std::time::UNIX_EPOCH + host.wall_clock() + secs(ahead);
        httpdate::fmt_http_date(at)
    };
    for (says, wait) in [("90", 90), ("3600", 300), ("5", 30), ("soon", 30), ("date", 120)] {
        let host = Host::with(config().trips_after(1));
        let says = if says == "date" { date(&host, 120) } else { says.to_owned() };
        host.request().ends_as(answer(503).header("retry-after", &says));
        let rejected = assert_rejected!(host.request());
        let retry_after: u64 = rejected.header("retry-after").unwrap().parse().unwrap();
        assert!(retry_after.abs_diff(wait) <= 1, "{says}: {retry_after} instead of {wait}");
    }
}

#[test]
fn retry_after_of_a_failed_probe_lengthens_the_next_wait() {
    let host = half_open(config());
    assert_admitted!(host.request()).ends_as(answer(503).header("retry-after", "60"));
    assert_rejected!(host.request(), state = "open", retry_after = 60);
}

#[test]
fn retry_after_is_not_heard_where_the_policy_says_so_nor_on_earlier_failures() {
    let host = Host::with(config().trips_after(1).honors_retry_after(false));
    host.request().ends_as(answer(503).header("retry-after", "90"));
    assert_rejected!(host.request(), retry_after = 30);
    let host = Host::with(config().trips_after(2));
    host.request().ends_as(answer(503).header("retry-after", "90"));
    host.traffic(1, 503);
    assert_rejected!(host.request(), retry_after = 30);
}

#[test]
fn only_requests_of_the_methods_named_are_ever_probes() {
    let host = half_open(config().set("defaults.half_open.methods", json!(["GET"])));
    for _ in 0..3 {
        let rejected = host.send(post("/payments", "1"));
        assert_rejected!(rejected, state = "half-open", retry_after = 1);
    }
    assert_eq!(host.counter("circuit_breaker.up.half_opened"), 0);
    let probe = assert_admitted!(host.request());
    assert_rejected!(host.send(post("/payments", "1")), state = "half-open");
    probe.answered(200);
    assert_admitted!(host.send(post("/payments", "1")));
}

#[test]
fn a_closed_circuit_does_not_ask_for_the_method() {
    let host = Host::with(config().set("defaults.half_open.methods", json!(["GET"])));
    host.traffic(1, 200);
    let calls = host.hostcalls_during(|host| host.traffic(1, 200));
    assert_eq!(calls.list(), [("proxy_get_header_map_value", 1), ("proxy_get_property", 1)]);
}

#[test]
fn a_client_that_stalls_its_upload_as_the_probe_gives_the_slot_back() {
    let host = half_open(config().probe_timeout(secs(5)));
    let stalled = assert_admitted!(host.send(post("/", "").body_to_come()));
    host.advance(millis(4_980));
    assert_rejected!(host.request(), state = "half-open");
    host.advance(millis(40));
    assert_eq!(host.counter("circuit_breaker.up.probe_timeouts"), 0);
    assert_admitted!(host.request()).answered(200);
    assert_state(&host, "up", "closed");
    // Whatever comes of it now is nobody's.
    stalled.sends("late", true).answered(503);
    assert_state(&host, "up", "closed");
}

#[test]
fn the_upstream_has_the_whole_lease_after_an_upload() {
    let host = half_open(config().probe_timeout(secs(5)));
    let probe = assert_admitted!(host.send(post("/", "").body_to_come()));
    host.advance(secs(4));
    probe.sends("all of it", true);
    host.advance(secs(4));
    assert_state(&host, "up", "half-open");
    host.advance(millis(1_020));
    assert_state(&host, "up", "open");
    assert_eq!(host.counter("circuit_breaker.up.probe_timeouts"), 1);
}

#[test]
fn never_more_probes_than_allowed_however_many_must_succeed() {
    let host = half_open(config().probes(2).successes(5));
    for round in 0..5 {
        let probes = [assert_admitted!(host.request()), assert_admitted!(host.request())];
        assert_rejected!(host.request(), state = "half-open");
        probes[0].answered(200);
        if round == 4 {
            break;
        }
        assert_state(&host, "up", "half-open");
        probes[1].client_leaves();
    }
    assert_state(&host, "up", "closed");
}

#[test]
fn two_policies_for_one_cluster_are_told() {
    let rule = |window| config().trips_at_ratio(0.5, 20, secs(window));
    let host = Host::with(rule(10)).workers(2);
    let newer = host.also(rule(20)).unwrap();
    host.traffic(1, 503);
    host.worker(1).request().answered(200);
    host.through(newer).request().answered(503);
    host.advance(millis(100));
    // The older configuration finds it on each worker, once.
    assert_eq!(host.counter("circuit_breaker.policy_conflicts"), 2);
    host.through(newer).request().answered(503);
    host.advance(millis(100));
    assert_eq!(host.counter("circuit_breaker.policy_conflicts"), 2);
}

#[test]
fn the_same_policy_twice_is_no_conflict() {
    let host = Host::with(config()).workers(2);
    let other = host.also(config().namespace("default").max_circuits(9)).unwrap();
    host.traffic(1, 503);
    host.through(other).request().answered(503);
    host.advance(millis(100));
    assert_eq!(host.counter("circuit_breaker.policy_conflicts"), 0);
}

#[test]
fn an_old_configuration_that_drains_does_not_take_the_new_ones_shape_back() {
    let rule = |window| config().trips_at_ratio(0.5, 4, secs(window));
    let host = Host::with(rule(10));
    let draining: Vec<_> = (0..4).map(|_| host.request()).collect();
    host.reconfigure(rule(60)).unwrap();
    host.traffic(1, 503);
    host.advance(millis(100));
    assert_eq!(host.counter("circuit_breaker.policy_conflicts"), 1);
    draining.iter().for_each(|call| drop(call.answered(503)));
    assert_state(&host, "up", "closed");
    // Their failures are in the new window all the same.
    host.advance(secs(30));
    host.traffic(1, 503);
    assert_state(&host, "up", "open");
}

#[test]
fn requests_that_never_end_hold_a_place_for_a_lease_each_and_count_as_nothing() {
    let host = half_open(config().probe_timeout(secs(5)));
    for _ in 0..20 {
        assert_admitted!(host.send(grpc("/a/Bidirectional").body_to_come()));
        host.advance(millis(4_980));
        assert_rejected!(host.request(), state = "half-open");
        host.advance(millis(2_040));
    }
    assert_eq!(host.counter("circuit_breaker.up.opened"), 1);
    assert_eq!(host.counter("circuit_breaker.up.probe_timeouts"), 0);
    assert_admitted!(host.request()).answered(200);
    assert_state(&host, "up", "closed");
}

#[test]
fn policies_that_judge_endings_differently_are_told_too() {
    let host = Host::with(config());
    let newer =
        host.also(config().set("defaults.classify.failure_statuses", json!([404]))).unwrap();
    host.request().answered(200);
    host.through(newer).request().answered(404);
    host.advance(millis(100));
    assert_eq!(host.counter("circuit_breaker.policy_conflicts"), 1);
}

#[test]
fn retry_after_is_only_heard_from_the_upstream() {
    let host = Host::with(config().trips_after(1));
    host.request().ends_as(endings::no_healthy_upstream().header("retry-after", "90"));
    assert_rejected!(host.request(), retry_after = 30);
}
