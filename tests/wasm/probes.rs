//! Leases: whatever happens to a probe, the circuit finds its way on.

use crate::harness::prelude::*;

/// Half-open from now on; the lease of a probe is 5 s, the next wait 2 s.
fn half_open() -> Host {
    let host =
        Host::with(config().trips_after(1).opens_for(secs(1)).probe_timeout(secs(5))).workers(2);
    host.worker(1).request().answered(200);
    host.traffic(1, 503);
    host.advance(secs(1));
    host
}

#[test]
fn a_probe_whose_client_leaves_gives_its_slot_back() {
    for leaves in [endings::client_leaves(), endings::client_leaves_mid_body()] {
        let host = half_open();
        assert_admitted!(host.request()).ends_as(leaves);
        assert_state(&host, "up", "half-open");
        assert_admitted!(host.worker(1).request()).answered(200);
        assert_state(&host, "up", "closed");
    }
}

#[test]
fn a_probe_whose_upstream_hangs_reopens_the_circuit_when_its_lease_runs_out() {
    let host = half_open();
    let probe = assert_admitted!(host.request());
    host.advance(millis(4980));
    assert_state(&host, "up", "half-open");
    host.advance(millis(40));
    assert_state(&host, "up", "open");
    assert_eq!(host.counter("circuit_breaker.up.probe_timeouts"), 1);
    assert_logged(&host, Level::Warn, &["from=half-open to=open reason=\"probe timed out\""]);
    // Its late answer is nobody's.
    probe.answered(200);
    assert_state(&host, "up", "open");
    assert_eq!(host.counter("circuit_breaker.up.stale_results"), 1);
}

#[test]
fn a_probe_whose_worker_dies_reopens_the_circuit_too() {
    let host = half_open();
    assert_admitted!(host.request());
    host.worker(0).kill();
    host.advance(millis(5020));
    assert_state(&host, "up", "open");
    host.advance(secs(2));
    assert_admitted!(host.worker(1).request()).answered(200);
    assert_state(&host, "up", "closed");
}

#[test]
fn half_open_never_outlives_its_leases_without_ticks_either() {
    let host = half_open();
    assert_admitted!(host.request());
    host.advance_without_ticks(secs(5));
    assert_rejected!(host.worker(1).request(), state = "open");
}

#[test]
fn the_reply_of_a_later_filter_neither_closes_nor_reopens() {
    for reply in [endings::unauthorized(), endings::rate_limited(), endings::fault_abort()] {
        let host = half_open();
        assert_admitted!(host.request()).ends_as(reply);
        assert_state(&host, "up", "half-open");
        assert_admitted!(host.request());
    }
}

#[test]
fn a_late_answer_of_an_older_generation_changes_nothing() {
    let host = Host::with(config().trips_after(2).opens_for(secs(1)));
    let (good, bad) = (host.request(), host.request());
    host.traffic(2, 503);
    host.advance(secs(1));
    assert_admitted!(host.request());
    good.answered(200);
    assert_state(&host, "up", "half-open");
    bad.answered(503);
    assert_state(&host, "up", "half-open");
    assert_eq!(host.counter("circuit_breaker.up.stale_results"), 2);
}

#[test]
fn a_late_failure_of_the_first_life_does_not_count_in_the_next() {
    let host = Host::with(config().trips_after(2).opens_for(secs(1)));
    let late = host.request();
    host.traffic(2, 503);
    host.advance(secs(1));
    host.request().answered(200);
    host.traffic(1, 503);
    late.answered(503);
    assert_state(&host, "up", "closed");
}

#[test]
fn a_long_stream_passes_a_second_after_good_headers() {
    let host = half_open();
    let stream = assert_admitted!(host.request()).headers(200).chunk("data: 1\n\n");
    host.advance(millis(900));
    assert_state(&host, "up", "half-open");
    host.advance(millis(200));
    assert_state(&host, "up", "closed");
    stream.client_leaves();
    assert_state(&host, "up", "closed");
}

#[test]
fn bad_headers_do_not_save_a_probe_from_its_lease() {
    let host = half_open();
    let _stream = assert_admitted!(host.request()).headers(503);
    host.advance(millis(5020));
    assert_state(&host, "up", "open");
}

#[test]
fn several_probes_go_out_and_several_must_succeed() {
    let host =
        Host::with(config().trips_after(1).opens_for(secs(1)).probes(3).successes(3)).workers(2);
    host.worker(1).request().answered(200);
    host.traffic(1, 503);
    host.advance(secs(1));
    let probes: Vec<_> = (0..3).map(|n| assert_admitted!(host.worker(n % 2).request())).collect();
    assert_rejected!(host.request(), state = "half-open");
    probes[0].answered(200);
    probes[1].answered(200);
    assert_state(&host, "up", "half-open");
    probes[2].answered(200);
    assert_state(&host, "up", "closed");
}

#[test]
fn the_first_failure_of_several_probes_reopens() {
    let host = Host::with(config().trips_after(1).opens_for(secs(1)).probes(3).successes(3));
    host.traffic(1, 503);
    host.advance(secs(1));
    let probes: Vec<_> = (0..3).map(|_| assert_admitted!(host.request())).collect();
    probes[0].answered(200);
    probes[1].answered(503);
    assert_state(&host, "up", "open");
    probes[2].answered(200);
    assert_state(&host, "up", "open");
}

#[test]
fn a_probe_whose_answer_is_to_be_ignored_gives_its_slot_back() {
    let host = half_open();
    for _ in 0..10 {
        assert_admitted!(host.request()).answered(429);
        assert_state(&host, "up", "half-open");
    }
    assert_admitted!(host.worker(1).request()).answered(200);
    assert_state(&host, "up", "closed");
}

#[test]
fn a_look_at_the_status_is_no_probe() {
    let host = Host::with(config().trips_after(1).opens_for(secs(1)).status_at("/cb")).workers(2);
    host.traffic(1, 503);
    host.advance(secs(1));
    let looks = |state: &str| {
        for path in ["/cb", "/cb/up"] {
            assert_eq!(host.worker(1).send(get(path).without_cluster()).status(), 200);
        }
        assert_state(&host, "up", state);
    };
    looks("open");
    let probe = assert_admitted!(host.request());
    looks("half-open");
    assert_rejected!(host.worker(1).request(), state = "half-open");
    assert_eq!(host.counter("circuit_breaker.up.probes"), 1);
    probe.answered(200);
    looks("closed");
}

#[test]
fn one_request_a_minute_closes_a_circuit_that_wants_three_successes() {
    let host = Host::with(config().trips_after(1).opens_for(secs(1)).successes(3));
    host.traffic(1, 503);
    for state in ["half-open", "half-open", "closed"] {
        host.advance_without_ticks(mins(1));
        host.tick();
        assert_admitted!(host.request()).answered(200);
        assert_state(&host, "up", state);
    }
}

#[test]
fn uploads_that_all_take_longer_than_a_lease_close_the_circuit_of_a_well_upstream() {
    let host = half_open();
    let mut uploads = Vec::new();
    for _ in 0..20 {
        let it = host.send(post("/", "").body_to_come());
        uploads.push(it.is_admitted().then_some(it));
        host.advance(secs(3));
        // Each is done after nine seconds.
        if let Some(Some(it)) = uploads.len().checked_sub(3).map(|n| uploads[n].take()) {
            it.sends("all of it", true).answered(200);
        }
    }
    assert_state(&host, "up", "closed");
    let count = |name| host.counter(&format!("circuit_breaker.up.{name}"));
    assert_eq!((count("opened"), count("closed"), count("stale_results")), (1, 1, 0));
}

#[test]
fn calls_that_are_answered_at_their_end_close_the_circuit_however_long_they_take() {
    let host = half_open();
    let call = assert_admitted!(host.send(grpc("/a/ClientStreaming").body_to_come()));
    host.advance(secs(600));
    assert_state(&host, "up", "half-open");
    call.sends("the last message", true).ends_as(endings::grpc_ok());
    assert_state(&host, "up", "closed");
}

#[test]
fn a_probe_whose_place_was_given_back_counts_once() {
    let host = Host::with(
        config().trips_after(1).opens_for(secs(1)).probe_timeout(secs(5)).probes(2).successes(3),
    );
    host.traffic(1, 503);
    host.advance(secs(1));
    let slow = assert_admitted!(host.send(post("/", "").body_to_come()));
    let stream = assert_admitted!(host.send(post("/", "").body_to_come())).headers(200);
    host.advance(secs(5));
    slow.sends("all of it", true).answered(200);
    // Of this one time has judged before.
    stream.sends("all of it", true).chunk("all of it").ends();
    assert_state(&host, "up", "half-open");
    assert_admitted!(host.request()).answered(200);
    assert_state(&host, "up", "closed");
}

#[test]
fn an_upload_that_fails_after_it_gave_its_place_back_reopens_the_circuit() {
    let host = half_open();
    let upload = assert_admitted!(host.send(post("/", "").body_to_come()));
    host.advance(secs(6));
    assert_state(&host, "up", "half-open");
    upload.sends("all of it", true).answered(503);
    assert_state(&host, "up", "open");
    assert_logged(
        &host,
        Level::Warn,
        &["from=half-open to=open reason=\"probe failed\"", "open_for=2s"],
    );
}

#[test]
fn an_upload_that_its_client_gives_up_after_its_lease_counts_as_nothing() {
    let host = half_open();
    let upload = assert_admitted!(host.send(post("/", "").body_to_come()));
    host.advance(secs(6));
    upload.client_leaves();
    assert_state(&host, "up", "half-open");
    assert_eq!(host.counter("circuit_breaker.up.stale_results"), 0);
    assert_eq!(host.counter("circuit_breaker.up.ignored"), 1);
}

#[test]
fn slow_clients_cannot_have_every_place_in_turn() {
    let host = half_open();
    let mut hung = Vec::new();
    for tenths in 0..71 {
        hung.push(host.send(post("/", "").body_to_come()));
        if tenths % 10 == 9 {
            let request = host.request();
            if request.is_admitted() {
                request.answered(200);
                break;
            }
        }
        host.advance(millis(100));
    }
    assert_state(&host, "up", "closed");
}
