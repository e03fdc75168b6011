//! Requests that are told apart by their bodies: a rejected one waits for its own.

use serde_json::Value;

use crate::harness::prelude::*;

/// A cache by request bodies, and what follows in the chain.
fn chain(cache: Value, next: Value) -> Config {
    let mut rules = json!({ "methods": ["POST"], "request_body": true });
    rules.as_object_mut().unwrap().extend(cache.as_object().unwrap().clone());
    let mut chain = vec![json!({ "cache": rules })];
    chain.extend(next.as_array().unwrap().iter().cloned());
    config().trips_after(1).opens_for(mins(5)).fallback(Value::Array(chain))
}

fn sorry() -> Value {
    json!([{ "respond": { "body": "sorry" } }])
}

fn host(config: Config) -> Host {
    Host::setup().allow_on_headers_stop_iteration().boot(config).unwrap()
}

/// The answer to one question is stored, and the circuit is open.
fn opened(config: Config) -> Host {
    let host = host(config);
    host.send(post("/ask", "one")).ends_as(answer(200).body("the answer to one"));
    host.send(get("/other")).answered(503);
    host
}

fn coming() -> Request {
    request("POST", "/ask").body_to_come()
}

fn counter(host: &Host, metric: &str) -> u64 {
    host.counter(&format!("circuit_breaker.up.{metric}"))
}

fn warnings_of_the_option(host: &Host) -> usize {
    let lines = host.logs_at(Level::Warn);
    lines.iter().filter(|line| line.text.contains("allow_on_headers_stop_iteration: true")).count()
}

#[test]
fn the_same_question_gets_the_same_answer_and_another_the_next_fallback() {
    let host = opened(chain(json!({}), sorry()));
    let reply = assert_fell_back!(host.send(post("/ask", "one")), "cache");
    assert_eq!(reply.text(), "the answer to one");
    for other in ["two", "on", "onee", ""] {
        assert_fell_back!(host.send(post("/ask", other)), "respond");
    }
    assert_eq!(counter(&host, "fallback_cache_hit"), 1);
    assert_eq!(counter(&host, "fallback_cache_miss"), 4);
    host.tick();
    assert_eq!(counter(&host, "rejected"), 5);
}

#[test]
fn a_question_is_the_same_however_it_is_cut() {
    let host = host(chain(json!({}), sorry()));
    let call = host.send(coming()).sends("o", false).sends("ne", true);
    assert_eq!(call.sent_upstream(), b"one");
    call.ends_as(answer(200).body("the answer to one"));
    host.send(get("/other")).answered(503);

    let reply = host.send(coming()).sends("on", false).sends("", false).sends("e", true);
    assert_eq!(assert_fell_back!(reply, "cache").text(), "the answer to one");
    let trailers = host.send(coming()).sends("one", false).sends_trailers();
    assert_eq!(assert_fell_back!(trailers, "cache").text(), "the answer to one");
}

#[test]
fn what_a_body_means_is_part_of_the_question() {
    let typed = |kind: &str| post("/ask", "one").header("content-type", kind);
    let host = host(chain(json!({}), sorry()));
    host.send(typed("application/json")).ends_as(answer(200).body("json"));
    host.send(get("/other")).answered(503);
    assert_fell_back!(host.send(typed("application/json")), "cache");
    assert_fell_back!(host.send(typed("text/plain")), "respond");
}

#[test]
fn the_wait_for_a_body_is_bounded() {
    let host = opened(chain(json!({ "body_wait": "250ms" }), sorry()));
    let waiting = host.send(coming()).sends("on", false);
    host.advance(millis(240));
    assert!(waiting.is_paused(), "{waiting:?}");
    host.advance(millis(20));
    assert_fell_back!(waiting, "respond");
    assert_eq!(host.worker(0).trap(), None);
}

#[test]
fn without_the_plugins_option_the_next_fallback_answers_and_the_log_says_what_is_missing() {
    let host = Host::with(chain(json!({}), sorry()));
    host.send(post("/ask", "one")).ends_as(answer(200).body("the answer to one"));
    host.send(get("/other")).answered(503);
    let waiting: Vec<_> = (0..3).map(|_| host.send(post("/ask", "one"))).collect();
    host.advance(millis(1_010));
    for reply in waiting {
        assert_fell_back!(reply, "respond");
    }
    assert_eq!(warnings_of_the_option(&host), 1);
}

#[test]
fn a_slow_client_is_no_reason_to_warn_of_the_option() {
    let host = opened(chain(json!({}), sorry()));
    host.send(coming()).sends("on", false);
    host.advance(millis(1_010));
    assert_eq!(warnings_of_the_option(&host), 0);
}

#[test]
fn too_long_a_body_is_not_waited_for() {
    let host = opened(chain(json!({}), sorry()));
    let said = coming().header("content-length", "1048577");
    assert_fell_back!(host.send(said), "respond");
    let long = vec![b'a'; 600 << 10];
    let unsaid = host.send(coming()).sends(&long, false);
    assert!(unsaid.is_paused(), "{unsaid:?}");
    assert_fell_back!(unsaid.sends(&long, false), "respond");
}

#[test]
fn a_buffer_that_is_full_sends_the_request_to_the_next_fallback() {
    let host = opened(chain(json!({}), sorry()));
    let waiting = host.send(coming()).sends("one", false);
    let reply = waiting.ends_as(endings::payload_too_large());
    assert_eq!(reply.text(), "sorry");
    assert_eq!(reply.header("x-circuit-breaker-fallback").as_deref(), Some("respond"));
}

#[test]
fn another_cluster_gets_the_whole_of_a_request_that_has_waited() {
    let reroute = json!([{ "reroute": { "circuit": "backup" } }]);
    let host = opened(chain(json!({}), reroute.clone()));
    let to_backup = || coming().reroutes_to("backup");
    let in_time = host.send(to_backup()).sends("tw", false).sends("o", true);
    assert_eq!(
        (in_time.cluster().as_deref(), in_time.sent_upstream()),
        (Some("backup"), b"two".to_vec())
    );
    in_time.answered(200);

    let late = host.send(to_backup());
    host.advance(millis(1_010));
    assert_admitted!(&late);
    let late = late.sends("tw", false).sends("o", true);
    assert_eq!(
        (late.cluster().as_deref(), late.sent_upstream()),
        (Some("backup"), b"two".to_vec())
    );
    late.answered(200);
    host.tick();
    assert_eq!(host.counter("circuit_breaker.backup.successes"), 2);
    assert_eq!(counter(&host, "fallback_reroute"), 2);
}

#[test]
fn what_a_request_that_has_waited_gets_elsewhere_is_not_stored_as_the_answer_to_half_of_it() {
    let reroute = json!([{ "reroute": { "circuit": "backup" } }]);
    let host = opened(chain(json!({}), reroute));
    let in_time = host.send(coming().reroutes_to("backup")).sends("tw", false).sends("o", true);
    in_time.ends_as(answer(200).body("the answer to two"));
    let late = host.send(coming().reroutes_to("backup"));
    host.advance(millis(1_010));
    late.sends("one", true).ends_as(answer(200).body("the answer to one"));
    host.send(get("/other").to("backup")).answered(503);
    for question in ["one", "two", "", "o"] {
        let reply = host.send(post("/ask", question).to("backup"));
        assert_ne!(
            reply.header("x-circuit-breaker-fallback").as_deref(),
            Some("cache"),
            "{question}"
        );
    }
}

#[test]
fn an_answer_that_came_before_the_end_of_its_question_is_not_stored() {
    let host = host(chain(json!({}), sorry()));
    let early = host.send(coming()).sends("on", false).headers(200).chunk("early");
    early.sends("e", true);
    early.ends();
    host.send(get("/other")).answered(503);
    assert_fell_back!(host.send(post("/ask", "one")), "respond");
}

#[test]
fn a_client_that_leaves_while_it_waits_leaves_nothing_behind() {
    let host = opened(chain(json!({}), sorry()));
    host.send(coming()).sends("on", false).client_leaves();
    host.advance(secs(2));
    assert_eq!((host.worker(0).trap(), host.worker(0).streams_in_flight()), (None, 0));
    assert_eq!(counter(&host, "fallback_respond"), 0);
}

#[test]
fn a_request_without_a_body_is_answered_at_once() {
    let host = host(chain(json!({ "methods": ["GET", "POST"] }), sorry()));
    host.send(get("/")).ends_as(answer(200).body("hello"));
    host.send(get("/other")).answered(503);
    assert_fell_back!(host.send(get("/")), "cache");
    assert_fell_back!(host.send(request("POST", "/")), "respond");
}

#[test]
fn a_failed_response_is_replaced_by_the_answer_to_the_same_question() {
    let rules = json!({ "methods": ["POST"], "request_body": true });
    let fallback = json!([{ "cache": rules, "on": ["failed"] }]);
    let host = host(config().trips_after(5).fallback(fallback));
    host.send(post("/ask", "one")).ends_as(answer(200).body("the answer to one"));
    let reply = host.send(post("/ask", "one")).answered(503);
    assert_eq!((reply.status(), reply.text().as_str()), (200, "the answer to one"));
    assert_eq!(host.send(post("/ask", "two")).answered(503).status(), 503);
    // It failed before its body had come: nobody knows what it asks.
    assert_eq!(host.send(coming()).answered(503).status(), 503);
}

/// Envoy would send what it holds of the body twice: the second time as another request's beginning.
#[test]
fn a_request_whose_body_has_begun_is_not_sent_elsewhere_by_the_clock() {
    let chain_on =
        json!([{ "reroute": { "circuit": "backup" } }, { "respond": { "body": "sorry" } }]);
    let host = opened(chain(json!({}), chain_on));
    let late = host.send(coming().reroutes_to("backup")).sends("tw", false);
    host.advance(millis(1_010));
    assert_fell_back!(&late, "respond");
    assert_eq!(late.sent_upstream(), b"");
}

#[test]
fn a_client_is_told_to_come_back_by_what_is_left_of_the_wait() {
    let host = opened(chain(json!({ "body_wait": "1m" }), json!([])));
    let waiting = host.send(coming()).sends("tw", false);
    host.advance(secs(40));
    assert_rejected!(waiting.sends("o", true), retry_after = 260);
}
