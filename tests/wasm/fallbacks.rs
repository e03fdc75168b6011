//! What answers in place of the upstream.

use serde_json::Value;

use crate::harness::prelude::*;

/// The circuit `up` is open, and has this chain.
fn open(chain: Value) -> Host {
    open_with(config().fallback(chain))
}

fn open_with(config: Config) -> Host {
    let host = Host::with(config.trips_after(1));
    host.traffic(1, 503);
    host
}

fn counter(host: &Host, metric: &str) -> u64 {
    host.counter(&format!("circuit_breaker.up.{metric}"))
}

#[test]
fn a_fixed_answer_takes_the_place_of_a_rejection() {
    let host = open(json!([{
        "respond": { "status": 202, "headers": { "x-a": "b" }, "json": { "answer": "later" } }
    }]));
    let answer = assert_fell_back!(host.request(), "respond");
    assert_eq!((answer.status(), answer.json()), (202, json!({ "answer": "later" })));
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(answer.header("x-a").as_deref(), Some("b"));
    host.tick();
    assert_eq!((counter(&host, "fallback_respond"), counter(&host, "rejected")), (1, 1));
}

#[test]
fn a_grpc_call_gets_no_page() {
    let host = open(json!([{ "respond": {} }]));
    let rejected = host.send(grpc("/a/B"));
    assert_eq!(rejected.header("grpc-status").as_deref(), Some("14"));
    assert_eq!(counter(&host, "fallback_respond"), 0);
}

#[test]
fn another_cluster_takes_the_request_and_its_outcome() {
    let host = open(json!([{ "reroute": { "circuit": "backup" } }]));
    let sent = assert_admitted!(host.send(get("/").reroutes_to("backup")));
    assert_eq!(sent.filter_state("circuit_breaker").as_deref(), Some("fallback:reroute"));
    assert_eq!(sent.filter_state("circuit_breaker_route").as_deref(), Some("backup"));
    assert_eq!(sent.route_clears(), 1);
    sent.answered(503);
    assert_state(&host, "backup", "open");
    assert_eq!(counter(&host, "fallback_reroute"), 1);
    assert_eq!(counter(&host, "failures"), 1);
}

#[test]
fn headers_take_the_place_of_filter_state() {
    let host = open(json!([{ "reroute": { "circuit": "backup", "headers": { "x-to": "b" } } }]));
    let sent = host.send(get("/").header("x-to", "theirs").reroutes_to("backup"));
    assert_eq!(assert_admitted!(&sent).request_header("x-to").as_deref(), Some("b"));
    assert_eq!(sent.filter_state("circuit_breaker_route"), None);
    sent.answered(200);
    host.tick();
    assert_eq!(host.counter("circuit_breaker.backup.successes"), 1);
}

#[test]
fn an_open_backup_is_left_alone_and_the_chain_goes_on() {
    let host = open(json!([
        { "reroute": { "circuit": "backup" } },
        { "respond": { "body": "sorry" } },
    ]));
    host.send(get("/").reroutes_to("backup")).answered(503);
    let answer = assert_fell_back!(host.send(get("/").reroutes_to("backup")), "respond");
    assert_eq!(answer.text(), "sorry");
    assert_eq!(host.counter("circuit_breaker.backup.failures"), 1);
}

#[test]
fn where_nothing_fits_the_request_is_rejected() {
    let host = open(json!([{ "reroute": { "circuit": "backup" } }]));
    host.send(get("/").reroutes_to("backup")).answered(503);
    assert_rejected!(host.request(), state = "open");
    host.tick();
    assert_eq!(counter(&host, "rejected"), 2);
}

#[test]
fn a_cluster_that_is_not_guarded_can_be_a_backup() {
    let host = open_with(
        config()
            .fallback(json!([{ "reroute": { "circuit": "backup" } }]))
            .circuit("backup", json!({ "mode": "off" })),
    );
    for _ in 0..10 {
        assert_admitted!(host.send(get("/").reroutes_to("backup"))).answered(503);
    }
}

#[test]
fn a_probe_of_the_backup_is_one() {
    let host = Host::with(
        config()
            .trips_after(1)
            .fallback(json!([{ "reroute": { "circuit": "backup" } }]))
            .circuit("backup", json!({ "open": { "duration": "1s" }, "fallback": [] })),
    );
    host.traffic(1, 503);
    host.send(get("/").reroutes_to("backup")).answered(503);
    host.advance(secs(1));
    let probe = assert_admitted!(host.send(get("/").reroutes_to("backup")));
    assert_rejected!(host.send(get("/").reroutes_to("backup")), state = "open");
    probe.answered(200);
    assert_state(&host, "backup", "closed");
}

#[test]
fn a_failed_response_is_replaced_before_it_is_sent() {
    let host = Host::with(
        config().trips_after(2).fallback(json!([{ "respond": { "json": {} }, "on": ["failed"] }])),
    );
    for ending in [answer(503), endings::refused()] {
        let replaced = host.request().ends_as(ending);
        assert_eq!(replaced.status(), 200);
        assert_eq!(replaced.header("x-circuit-breaker-fallback").as_deref(), Some("respond"));
        assert_eq!(replaced.details().as_deref(), Some("circuit_breaker_upstream_failed"));
        let state = replaced.filter_state("circuit_breaker");
        assert_eq!(state.as_deref(), Some("fallback:respond"));
    }
    assert_eq!((counter(&host, "failures"), counter(&host, "ignored")), (2, 0));
    // A rejection is none of its business.
    assert_rejected!(host.request(), state = "open");
}

#[test]
fn only_failures_are_replaced() {
    let host =
        Host::with(config().fallback(json!([{ "respond": {}, "on": ["failed", "rejected"] }])));
    for ending in [answer(200), answer(404), answer(429), endings::fault_abort()] {
        let status = host.request().ends_as(ending).header("x-circuit-breaker-fallback");
        assert_eq!(status, None);
    }
}

#[test]
fn a_failed_grpc_call_keeps_its_failure() {
    let host = Host::with(config().fallback(json!([{ "respond": {}, "on": ["failed"] }])));
    let call = host.send(grpc("/a/B")).ends_as(endings::grpc_trailers_only(14));
    assert_eq!(call.header("grpc-status").as_deref(), Some("14"));
    assert_eq!(counter(&host, "failures"), 1);
}

#[test]
fn a_route_that_is_missing_is_told_once() {
    let reroute = json!([{ "reroute": { "circuit": "backup" } }]);
    let host = Host::with(config().trips_after(1).opens_for(mins(5)).fallback(reroute));
    host.request().answered(503);
    for _ in 0..3 {
        host.request().answered(200);
    }
    let lines = host.logs_with("sent a request to backup but its route led to up");
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn a_circuit_is_no_backup_of_its_own() {
    let reroute = json!([{ "reroute": { "circuit": "up" } }]);
    let host = Host::with(config().trips_after(1).fallback(reroute));
    host.request().answered(503);
    assert_rejected!(host.request());
    host.tick();
    assert_eq!(host.counter("circuit_breaker.up.rejected"), 1);
}
