//! The machine, seen from outside.

use crate::harness::prelude::*;

/// Trips at the fifth failure in a row, opens for 30 s.
fn host() -> Host {
    Host::with(
        config().trips_after(5).opens_for(secs(30)).circuit("up", json!({})).status_at("/cb"),
    )
}

fn state(host: &Host) -> String {
    let reply = host.send(get("/cb/up").without_cluster());
    reply.json()["circuit_breaker"]["state"].as_str().unwrap().to_owned()
}

#[test]
fn starts_closed() {
    let host = host();
    assert_state(&host, "up", "closed");
    assert_eq!(state(&host), "closed");
    assert_admitted!(host.request());
}

#[test]
fn opens_after_the_threshold_of_failures() {
    let host = host();
    host.traffic(4, 503);
    assert_state(&host, "up", "closed");
    host.traffic(1, 503);
    assert_state(&host, "up", "open");
    assert_rejected!(
        host.request(),
        status = 503,
        retry_after = 30,
        state = "open",
        circuit = "up"
    );
}

#[test]
fn an_open_circuit_answers_without_calling_the_upstream() {
    let host = host();
    host.traffic(5, 503);
    for _ in 0..100 {
        assert_rejected!(host.request());
    }
    host.tick();
    assert_eq!(host.counter("circuit_breaker.up.rejected"), 100);
    assert_eq!(host.counter("circuit_breaker.up.failures"), 5);
}

#[test]
fn an_open_circuit_asks_shared_data_nothing() {
    let host = host();
    host.traffic(5, 503);
    let calls = host.hostcalls_during(|host| {
        assert_rejected!(host.request());
    });
    assert_eq!(calls.of("proxy_get_shared_data") + calls.of("proxy_set_shared_data"), 0);
}

#[test]
fn is_half_open_once_the_wait_is_over() {
    let host = host();
    host.traffic(5, 503);
    host.advance(secs(29));
    assert_eq!(state(&host), "open");
    assert_rejected!(host.request(), retry_after = 1);
    host.advance(secs(1));
    assert_eq!(state(&host), "half-open");
    // The metric follows at the first request.
    assert_state(&host, "up", "open");
    assert_admitted!(host.request());
    assert_state(&host, "up", "half-open");
    assert_rejected!(host.request(), retry_after = 1, state = "half-open");
}

#[test]
fn a_good_probe_closes_the_circuit() {
    let host = host();
    host.traffic(5, 503);
    host.advance(secs(30));
    assert_admitted!(host.request()).answered(200);
    assert_state(&host, "up", "closed");
    host.traffic(4, 503);
    assert_admitted!(host.request());
}

#[test]
fn a_failed_probe_reopens_the_circuit() {
    let host = host();
    host.traffic(5, 503);
    host.advance(secs(30));
    assert_admitted!(host.request()).answered(503);
    assert_state(&host, "up", "open");
    assert_rejected!(host.request(), retry_after = 60);
    host.advance(secs(60));
    assert_admitted!(host.request()).answered(503);
    assert_rejected!(host.request(), retry_after = 120);
}

#[test]
fn the_wait_grows_no_longer_than_its_cap() {
    let host = host();
    host.traffic(5, 503);
    for _ in 0..6 {
        host.advance(mins(5));
        assert_admitted!(host.request()).answered(503);
    }
    assert_rejected!(host.request(), retry_after = 300);
}

#[test]
fn circuits_are_independent() {
    let host = host();
    for _ in 0..5 {
        host.send(get("/").to("bad")).answered(503);
    }
    assert_rejected!(host.send(get("/").to("bad")), circuit = "bad");
    assert_admitted!(host.send(get("/").to("good")));
}

#[test]
fn neither_rejections_nor_late_failures_push_the_end_of_a_wait_back() {
    let host = host();
    let late: Vec<_> = (0..10).map(|_| host.request()).collect();
    host.traffic(5, 503);
    for call in late {
        host.advance(secs(2));
        call.answered(503);
        assert_rejected!(host.request());
    }
    assert_rejected!(host.request(), retry_after = 10);
    host.advance(secs(10));
    assert_admitted!(host.request());
}

#[test]
fn a_circuit_that_recovered_trips_again_and_again_as_it_did_at_first() {
    let host = host();
    for _ in 0..5 {
        host.traffic(4, 503);
        assert_admitted!(host.request()).answered(503);
        assert_rejected!(host.request(), retry_after = 30);
        host.advance(secs(30));
        assert_admitted!(host.request()).answered(200);
        // Well for long enough for the waits to start over.
        for _ in 0..20 {
            host.advance_without_ticks(mins(1));
            host.tick();
            host.traffic(1, 200);
        }
    }
    assert_eq!(host.counter("circuit_breaker.up.opened"), 5);
}
