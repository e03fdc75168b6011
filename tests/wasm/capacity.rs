//! Memory is bounded by `max_circuits`.

use crate::harness::prelude::*;

fn send(host: &Host, cluster: &str, status: u16) {
    host.send(get("/").to(cluster)).answered(status);
}

#[test]
fn the_longest_idle_closed_circuit_makes_room() {
    let host = Host::with(config().trips_after(1).max_circuits(2)).workers(2);
    send(&host, "a", 200);
    host.advance(secs(1));
    send(&host, "b", 200);
    host.advance(secs(1));
    send(&host, "a", 200);
    host.advance(secs(1));
    send(&host, "c", 503);
    assert_state(&host, "c", "open");
    assert_rejected!(host.send(get("/").to("c")));
    host.advance(millis(20));
    // `a` was used last and has kept its slot, on the other worker too.
    host.worker(1).send(get("/").to("a")).answered(503);
    assert_state(&host, "a", "open");
    assert_eq!(host.counter("circuit_breaker.untracked"), 0);
}

#[test]
fn where_none_is_closed_a_cluster_is_not_guarded() {
    let host = Host::with(config().trips_after(1).max_circuits(1));
    send(&host, "a", 503);
    for _ in 0..5 {
        send(&host, "b", 503);
    }
    assert_admitted!(host.send(get("/").to("b")));
    assert_eq!(host.counter("circuit_breaker.untracked"), 6);
    assert_rejected!(host.send(get("/").to("a")));
}

#[test]
fn a_worker_that_still_holds_an_evicted_circuit_does_not_spoil_its_successor() {
    let host = Host::with(config().trips_after(2).max_circuits(1)).workers(2);
    let late = host.worker(1).send(get("/").to("a"));
    host.advance(secs(1));
    send(&host, "b", 503);
    late.answered(503);
    assert_state(&host, "b", "closed");
    send(&host, "b", 503);
    assert_state(&host, "b", "open");
}

#[test]
fn a_thousand_names_take_no_more_keys_than_circuits() {
    let host = Host::with(config().max_circuits(4));
    for n in 0..1000 {
        send(&host, &format!("cluster-{n}"), 503);
        host.tick();
    }
    let circuits = host.shared_keys().into_iter().filter(|key| key.contains("/circuit/"));
    assert_eq!(circuits.count(), 4);
}

#[test]
fn a_name_too_long_for_the_index_is_not_guarded() {
    let host = Host::with(config().trips_after(1));
    let name = "x".repeat(10_000);
    send(&host, &name, 503);
    assert_admitted!(host.send(get("/").to(&name)));
    assert!(host.shared_size() < 10_000);
}

/// One worker gives its slot away as that of a closed one, another has it trip.
#[test]
fn a_circuit_that_opens_just_as_it_is_to_make_room_keeps_its_place() {
    let host = Host::with(config().trips_after(1).opens_for(secs(60)).max_circuits(1)).workers(2);
    host.worker(1).send(get("/").to("a")).answered(200);
    host.advance(secs(1));
    let race = host.in_the_gap("index", |host| {
        host.worker(1).send(get("/").to("a")).answered(503);
    });
    host.worker(0).send(get("/").to("b")).answered(200);
    assert_eq!(race.count(), 1);
    assert_eq!(host.counter("circuit_breaker.a.opened"), 1);
    host.advance(millis(100));
    for worker in [0, 1] {
        assert_rejected!(host.worker(worker).send(get("/").to("a")));
    }
}

#[test]
fn a_circuit_that_takes_the_place_of_another_counts_from_its_first_call() {
    let host = Host::with(config().trips_after(2).opens_for(secs(1)).max_circuits(1));
    for _ in 0..2 {
        host.send(get("/").to("a")).answered(503);
    }
    host.advance(secs(2));
    assert_admitted!(host.send(get("/").to("a"))).answered(200);
    host.advance(secs(2));
    for _ in 0..2 {
        host.send(get("/").to("b")).answered(503);
    }
    assert_eq!(host.counter("circuit_breaker.b.stale_results"), 0);
    assert_rejected!(host.send(get("/").to("b")));
}
