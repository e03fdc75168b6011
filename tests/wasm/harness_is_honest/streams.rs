//! What a filter sees of a stream, and when.

use super::guests::{host, on_request, said, witness};
use crate::harness::prelude::*;

/// The callbacks of one request with this ending, with what the guest read.
fn witnessed(ending: Ending) -> String {
    let host = witness();
    host.request().ends_as(ending);
    said(&host).join(" | ")
}

#[test]
fn an_answer_over_http1_ends_with_an_empty_body_callback() {
    let seen = witnessed(answer(200));
    let expected = "request_headers 1 | response_headers 0 | 200 | via_upstream | response_body 0 | response_body 1 | \
                    log | 200 | via_upstream | done | delete";
    assert_eq!(seen, expected);
}

#[test]
fn an_answer_over_http2_ends_with_its_last_chunk() {
    assert!(witnessed(answer(200).h2()).contains("| response_body 1 | log"));
}

#[test]
fn head_and_204_end_at_their_headers() {
    assert!(witnessed(answer(204)).contains("response_headers 1 | 204 | via_upstream | log"));
    let host = witness();
    host.send(head("/")).answered(200);
    assert!(said(&host).join(" | ").contains("response_headers 1 | 200 | via_upstream | log"));
}

#[test]
fn local_replies_of_envoy_pass_the_filter() {
    let expected = "request_headers 1 | response_headers 0 | 503 | no_healthy_upstream | response_body 1 | \
                    log | 503 | no_healthy_upstream | done | delete";
    assert_eq!(witnessed(endings::no_healthy_upstream()), expected);
}

#[test]
fn a_response_cut_in_the_middle_has_the_log_callback_only() {
    let expected = "request_headers 1 | response_headers 0 | 200 | via_upstream | response_body 0 | \
                    log | 200 | upstream_reset_after_response_started{protocol_error} | done | delete";
    assert_eq!(witnessed(endings::closes_mid_body()), expected);
}

#[test]
fn a_client_that_left_has_no_response() {
    let expected = "request_headers 1 | log | downstream_remote_disconnect | done | delete";
    assert_eq!(witnessed(endings::client_leaves()), expected);
}

#[test]
fn grpc_ends_with_trailers_and_no_end_of_stream() {
    let seen = witnessed(endings::grpc_status(14));
    assert!(seen.contains("| response_body 0 | response_trailers | log"), "{seen}");
}

#[test]
fn envoy_speaks_grpc_to_grpc() {
    let host = witness();
    let exchange = host.send(grpc("/svc/Method")).ends_as(endings::no_healthy_upstream());
    assert_eq!((exchange.status(), exchange.header("grpc-status").as_deref()), (200, Some("14")));
    assert!(
        said(&host).join(" | ").contains("response_headers 1 | 200 | no_healthy_upstream | log")
    );
}

#[test]
fn a_reply_of_an_earlier_filter_is_seen_in_the_log_callback_alone() {
    let host = witness();
    host.unseen(get("/"), endings::earlier_filter_abort());
    assert_eq!(said(&host).join(" | "), "log | 503 | fault_filter_abort | done | delete");
}

#[test]
fn step_by_step_is_the_same_as_at_once() {
    let host = witness();
    let pending = host.request();
    pending.headers(200);
    pending.chunk("hello");
    pending.ends();
    assert_eq!(said(&host).join(" | "), witnessed(answer(200)));

    host.request().headers(200).chunk("hello").truncated();
    assert_eq!(said(&host).join(" | "), witnessed(endings::closes_mid_body()));
}

#[test]
fn requests_can_be_interleaved() {
    let host = witness();
    let (first, second) = (host.request(), host.request());
    second.answered(200);
    first.answered(500);
    assert_eq!((first.status(), second.status()), (500, 200));
}

/// Says the status of reading a request header, all of them, and a property made of one.
const READ_REQUEST: &str = r#"
  (call $say (call $header (i32.const 0) (i32.const 1024) (i32.const 5) (i32.const 8) (i32.const 12)))
  (call $say (call $pairs (i32.const 0) (i32.const 8) (i32.const 12)))
  (call $say (i32.ne (i32.const 0) (i32.load (i32.const 12))))
  (call $say (call $property (i32.const 1029) (i32.const 12) (i32.const 8) (i32.const 12)))"#;

#[test]
fn request_headers_cannot_be_read_in_the_response_phase() {
    let functions = format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {READ_REQUEST} (i32.const 0))
           (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) {READ_REQUEST} (i32.const 0))
           (func (export "proxy_on_log") (param i32) {READ_REQUEST})"#
    );
    let host = host(":pathrequest\\00path", &functions);
    let pending = host.request();
    assert_eq!(said(&host), ["0", "0", "1", "0"]);
    pending.headers(200);
    assert_eq!(said(&host), ["2", "0", "0", "1"], "BadArgument, no pairs at all, NotFound");
    pending.ends();
    assert_eq!(said(&host), ["0", "0", "1", "0"], "in the log callback they are back");
}

#[test]
fn a_map_that_never_was_is_empty_in_the_log_callback() {
    let read = "(call $say (call $header (i32.const 2) (i32.const 1024) (i32.const 7) (i32.const 8) (i32.const 12)))";
    let host = host(":status", &format!("(func (export \"proxy_on_log\") (param i32) {read})"));
    host.request().client_leaves();
    assert_eq!(said(&host), ["1"]);
}

#[test]
fn a_header_value_may_be_any_bytes() {
    let read = "(drop (call $header (i32.const 0) (i32.const 1024) (i32.const 5) (i32.const 8) (i32.const 12)))
                (call $say (i32.load (i32.const 12)))
                (call $say (i32.eq (i32.load8_u (i32.load (i32.const 8))) (i32.const 255)))";
    let host = on_request("x-bad", read);
    host.send(get("/").header("x-bad", [0xff, 0xfe]));
    assert_eq!(said(&host), ["2", "1"]);
}

#[test]
fn a_request_without_a_cluster_reaches_the_filter() {
    let read =
        "(call $say (call $property (i32.const 1024) (i32.const 16) (i32.const 8) (i32.const 12)))";
    let host = on_request("xds\\00cluster_name", read);
    assert!(host.send(get("/").without_cluster()).is_admitted());
    host.request();
    assert_eq!(said(&host), ["1", "0"]);
}

#[test]
fn a_new_route_shows_once_the_callback_is_over() {
    let read = "(drop (call $property (i32.const 1024) (i32.const 16) (i32.const 8) (i32.const 12))) (call $told)";
    let change = "(drop (call $replace (i32.const 0) (i32.const 1040) (i32.const 3) (i32.const 1040) (i32.const 3)))";
    let functions = format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {change} {read} (i32.const 0))
           (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) {read} (i32.const 0))"#
    );
    let host = host("xds\\00cluster_namex-r", &functions);
    let exchange = host.send(get("/").reroutes_to("backup"));
    exchange.answered(200);
    assert_eq!(said(&host), ["up", "backup"]);
    assert_eq!(
        (exchange.route_clears(), exchange.request_header("x-r").as_deref()),
        (1, Some("x-r"))
    );
}

#[test]
fn stored_state_is_a_property_of_one_segment() {
    let stores = r#"
      (call $say (call $store (i32.const 1024) (i32.const 2) (i32.const 1024) (i32.const 2)))
      (call $say (call $store (i32.const 1026) (i32.const 3) (i32.const 1024) (i32.const 2)))
      (call $say (call $property (i32.const 1024) (i32.const 2) (i32.const 8) (i32.const 12)))
      (call $say (call $property (i32.const 1026) (i32.const 3) (i32.const 8) (i32.const 12)))"#;
    let host = on_request("cba\\00b", stores);
    let exchange = host.request();
    assert_eq!(said(&host), ["0", "0", "0", "1"], "both are stored, and one is found");
    assert_eq!(exchange.filter_state("cb").as_deref(), Some("cb"));
    assert_eq!(exchange.filter_state("a\0b").as_deref(), Some("cb"));
}

/// A reply with the details "no entry", the body "no" and no headers.
const REPLY: &str = r#"(drop (call $reply (i32.const 503) (i32.const 1024) (i32.const 8) (i32.const 1024) (i32.const 2)
                                          (i32.const 0) (i32.const 0) (i32.const -1)))"#;

/// Says a digit, and with the details as they are known then.
fn marked(digit: u32) -> String {
    format!(
        "(call $say (i32.const {digit}))
         (if (i32.eqz (call $property (i32.const 1032) (i32.const 21) (i32.const 8) (i32.const 12))) (then (call $told)))"
    )
}

#[test]
fn the_filters_own_reply_passes_its_own_response_callbacks() {
    let functions = format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {REPLY} (i32.const 1))
           (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) {} (i32.const 0))
           (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) {} (i32.const 0))
           (func (export "proxy_on_log") (param i32) {})"#,
        marked(1),
        marked(2),
        marked(3),
    );
    let host = host("no entryresponse\\00code_details", &functions);
    let exchange = host.request();
    assert_eq!(said(&host), ["1", "no_entry", "2", "no_entry", "3", "no_entry"]);
    assert!(!exchange.is_admitted());
    assert_eq!(
        (exchange.status(), exchange.text().as_str(), exchange.origin()),
        (503, "no", Some(Origin::Filter))
    );
    assert_eq!(exchange.header("content-type").as_deref(), Some("text/plain"));

    let grpc = host.send(grpc("/svc/Method"));
    assert_eq!((grpc.status(), grpc.text().as_str()), (200, ""));
    assert_eq!(grpc.header("grpc-status").as_deref(), Some("14"));
    assert_eq!(grpc.header("grpc-message").as_deref(), Some("no"));
}

#[test]
fn a_response_that_is_replaced_has_the_log_callback_only() {
    let functions = format!(
        r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) {} {REPLY} (i32.const 0))
           (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) {} (i32.const 0))
           (func (export "proxy_on_log") (param i32) {})"#,
        marked(1),
        marked(2),
        marked(3),
    );
    let host = host("no entryresponse\\00code_details", &functions);
    let exchange = host.request().answered(500);
    assert_eq!(said(&host), ["1", "via_upstream", "3", "no_entry"]);
    assert_eq!((exchange.status(), exchange.text().as_str()), (503, "no"));
}

#[test]
#[should_panic(expected = "it is over already")]
fn nobody_answers_what_the_filter_has_answered() {
    let host = on_request("no entry", REPLY);
    host.request().answered(200);
}

/// Pauses at headers; at the body says its size and lets it pass.
const PAUSES: &str = r#"
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (call $say (local.get 1)) (i32.const 0))"#;

#[test]
fn a_filter_that_pauses_at_headers_gets_no_body() {
    let host = host("", PAUSES);
    let exchange = host.send(post("/", "12345"));
    assert!(exchange.is_paused());
    assert_eq!(said(&host).len(), 0);
}

#[test]
fn unless_the_plugin_asks_for_it() {
    let setup =
        Host::setup().guest(super::guests::module("", PAUSES)).allow_on_headers_stop_iteration();
    let host = setup.boot(no_config()).unwrap();
    let exchange = host.send(post("/", "12345"));
    assert!(exchange.is_admitted());
    assert_eq!(exchange.sent_upstream(), b"12345");
    assert_eq!(said(&host), ["5"]);
}

#[test]
fn a_body_that_is_held_grows() {
    let holds = r#"(func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
                     (call $say (local.get 1)) (i32.eqz (local.get 2)))"#;
    let host = host("", holds);
    let exchange = host.send(post("/", "").body_to_come());
    exchange.sends("12", false).sends("345", false);
    assert_eq!(exchange.sent_upstream(), b"");
    exchange.sends("6", true);
    assert_eq!(said(&host), ["2", "5", "6"]);
    assert_eq!(exchange.sent_upstream(), b"123456");
}

/// A root context may act on a stream of its own, and Envoy does it once the callback is over.
#[test]
fn a_paused_request_can_be_answered_from_a_tick() {
    let functions = format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))
           (func (export "proxy_on_tick") (param i32) (drop (call $as (i32.const 2))) {REPLY})"#
    );
    let host = host("no entry", &functions);
    let exchange = host.request();
    assert!(exchange.is_paused());
    host.tick();
    assert_eq!(exchange.status(), 503);
}

#[test]
fn an_exchange_that_is_let_go_of_stays_in_flight() {
    let host = witness();
    host.request();
    assert_eq!(host.worker(0).streams_in_flight(), 1);
    host.request().answered(200);
    assert_eq!(host.worker(0).streams_in_flight(), 1);
}
