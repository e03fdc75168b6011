//! Nothing that comes in traps.

use crate::harness::prelude::*;

/// Whatever a damaged record says: it may reject.
fn answer_if_admitted(exchange: &Exchange, status: u16) {
    if exchange.is_admitted() {
        exchange.answered(status);
    }
}

#[test]
fn header_values_that_are_not_utf_8_pass() {
    let host = Host::with(config().status_at("/cb"));
    let bytes = b"\xff\xfe".as_slice();
    for request in [
        get("/").header("x-bad", bytes),
        get("/").header("content-type", bytes),
        get("/").header(":path", bytes).without_cluster(),
        get("/").header(":method", bytes).without_cluster(),
    ] {
        let exchange = assert_admitted!(host.send(request));
        let answer = answer(200).header("x-bad", bytes).header("grpc-status", bytes);
        assert!(exchange.answered_with(answer).trap().is_none());
    }
    let response = answer(200).header(":status", bytes);
    assert!(host.request().answered_with(response).trap().is_none());
}

#[test]
fn foreign_and_empty_bytes_under_our_keys_are_no_data() {
    for foreign in [&b""[..], b"\x00", b"foreign", &[0xff; 4096]] {
        let host = Host::with(config().trips_after(1)).workers(2);
        host.worker(1).request().answered(200);
        host.traffic(1, 503);
        host.advance(millis(20));
        assert!(host.damage_shared("fusebox/", |value| *value = foreign.to_vec()) >= 4);
        host.advance(millis(50));
        // Closed again, for want of a record; and it still works.
        assert_admitted!(host.request()).answered(503);
        host.advance(millis(50));
        assert_rejected!(host.request());
        assert_rejected!(host.worker(1).request());
        assert!(host.counter("circuit_breaker.bad_records") > 0);
        assert!(!host.worker(0).is_dead() && !host.worker(1).is_dead());
    }
}

/// The names in the status, without a request that would make anything again.
fn listed(host: &Host) -> Vec<String> {
    let status = host.send(get("/cb").without_cluster()).json();
    let circuits = status["circuit_breakers"].as_array().unwrap();
    circuits.iter().map(|circuit| circuit["name"].as_str().unwrap().to_owned()).collect()
}

/// It once came back only when another circuit came or went.
#[test]
fn an_index_that_is_overwritten_names_its_circuits_again() {
    for lost in ["/index", "/pulse", "fusebox/"] {
        let host = Host::with(config().trips_after(1).status_at("/cb")).workers(2);
        host.worker(1).send(get("/").to("a")).answered(200);
        host.send(get("/").to("b")).answered(200);
        host.advance(millis(20));
        host.damage_shared(lost, |value| *value = b"not yours".to_vec());
        host.advance(millis(50));
        assert_eq!(listed(&host), ["a", "b"], "{lost}");
        let bad = host.counter("circuit_breaker.bad_records");
        host.advance(millis(50));
        assert_eq!(
            host.counter("circuit_breaker.bad_records"),
            bad,
            "{lost}: it is mended for good"
        );
    }
}

#[test]
fn an_open_circuit_is_still_open_when_the_index_is_lost_and_a_newcomer_finds_it_so() {
    let host = Host::with(config().trips_after(1)).workers(2);
    host.send(get("/").to("a")).answered(503);
    host.worker(1).send(get("/").to("b")).answered(200);
    host.advance(millis(20));
    host.damage_shared("/index", Vec::clear);
    host.send(get("/").to("c")).answered(503);
    host.advance(millis(50));
    for (circuit, state) in [("a", "open"), ("b", "closed"), ("c", "open")] {
        assert_state(&host, circuit, state);
    }
    for worker in [0, 1] {
        assert_rejected!(host.worker(worker).send(get("/").to("a")));
        assert_admitted!(host.worker(worker).send(get("/").to("b")));
        assert_rejected!(host.worker(worker).send(get("/").to("c")));
    }
}

#[test]
fn damaged_records_never_trap() {
    for at in 0..80 {
        let host = Host::with(config().trips_after(2)).workers(2);
        host.traffic(1, 503);
        host.damage_shared("circuit/", |value| {
            let length = value.len();
            value[at % length] ^= 0xff;
        });
        for (worker, status) in [(0, 503), (0, 503), (0, 503), (1, 200)] {
            answer_if_admitted(&host.worker(worker).request(), status);
        }
        host.advance(secs(2));
        answer_if_admitted(&host.request(), 200);
        assert!(!host.worker(0).is_dead() && !host.worker(1).is_dead(), "byte {at}");
    }
}

/// Half a million slots that were never used were once looked at one by one.
#[test]
fn a_cache_that_is_said_to_have_been_huge_is_soon_made_small() {
    let host = Host::with(config().trips_after(1).fallback(json!([{ "cache": {} }])));
    assert_eq!(host.damage_shared("cache/1/geometry", |value| *value = vec![1, 1, 0, 0, 16]), 1);
    host.worker(0).reload();
    assert_eq!(host.shared("fusebox/1/default/cache/1/geometry").unwrap(), [1, 32, 0, 32, 0]);
    host.request().answered(200);
    host.request().answered(503);
    assert_fell_back!(host.request(), "cache");
}

#[test]
fn cluster_names_are_data() {
    let host = Host::with(config().trips_after(1).status_at("/cb"));
    for name in ["", " ", "a\"b\n", "é|*", "..", "a/b?c#d"] {
        let exchange = host.send(get("/").to(name)).answered(503);
        assert!(exchange.trap().is_none(), "{name:?}");
    }
    let reply = host.send(get("/cb").without_cluster());
    assert!(reply.json()["circuit_breakers"].as_array().unwrap().len() >= 5);
    assert!(host.logs_with("circuit=a\"b").is_empty());
}

#[test]
fn a_call_of_before_its_record_was_lost_does_not_count_in_the_next() {
    let host = Host::with(config().trips_after(1).opens_for(secs(1)));
    let old = host.request();
    host.traffic(1, 503);
    host.advance(secs(2));
    host.request().answered(200);
    let key = host.shared_keys().into_iter().find(|key| key.contains("/circuit/")).unwrap();
    host.put_shared(&key, b"foreign");
    host.advance(secs(1));
    old.answered(503);
    assert_state(&host, "up", "closed");
    host.traffic(1, 503);
    assert_state(&host, "up", "open");
}

/// 65,536 would be more slots than have numbers.
#[test]
fn an_index_of_more_circuits_than_there_may_be_is_no_index() {
    let host = Host::with(config().trips_after(1)).workers(2);
    host.request().answered(200);
    let key = host.shared_keys().into_iter().find(|key| key.ends_with("/index")).unwrap();
    let begun = host.worker(0).fuel_used();
    host.advance(millis(50));
    let idle = host.worker(0).fuel_used() - begun;
    for tenants in [4_097_u64, 65_600] {
        let tenant = |n: u64| [&n.to_le_bytes()[..], &[1, 0, b'a' + (n % 20) as u8]].concat();
        host.put_shared(
            &key,
            [&[1][..], &(0..tenants).flat_map(tenant).collect::<Vec<_>>()].concat(),
        );
        let begun = host.worker(0).fuel_used();
        host.advance(millis(50));
        assert!(host.worker(0).fuel_used() - begun < 100 * idle, "{tenants}");
        host.worker(0).request().answered(200);
    }
    host.worker(0).request().answered(503);
    host.advance(millis(20));
    assert_rejected!(host.worker(1).request());
}
