//! Several workers, one circuit.

use crate::harness::prelude::*;

fn host() -> Host {
    Host::with(config().trips_after(5).opens_for(secs(30))).workers(2)
}

#[test]
fn a_trip_is_obeyed_by_the_other_worker_after_one_sync() {
    let host = host();
    host.worker(1).request().answered(200);
    host.traffic(5, 503);
    host.advance(millis(25));
    assert_rejected!(host.worker(1).request(), retry_after = 30);
}

#[test]
fn failures_of_all_workers_are_one_run() {
    let host = host();
    for n in 0..5 {
        host.worker(n % 2).request().answered(503);
    }
    assert_state(&host, "up", "open");
}

#[test]
fn a_success_of_another_worker_ends_the_run() {
    let host = host();
    host.traffic(4, 503);
    host.advance(millis(20));
    host.worker(1).request().answered(200);
    host.advance(millis(20));
    host.traffic(1, 503);
    assert_state(&host, "up", "closed");
    host.traffic(4, 503);
    assert_state(&host, "up", "open");
}

/// Stamping a success with the sync that published it once let it end a run that began after it.
#[test]
fn a_success_of_another_worker_just_before_a_run_does_not_end_it() {
    let host = host();
    host.advance_without_ticks(millis(9));
    host.worker(1).request().answered(200);
    host.traffic(4, 503);
    host.advance(millis(20));
    host.traffic(1, 503);
    assert_state(&host, "up", "open");
}

#[test]
fn four_hundred_successes_elsewhere_keep_the_ratio_low() {
    let host = Host::with(config().trips_at_ratio(0.5, 20, secs(10))).workers(2);
    for _ in 0..400 {
        host.worker(1).request().answered(200);
    }
    host.advance(millis(20));
    host.traffic(10, 200);
    host.traffic(10, 503);
    assert_state(&host, "up", "closed");
    assert_admitted!(host.request());
}

#[test]
fn successes_of_a_generation_that_is_over_do_not_count() {
    let host = Host::with(config().trips_at_ratio(0.5, 20, secs(60)).opens_for(secs(1))).workers(2);
    for _ in 0..15 {
        host.worker(1).request().answered(200);
    }
    host.advance(millis(20));
    host.traffic(15, 503);
    assert_state(&host, "up", "open");
    host.advance(secs(1));
    host.request().answered(200);
    host.advance(millis(20));
    assert_state(&host, "up", "closed");
    host.traffic(20, 503);
    assert_state(&host, "up", "open");
}

#[test]
fn two_workers_race_for_one_probe() {
    let host = host();
    host.worker(1).request().answered(200);
    host.traffic(5, 503);
    host.advance(millis(20));
    host.advance_without_ticks(secs(30) - millis(50));
    host.advance(millis(50));
    let race = host.in_the_gap("circuit/", |host| {
        assert_admitted!(host.worker(1).request());
    });
    assert_rejected!(host.request(), state = "half-open");
    assert_eq!(race.count(), 1);
    assert_eq!(host.counter("circuit_breaker.up.probes"), 1);
    assert_eq!(host.counter("circuit_breaker.up.half_opened"), 1);
    host.tick();
    assert_eq!(host.counter("circuit_breaker.shared_data_conflicts"), 1);
}

#[test]
fn failures_that_race_are_both_counted() {
    let host = Host::with(config().trips_after(2)).workers(2);
    host.worker(1).request().answered(200);
    let one = host.request();
    let other = host.worker(1).request();
    let race = host.in_the_gap("circuit/", move |_| {
        other.answered(503);
    });
    one.answered(503);
    assert_eq!(race.count(), 1);
    assert_state(&host, "up", "open");
}

#[test]
fn a_store_that_is_always_contended_admits_what_was_closed() {
    let host = Host::with(config().trips_after(1));
    host.traffic(1, 200);
    let noise = host.in_the_next_gaps(u32::MAX, "circuit/", |host| {
        let key = host.shared_keys().into_iter().find(|key| key.contains("circuit/"));
        let key = key.unwrap_or_else(|| "fusebox/1/default/circuit/0".to_owned());
        let bytes = host.shared(&key).unwrap_or_default();
        host.put_shared(&key, bytes);
    });
    let exchange = assert_admitted!(host.request()).answered(503);
    assert!(noise.count() > 1);
    assert!(exchange.trap().is_none());
    assert_admitted!(host.request());
    host.close_gaps();
    host.tick();
    assert!(host.counter("circuit_breaker.shared_data_conflicts") > 1);
    host.traffic(1, 503);
    assert_state(&host, "up", "open");
}

#[test]
fn two_namespaces_do_not_share_circuits() {
    let host = Host::with(config().trips_after(1).namespace("a"));
    let other = host.also(config().trips_after(1).namespace("b")).unwrap();
    host.traffic(1, 503);
    assert_rejected!(host.request());
    assert_admitted!(host.through(other).request());
}
