//! Shadow mode: everything is decided, and nothing is done about it.

use crate::harness::prelude::*;

fn watching() -> Config {
    config().trips_after(3).opens_for(secs(10)).shadow()
}

fn counter(host: &Host, metric: &str) -> u64 {
    host.counter(&format!("circuit_breaker.up.{metric}"))
}

fn opened() -> Host {
    let host = Host::with(watching());
    host.traffic(3, 503);
    assert_eq!(host.gauge("circuit_breaker.up.state"), Some(1));
    host
}

#[test]
fn what_would_be_rejected_passes_and_is_counted() {
    let host = opened();
    for status in [503, 200, 200, 404] {
        let call = assert_admitted!(host.request());
        assert_eq!(call.filter_state("circuit_breaker").as_deref(), Some("would_reject"));
        let reply = call.answered(status);
        assert_eq!((reply.status(), reply.header("x-circuit-breaker")), (status, None));
    }
    host.tick();
    let counts = ["would_reject", "would_reject_succeeded", "rejected", "failures", "successes"];
    assert_eq!(counts.map(|metric| counter(&host, metric)), [4, 3, 0, 3, 0]);
}

#[test]
fn the_circuit_goes_through_its_states_as_if_it_enforced_them() {
    let host = opened();
    host.advance(secs(10));
    let probe = host.request();
    assert_eq!(probe.filter_state("circuit_breaker").as_deref(), Some("probe"));
    let beside = assert_admitted!(host.request());
    assert_eq!(beside.filter_state("circuit_breaker").as_deref(), Some("would_reject"));
    beside.answered(503);
    probe.answered(200);
    assert_eq!(host.gauge("circuit_breaker.up.state"), Some(0));
    assert_eq!(host.request().answered(200).filter_state("circuit_breaker"), None);
}

#[test]
fn a_request_that_passes_in_vain_has_no_say() {
    let host = opened();
    let hanging = host.request();
    host.advance(secs(10));
    host.request().answered(200);
    hanging.reset_before_headers("connection_termination");
    assert_eq!((counter(&host, "failures"), counter(&host, "stale_results")), (3, 0));
}

#[test]
fn no_fallback_answers_and_nothing_is_stored() {
    let chain = json!([{ "cache": {}, "on": ["rejected", "failed"] }, { "respond": {} }]);
    let host = Host::with(watching().fallback(chain));
    host.request().answered(200);
    assert_eq!(host.request().answered(503).status(), 503);
    host.traffic(2, 503);
    assert_eq!(assert_admitted!(host.request()).answered(503).status(), 503);
    assert!(host.shared_keys().iter().all(|key| !key.contains("cache/")));
}

#[test]
fn log_and_status_say_that_it_only_watches() {
    let host = Host::with(watching().status_at("/s"));
    host.traffic(3, 503);
    assert_eq!(host.logs_with("open_for=10s mode=shadow").len(), 1);
    let entry = &host.send(get("/s/up").without_cluster()).json()["circuit_breaker"];
    assert_eq!((&entry["mode"], &entry["state"]), (&json!("shadow"), &json!("open")));
}

#[test]
fn slow_calls_of_requests_that_would_be_rejected_do_not_count() {
    let host = Host::with(watching().slow_after(millis(100)).trips_when_slow(0.5, 1, secs(10)));
    let call = host.request();
    host.advance(millis(150));
    assert_eq!(host.gauge("circuit_breaker.up.state"), Some(1));
    let beside = host.request();
    host.advance(millis(150));
    assert_eq!(counter(&host, "slow"), 1);
    beside.answered(200);
    call.answered(200);
    assert_eq!(counter(&host, "would_reject_succeeded"), 1);
}
