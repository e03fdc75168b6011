//! The last good response, served while the circuit is open.

use serde_json::Value;

use crate::harness::prelude::*;

fn caching(cache: Value) -> Config {
    config().trips_after(1).fallback(json!([{ "cache": cache }]))
}

fn page(body: &str) -> Ending {
    answer(200).header("content-type", "text/plain").body(body)
}

/// Stores `first` for `request`, and opens the circuit.
fn stored(cache: Value, request: Request, first: Ending) -> Host {
    let host = Host::with(caching(cache));
    host.send(request).ends_as(first);
    // Unless that was a failure itself.
    let failing = host.send(get("/other"));
    if failing.is_admitted() {
        failing.answered(503);
    }
    host
}

fn counter(host: &Host, metric: &str) -> u64 {
    host.counter(&format!("circuit_breaker.up.{metric}"))
}

#[test]
fn the_last_good_reply_is_served_while_the_circuit_is_open() {
    let host = stored(json!({}), get("/a?b=c"), page("hello"));
    host.advance(secs(5));
    let reply = assert_fell_back!(host.send(get("/a?b=c")), "cache");
    assert_eq!((reply.status(), reply.text().as_str()), (200, "hello"));
    for (name, value) in [
        ("content-type", "text/plain"),
        ("age", "5"),
        ("cache-status", "fusebox; hit; ttl=-5; detail=circuit-open"),
        ("x-circuit-breaker", "open"),
    ] {
        assert_eq!(reply.header(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(counter(&host, "fallback_cache_hit"), 1);
    assert_rejected!(host.send(get("/a")), state = "open");
    assert_eq!(counter(&host, "fallback_cache_miss"), 1);
}

#[test]
fn head_is_served_from_get() {
    let host = stored(json!({}), get("/"), page("hello"));
    let reply = assert_fell_back!(host.send(head("/")), "cache");
    assert_eq!(reply.header("content-type").as_deref(), Some("text/plain"));
}

#[test]
fn every_worker_serves_what_one_has_stored() {
    let host = Host::with(caching(json!({}))).workers(2);
    host.send(get("/")).ends_as(page("hello"));
    host.worker(1).send(get("/x")).answered(503);
    let reply = assert_fell_back!(host.worker(1).send(get("/")), "cache");
    assert_eq!(reply.text(), "hello");
}

#[test]
fn what_did_not_come_to_a_good_end_is_not_stored() {
    for ending in [
        endings::closes_mid_body(),
        endings::client_leaves_mid_body(),
        answer(404),
        endings::fault_abort().code(200).details("fault_filter_abort"),
        page("secret").header("cache-control", "no-store"),
        page("mine").header("set-cookie", "a=b"),
        page("any").header("vary", "*"),
    ] {
        let name = format!("{ending:?}");
        let host = stored(json!({}), get("/"), ending);
        let reply = host.send(get("/"));
        assert_eq!(reply.header("x-circuit-breaker-fallback"), None, "{name}");
    }
}

#[test]
fn a_reply_of_another_filter_is_not_the_upstreams_to_keep() {
    let reply = endings::direct_response(200).details("ext_proc_immediate");
    let host = stored(json!({}), get("/"), reply);
    assert_rejected!(host.send(get("/")));
}

#[test]
fn a_body_over_the_limit_is_not_stored() {
    let host = stored(json!({ "max_body_bytes": 8 }), get("/"), page("12345678"));
    assert_fell_back!(host.send(get("/")), "cache");
    let long = answer(200).chunks(["12345678", "9", "0"]);
    let host = stored(json!({ "max_body_bytes": 8 }), get("/"), long);
    assert_rejected!(host.send(get("/")));
}

#[test]
fn a_body_in_chunks_is_stored_whole() {
    let host = stored(json!({}), get("/"), answer(200).chunks(["one ", "two ", "three"]));
    assert_eq!(assert_fell_back!(host.send(get("/")), "cache").text(), "one two three");
}

#[test]
fn a_key_is_stored_again_after_a_while_and_not_at_once() {
    let host = Host::with(caching(json!({ "refresh_after": "1s" })));
    host.send(get("/")).ends_as(page("first"));
    host.send(get("/")).ends_as(page("second"));
    let writes = host.shared_writes();
    host.send(get("/")).ends_as(page("third"));
    assert_eq!(host.shared_writes(), writes);
    host.advance(secs(1));
    host.send(get("/")).ends_as(page("fourth"));
    host.send(get("/x")).answered(503);
    assert_eq!(assert_fell_back!(host.send(get("/")), "cache").text(), "fourth");
}

#[test]
fn nobody_gets_a_reply_that_was_stored_for_another() {
    let as_user = |name: &str| get("/me").header("authorization", name);
    let host = stored(json!({}), as_user("anna"), page("anna's"));
    assert_rejected!(host.send(as_user("anna")));
    let host = Host::with(caching(json!({ "per_authorization": true })));
    for name in ["anna", "bert"] {
        host.send(as_user(name)).ends_as(page(name));
    }
    host.send(get("/x")).answered(503);
    for name in ["anna", "bert"] {
        assert_eq!(assert_fell_back!(host.send(as_user(name)), "cache").text(), name);
    }
    assert_rejected!(host.send(as_user("carl")));
    assert_rejected!(host.send(get("/me")));
}

#[test]
fn what_later_filters_do_to_the_request_does_not_change_its_key() {
    let host = Host::with(caching(json!({})));
    let call = host.send(get("/a").header("authorization", "anna"));
    call.request_rewritten(|headers| {
        headers.remove("authorization");
        headers.set(":path", b"/b");
    });
    call.ends_as(page("anna's"));
    host.send(get("/x")).answered(503);
    for path in ["/a", "/b"] {
        assert_rejected!(host.send(get(path)));
    }
}

#[test]
fn a_reply_that_varies_is_served_to_its_like() {
    let speaking = |language: &str| get("/").header("accept-language", language);
    let host = Host::with(caching(json!({ "refresh_after": "0s" })));
    for language in ["de", "fr"] {
        host.send(speaking(language)).ends_as(page(language).header("vary", "Accept-Language"));
    }
    host.send(get("/x")).answered(503);
    for language in ["de", "fr"] {
        assert_eq!(assert_fell_back!(host.send(speaking(language)), "cache").text(), language);
    }
    assert_rejected!(host.send(speaking("en")));
}

#[test]
fn stale_rules_are_obeyed_unless_the_policy_says_otherwise() {
    let fresh = || page("a").header("cache-control", "max-age=10, stale-if-error=20");
    for (obeys, served_at_40) in [(true, false), (false, true)] {
        let host = Host::with(caching(json!({ "obey_cache_control": obeys })).opens_for(mins(5)));
        host.send(get("/")).ends_as(fresh());
        host.send(get("/x")).answered(503);
        host.advance(secs(29));
        assert_fell_back!(host.send(get("/")), "cache");
        host.advance(secs(11));
        let reply = host.send(get("/")).header("x-circuit-breaker-fallback");
        assert_eq!(reply.is_some(), served_at_40, "obeys: {obeys}");
    }
}

#[test]
fn json_is_annotated() {
    let annotations = json!({ "annotate_json": { "/metadata/from_fallback": true } });
    let first = answer(200)
        .json(&json!({ "answer": 42, "metadata": { "from_fallback": false } }))
        .header("etag", "\"1\"");
    let host = stored(annotations, get("/"), first);
    let reply = assert_fell_back!(host.send(get("/")), "cache");
    assert_eq!(reply.json(), json!({ "answer": 42, "metadata": { "from_fallback": true } }));
    assert_eq!(reply.header("etag"), None);
}

#[test]
fn a_failed_response_is_replaced_by_the_last_good_one() {
    let host = Host::with(
        config().trips_after(5).fallback(json!([{ "cache": {}, "on": ["failed", "rejected"] }])),
    );
    host.request().ends_as(page("hello"));
    let reply = host.request().answered(503);
    assert_eq!((reply.status(), reply.text().as_str()), (200, "hello"));
    let status = reply.header("cache-status").unwrap();
    assert!(status.ends_with("detail=upstream-failed"), "{status}");
    assert_eq!(reply.header("x-circuit-breaker").as_deref(), Some("closed"));
    assert_eq!(counter(&host, "failures"), 1);
    // What was served is not stored as the upstream's.
    host.advance(secs(2));
    let again = host.request().answered(503);
    assert_eq!(again.header("age").as_deref(), Some("2"));
}

#[test]
fn damaged_entries_are_none() {
    let host = stored(json!({}), get("/"), page("hello"));
    assert!(
        host.damage_shared("cache/", |bytes| {
            if let Some(byte) = bytes.last_mut() {
                *byte ^= 1;
            }
        }) > 0
    );
    assert_rejected!(host.send(get("/")));
}

#[test]
fn grpc_is_neither_stored_nor_served() {
    let host = Host::with(caching(json!({})));
    host.send(grpc("/a/B")).ends_as(endings::grpc_ok());
    host.send(grpc("/a/B")).ends_as(endings::grpc_status(14));
    assert_eq!(host.send(grpc("/a/B")).header("grpc-status").as_deref(), Some("14"));
    assert_eq!(counter(&host, "fallback_cache_hit"), 0);
}

#[test]
fn a_circuit_with_a_cache_costs_one_hostcall_more() {
    let host = Host::with(caching(json!({})));
    host.request().ends_as(page("a"));
    let calls = host.hostcalls_during(|host| {
        host.request().ends_as(page("a"));
    });
    let expected = [
        ("proxy_get_header_map_pairs", 1),
        ("proxy_get_header_map_value", 1),
        ("proxy_get_property", 1),
    ];
    assert_eq!(calls.list(), expected);
}

/// Whether what `request` got is served to `other` once the circuit is open.
fn is_shared(cache: Value, request: Request, other: Request, first: Ending) -> bool {
    let reply = stored(cache, request, first).send(other);
    reply.header("x-circuit-breaker-fallback").as_deref() == Some("cache")
}

#[test]
fn who_was_known_to_a_filter_before_this_one_is_known_by_its_headers() {
    // jwt_authn takes Authorization off, and leaves a claim.
    for name in ["x-user", "x-jwt-payload", "x-auth-request-email", "proxy-authorization"] {
        let ask = |user: &str| get("/me").header(name, user);
        assert!(!is_shared(json!({}), ask("anna"), ask("bert"), page("anna's")), "{name}");
    }
}

#[test]
fn a_name_in_one_word_or_of_a_mesh_says_who_asks_too() {
    for name in
        ["sec-istio-auth-userinfo", "x-accesstoken", "x-tenantid", "x-clientid", "x-ssl-client-cn"]
    {
        let ask = |user: &str| get("/me").header(name, user);
        assert!(!is_shared(json!({}), ask("anna"), ask("bert"), page("anna's")), "{name}");
        assert!(
            is_shared(json!({ "vary_on": [name] }), ask("anna"), ask("anna"), page("a")),
            "{name}"
        );
    }
}

#[test]
fn what_browsers_and_proxies_send_with_every_request_says_nothing_of_who_asks() {
    for name in ["user-agent", "sec-fetch-user", "sec-ch-ua", "x-request-id", "x-client-trace-id"] {
        let ask = |value: &str| get("/").header(name, value);
        assert!(is_shared(json!({}), ask("a"), ask("b"), page("everybody's")), "{name}");
    }
}

#[test]
fn what_filters_and_routes_behind_this_one_add_counts_too() {
    for (name, vary) in [("x-user", "accept"), ("authorization", "accept"), ("x-geo", "x-geo")] {
        let host = Host::with(caching(json!({})));
        let call = host.send(get("/me"));
        call.request_rewritten(|headers| headers.set(name, b"anna"));
        call.ends_as(page("anna's").header("vary", vary));
        host.send(get("/x")).answered(503);
        assert_rejected!(host.send(get("/me")));
    }
}

#[test]
fn what_was_for_all_by_laxer_rules_is_not_for_all_by_stricter_ones() {
    let host = Host::with(caching(json!({ "credential_headers": [] })));
    host.send(get("/me").header("x-badge", "anna")).ends_as(page("anna's"));
    host.reconfigure(caching(json!({ "credential_headers": ["x-badge"] }))).unwrap();
    host.send(get("/x")).answered(503);
    assert_rejected!(host.send(get("/me")));
}

#[test]
fn a_request_that_asks_for_another_thing_than_its_path_says_poisons_nothing() {
    for name in ["forwarded", "x-original-uri", "x-http-method", "x-envoy-original-dst-host"] {
        let evil = get("/").header(name, "evil");
        assert!(!is_shared(json!({}), evil.clone(), get("/"), page("evil")), "{name}");
        assert!(is_shared(json!({ "vary_on": [name] }), evil.clone(), evil, page("a")), "{name}");
    }
}

#[test]
fn a_body_that_may_have_been_cut_off_is_not_stored() {
    let short = || page("hel").header("content-length", "5").until_closed();
    for (ending, is_stored) in [
        (page("hel").until_closed(), false),
        (short(), false),
        (page("hello").header("content-length", "5").until_closed(), true),
        (page("hello").h2(), true),
        (page("hello").until_closed().trailers(Headers::default()), true),
    ] {
        let name = format!("{ending:?}");
        assert_eq!(is_shared(json!({}), get("/"), get("/"), ending), is_stored, "{name}");
    }
}

#[test]
fn what_another_cluster_served_is_not_stored_as_this_ones() {
    let host = Host::with(caching(json!({})));
    host.send(get("/a")).rerouted("tenant-b").ends_as(page("tenant b's"));
    host.send(get("/x")).answered(503);
    assert_rejected!(host.send(get("/a")));
}

#[test]
fn the_answer_of_another_fusebox_in_place_of_its_upstream_is_not_stored() {
    let stale = page("stale").header("x-circuit-breaker", "open");
    assert!(!is_shared(json!({}), get("/"), get("/"), stale));
}

#[test]
fn a_failure_is_never_the_last_good_reply() {
    let rules = json!({ "statuses": [200, 404], "refresh_after": "0s" });
    let host =
        Host::with(caching(rules).set("defaults.classify.failure_statuses", json!([404, "5xx"])));
    host.send(get("/")).ends_as(page("good"));
    host.send(get("/")).answered(404);
    assert_eq!(assert_fell_back!(host.send(get("/")), "cache").text(), "good");
}

#[test]
fn a_reply_is_stored_with_all_of_its_headers_or_not_at_all() {
    let latin = page("<script>").header("content-disposition", b"attachment; filename=\"\xe9\"");
    assert!(!is_shared(json!({}), get("/"), get("/"), latin));
    let many = (0..300).fold(page("a"), |page, n| page.header(&format!("x-{n}"), "1"));
    assert!(!is_shared(json!({}), get("/"), get("/"), many));
}

#[test]
fn the_least_budget_stores_too() {
    let host = Host::with(caching(json!({})).set("cache.max_bytes", json!("1MiB")));
    host.send(get("/")).ends_as(page("hello"));
    host.send(get("/x")).answered(503);
    assert_fell_back!(host.send(get("/")), "cache");
}

#[test]
fn downloads_and_streams_in_flight_do_not_keep_pages_from_being_stored() {
    let host = Host::with(caching(json!({})));
    let long = || answer(200).header("content-length", "100000000").until_closed();
    for n in 0..20 {
        host.send(get(&format!("/said/{n}"))).headers_of(long()).chunk([b'x'; 1_000]);
        host.send(get(&format!("/unsaid/{n}"))).headers(200).chunk(vec![b'x'; 300_000]);
        let events = answer(200).header("content-type", "text/event-stream");
        host.send(get(&format!("/events/{n}"))).headers_of(events).chunk("data: 1\n\n");
    }
    host.send(get("/")).ends_as(page("hello"));
    host.send(get("/x")).answered(503);
    assert_fell_back!(host.send(get("/")), "cache");
}

#[test]
fn copies_in_flight_have_an_eighth_of_the_budget() {
    let host = Host::with(caching(json!({})).set("cache.max_bytes", json!("1MiB")));
    let calls: Vec<_> = (0..10).map(|n| host.send(get(&format!("/{n}"))).headers(200)).collect();
    for call in &calls {
        call.chunk(vec![b'x'; 40_000]);
    }
    for call in calls {
        call.ends();
    }
    host.send(get("/x")).answered(503);
    let served = (0..10).filter(|n| {
        let reply = host.send(get(&format!("/{n}")));
        reply.header("x-circuit-breaker-fallback").is_some()
    });
    let served = served.count();
    assert!((1..=3).contains(&served), "{served}");
    // All of the room has been given back.
    host.advance(secs(31));
    host.send(get("/x")).answered(200);
    host.send(get("/last")).ends_as(page("last"));
    host.send(get("/x")).answered(503);
    assert_fell_back!(host.send(get("/last")), "cache");
}

#[test]
fn what_may_not_be_stored_is_looked_at_once_in_a_while() {
    let host = Host::with(caching(json!({})));
    let refused = || page("a").header("cache-control", "no-store");
    host.request().ends_as(refused());
    host.request().ends_as(refused());
    let calls = host.hostcalls_during(|host| {
        host.request().ends_as(refused());
    });
    assert_eq!(calls.list().iter().map(|(_, count)| count).sum::<u64>(), 3, "{:?}", calls.list());
}

#[test]
fn a_user_who_asks_often_does_not_keep_others_from_being_stored_for() {
    let host = Host::with(caching(json!({})));
    host.send(get("/").header("cookie", "a=b")).ends_as(page("a"));
    host.send(get("/")).ends_as(page("hello"));
    host.send(get("/x")).answered(503);
    assert_fell_back!(host.send(get("/")), "cache");
}

#[test]
fn a_grpc_call_on_a_circuit_that_speaks_http_is_not_replaced() {
    let respond = json!([{ "respond": {}, "on": ["failed"] }]);
    let host = Host::with(config().fallback(respond));
    host.request().answered(200);
    let call = host.send(grpc("/a/B")).ends_as(answer(503).header("content-type", "text/html"));
    assert_eq!(call.header("x-circuit-breaker-fallback"), None);
}

#[test]
fn a_head_request_or_one_that_wants_nothing_stored_does_not_keep_others_from_it() {
    for first in [head("/"), get("/").header("cache-control", "no-store")] {
        let host = Host::with(caching(json!({ "refresh_after": "30s" })));
        host.send(first).ends_as(page("hello"));
        host.send(get("/")).ends_as(page("hello"));
        host.send(get("/x")).answered(503);
        assert_fell_back!(host.send(get("/")), "cache");
    }
}

#[test]
fn what_an_address_was_made_of_is_part_of_the_question() {
    for name in ["x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix", "x-scheme"] {
        let ask = |value: &str| get("/").header(name, value);
        assert!(is_shared(json!({}), ask("a"), ask("a"), page("a")), "{name}");
        for other in [ask("b"), get("/")] {
            assert!(!is_shared(json!({}), ask("a"), other, page("a")), "{name}");
        }
    }
}

#[test]
fn failures_that_the_cache_hides_open_the_circuit_and_then_the_upstream_is_left_alone() {
    let host = Host::with(
        config().trips_after(5).fallback(json!([{ "cache": {}, "on": ["failed", "rejected"] }])),
    );
    host.request().ends_as(page("hello"));
    for _ in 0..5 {
        assert_eq!(assert_admitted!(host.request()).answered(503).text(), "hello");
    }
    assert_state(&host, "up", "open");
    for _ in 0..100 {
        let reply = assert_fell_back!(host.request(), "cache");
        assert!(!reply.is_admitted());
    }
    assert_state(&host, "up", "open");
}
