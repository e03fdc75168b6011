//! Several workers, one circuit.

use std::cell::Cell;
use std::rc::Rc;

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

#[test]
fn ten_workers_that_find_the_wait_over_at_once_send_the_probes_between_them_and_no_more() {
    for probes in 1..=3 {
        let host =
            Host::with(config().trips_after(1).opens_for(secs(1)).probes(probes)).workers(10);
        (1..10).for_each(|worker| {
            host.worker(worker).request().answered(200);
        });
        host.traffic(1, 503);
        host.advance(secs(1));
        let admitted = Rc::new(Cell::new(0));
        let others = Rc::clone(&admitted);
        // The first has read that the wait is over; before it writes so, all the others do.
        let race = host.in_the_gap("circuit/", move |host| {
            let passed = (1..10).filter(|worker| host.worker(*worker).request().is_admitted());
            others.set(passed.count());
        });
        let first = usize::from(host.request().is_admitted());
        assert_eq!(race.count(), 1);
        assert_eq!(admitted.get() + first, probes as usize);
        assert_eq!(host.counter("circuit_breaker.up.probes"), u64::from(probes));
        assert_eq!(host.counter("circuit_breaker.up.half_opened"), 1);
    }
}

#[test]
fn a_call_that_hangs_holds_nobody_up() {
    let host = Host::with(config().trips_after(5)).workers(2);
    host.worker(1).request().answered(200);
    let _hangs = assert_admitted!(host.request());
    let calls = host.hostcalls_during(|host| {
        for worker in [0, 1] {
            assert_admitted!(host.worker(worker).request()).answered(200);
        }
    });
    assert_eq!(calls.of("proxy_get_shared_data") + calls.of("proxy_set_shared_data"), 0);
    host.traffic(5, 503);
    assert_state(&host, "up", "open");
}

/// Versions of the SDK have leaked what hostcalls handed over.
#[test]
fn requests_of_every_kind_leave_nothing_in_memory() {
    let host = Host::with(config().trips_after(50).opens_for(secs(1)).multiplier(1.0));
    let round = || {
        for _ in 0..50 {
            host.request().client_leaves();
            host.traffic(1, 200);
            host.send(grpc("/package.Service/Method")).ends_as(endings::grpc_ok());
        }
        host.traffic(50, 503);
        for _ in 0..50 {
            assert_rejected!(host.request());
        }
        host.advance(secs(1));
        assert_admitted!(host.request()).answered(200);
    };
    (0..3).for_each(|_| round());
    let before = host.worker(0).memory_size();
    (0..10).for_each(|_| round());
    assert_eq!(host.worker(0).memory_size(), before);
}
