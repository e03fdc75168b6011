//! Log lines and metrics.

use crate::harness::prelude::*;

#[test]
fn a_start_is_logged() {
    let host = Host::with(config().circuit("a", json!({})).circuit("b", json!({})));
    assert_logged(
        &host,
        Level::Info,
        &["circuit breaker initialized version=", "circuits=2", "mode=enforce"],
    );
}

#[test]
fn a_state_change_is_logged_and_counted_once() {
    let host = Host::with(config().trips_after(2).opens_for(secs(30))).workers(2);
    host.traffic(2, 503);
    host.advance(secs(1));
    let line = assert_logged(&host, Level::Warn, &["circuit breaker state change"]);
    assert!(line.contains(
        "circuit=up from=closed to=open reason=\"2 consecutive failures\" generation=1 open_for=30s"
    ));
    assert_eq!(host.counter("circuit_breaker.up.opened"), 1);
    host.advance(secs(30));
    host.worker(1).request().answered(200);
    host.advance(secs(1));
    assert_logged(&host, Level::Info, &["from=open to=half-open", "generation=2"]);
    assert_logged(&host, Level::Info, &["from=half-open to=closed", "generation=3"]);
    assert_eq!(host.counter("circuit_breaker.up.half_opened"), 1);
    assert_eq!(host.counter("circuit_breaker.up.closed"), 1);
    assert_eq!(host.counter("circuit_breaker.up.probes"), 1);
    assert_state(&host, "up", "closed");
}

#[test]
fn a_failure_is_counted_and_logged_at_debug() {
    let host = Host::setup().log_level(Level::Debug).boot(config()).unwrap();
    host.traffic(1, 503);
    assert_eq!(host.counter("circuit_breaker.up.failures"), 1);
    assert_logged(
        &host,
        Level::Debug,
        &["circuit breaker failure cluster=up status=503 details=via_upstream"],
    );
}

#[test]
fn nothing_is_formatted_for_a_log_that_is_not_read() {
    let host = Host::with(config());
    let calls = host.hostcalls_during(|host| host.traffic(1, 503));
    assert_eq!(calls.of("proxy_log"), 0);
}

#[test]
fn successes_are_counted_at_the_next_sync() {
    let host = Host::with(config());
    host.traffic(3, 200);
    assert_eq!(host.counter("circuit_breaker.up.successes"), 0);
    host.tick();
    assert_eq!(host.counter("circuit_breaker.up.successes"), 3);
    host.tick();
    assert_eq!(host.counter("circuit_breaker.up.successes"), 3);
}

#[test]
fn every_metric_of_a_circuit_is_there_from_its_first_sight() {
    let host = Host::with(config().circuit("hf_api", json!({})));
    assert_state(&host, "hf_api", "closed");
    let names = host.metric_names();
    for metric in [
        "state",
        "opened",
        "half_opened",
        "closed",
        "rejected",
        "probes",
        "probe_timeouts",
        "successes",
        "failures",
        "ignored",
        "stale_results",
    ] {
        let name = format!("circuit_breaker.hf_api.{metric}");
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    for metric in ["untracked", "shared_data_conflicts", "bad_records", "webhook_failed"] {
        assert!(names.contains(&format!("circuit_breaker.{metric}")), "{metric}");
    }
}
