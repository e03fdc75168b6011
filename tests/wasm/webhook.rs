//! What the webhook is told, and what it costs when it does not listen.

use crate::harness::prelude::*;

const FAILED: &str = "circuit_breaker.webhook_failed";

/// Trips at the first failure.
fn with_webhook() -> Config {
    config().trips_after(1).opens_for(secs(30)).webhook("alerts")
}

/// The one call that waits for an answer.
fn waiting(host: &Host) -> HttpCall {
    let mut waiting = host.waiting_calls();
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    waiting.remove(0)
}

fn generation(call: &HttpCall) -> u64 {
    call.json()["generation"].as_u64().unwrap()
}

#[test]
fn a_transition_is_posted_with_all_that_is_known_of_it() {
    let host = Host::setup().wall(1_703_700_000_250_000_000).boot(with_webhook()).unwrap();
    host.traffic(1, 503);
    host.advance(secs(1));
    let call = waiting(&host);
    for (name, value) in [
        (":method", "POST"),
        (":path", "/hook"),
        (":authority", "alerts.local"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(call.header(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!((call.cluster.as_str(), call.timeout_ms), ("alerts", 1_000));
    assert_eq!(
        String::from_utf8(call.body).unwrap(),
        r#"{"event":"state_change","circuit":"up","mode":"enforce","from":"closed","to":"open","reason":"1 consecutive failure","generation":1,"timestamp":1703700000.25}"#
    );
}

#[test]
fn a_transition_is_posted_once_by_the_worker_that_won_it() {
    let host = Host::setup().with_main_thread().workers(2).boot(with_webhook()).unwrap();
    host.traffic(1, 503);
    host.advance(secs(1));
    let opened = waiting(&host);
    host.answer_call(&opened, 200);
    host.advance(secs(29));
    host.worker(1).request().answered(200);
    host.advance(secs(1));
    let half_opened = waiting(&host);
    host.answer_call(&half_opened, 204);
    host.advance(secs(1));
    let closed = waiting(&host);
    host.answer_call(&closed, 200);
    host.advance(mins(1));

    assert_eq!(host.calls().len(), 3);
    let told = [&opened, &half_opened, &closed].map(|call| {
        let body = call.json();
        (format!("{:?}", call.vm), body["to"].as_str().unwrap().to_owned(), generation(call))
    });
    let expected =
        [("worker 0", "open", 1), ("worker 1", "half-open", 2), ("worker 1", "closed", 3)];
    assert_eq!(told, expected.map(|(by, to, number)| (by.to_owned(), to.to_owned(), number)));
    assert_eq!(host.counter(FAILED), 0);
}

#[test]
fn whatever_is_not_confirmed_counts_as_failed_and_is_not_sent_again() {
    let host = Host::with(with_webhook());
    let endings: [fn(&Host, &HttpCall); 5] = [
        |host, call| host.answer_call(call, 199),
        |host, call| host.answer_call(call, 302),
        |host, call| host.answer_call(call, 404),
        |host, call| host.answer_call(call, 504),
        |host, call| host.reset_call(call),
    ];
    for (number, end) in endings.into_iter().enumerate() {
        host.send(get("/").to(&format!("c{number}"))).answered(503);
        host.advance(millis(20));
        end(&host, &waiting(&host));
        host.advance(secs(1));
        assert_eq!(host.counter(FAILED), number as u64 + 1);
    }
    assert_eq!((host.calls().len(), host.waiting_calls().len()), (5, 0));
}

#[test]
fn a_target_that_is_missing_costs_a_count_and_no_more() {
    let host = Host::with(with_webhook());
    host.cluster_is_unknown("alerts");
    host.traffic(1, 503);
    host.advance(millis(20));
    assert_eq!(host.counter(FAILED), 1);
    host.cluster_has_no_hosts("alerts");
    host.advance(secs(30));
    host.request().answered(200);
    host.advance(millis(20));
    assert_eq!(host.counter(FAILED), 3);
    assert_eq!(host.calls().len(), 0);
    assert_admitted!(host.request());
}

#[test]
fn a_target_that_hangs_holds_one_call_and_a_bounded_outbox() {
    let policy = config().trips_after(1).opens_for(millis(1)).multiplier(1.0);
    let host = Host::with(policy.webhook("alerts"));
    host.traffic(1, 503);
    for _ in 0..2_100 {
        host.advance(millis(2));
        host.traffic(1, 503);
    }
    host.advance(millis(20));
    assert_eq!(host.calls().len(), 1);
    // 4201 transitions: the first is in flight, 4096 wait.
    assert_eq!(host.counter(FAILED), 104);
    host.answer_call(&waiting(&host), 200);
    host.advance(millis(20));
    assert_eq!(generation(&waiting(&host)), 106);
}

/// A capability list may leave the callback out.
#[test]
fn a_call_whose_end_is_never_told_holds_up_the_next_for_a_while_only() {
    let host = Host::with(with_webhook());
    for cluster in ["a", "b"] {
        host.send(get("/").to(cluster)).answered(503);
    }
    host.advance(secs(5));
    let given_up = waiting(&host);
    host.advance(secs(2));
    assert_eq!(host.counter(FAILED), 1);
    let next = host.waiting_calls().pop().unwrap();
    assert_eq!(next.json()["circuit"], "b");
    host.answer_call(&given_up, 200);
    host.answer_call(&next, 200);
    host.advance(secs(10));
    assert_eq!((host.calls().len(), host.counter(FAILED)), (2, 1));
}

#[test]
fn what_a_replaced_configuration_has_not_sent_is_sent_while_it_drains() {
    let host = Host::with(with_webhook());
    for cluster in ["a", "b", "c", "d"] {
        host.send(get("/").to(cluster)).answered(503);
    }
    host.reconfigure(config().trips_after(2)).unwrap();
    for cluster in ["a", "b"] {
        host.advance(millis(20));
        let call = waiting(&host);
        assert_eq!(call.json()["circuit"], cluster);
        host.answer_call(&call, 200);
    }
    host.advance(millis(20));
    assert_eq!((host.calls().len(), host.counter(FAILED)), (3, 0));
    host.drop_old();
    assert_eq!(host.counter(FAILED), 2);
    host.advance(secs(30));
    assert_eq!(host.calls().len(), 3);
}

/// Ending a wait turns to the request that waits: a call made after that would end with it.
#[test]
fn a_post_does_not_end_with_a_request_whose_wait_ends_in_the_same_tick() {
    let cache = json!({ "methods": ["POST"], "request_body": true, "body_wait": "10ms" });
    let config = with_webhook().fallback(json!([{ "cache": cache }]));
    let host = Host::setup().allow_on_headers_stop_iteration().boot(config).unwrap();
    host.traffic(1, 503);
    host.advance(millis(15));
    host.answer_call(&waiting(&host), 200);
    let exchange = host.send(request("POST", "/").body_to_come());
    host.advance_without_ticks(millis(20));
    host.send(get("/").to("other")).answered(503);
    host.tick();
    assert_rejected!(exchange);
    assert_eq!(waiting(&host).json()["circuit"], "other");
}

#[test]
fn nobody_is_told_where_no_webhook_is_given() {
    let host = Host::with(config().trips_after(1));
    let calls = host.hostcalls_during(|host| {
        host.traffic(1, 503);
        host.advance(secs(1));
    });
    assert_eq!((calls.of("proxy_http_call"), host.counter(FAILED)), (0, 0));
}

#[test]
fn a_request_costs_the_same_with_a_webhook() {
    let host = Host::with(config().webhook("alerts"));
    host.traffic(1, 200);
    let calls = host.hostcalls_during(|host| host.traffic(1, 200));
    assert_eq!(calls.list(), [("proxy_get_header_map_value", 1), ("proxy_get_property", 1)]);
    host.advance(millis(50));
    let calls = host.hostcalls_during(Host::tick);
    assert!(calls.total() <= 3, "{calls:?}");
}
