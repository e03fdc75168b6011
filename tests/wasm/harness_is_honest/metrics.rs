//! Counters, gauges, and whose ids are whose.

use super::guests::{host, on_request, said};

/// Defines `name` of this kind; its id is left at address 16.
fn define(kind: u32) -> String {
    format!(
        "(call $say (call $define (i32.const {kind}) (i32.const 1024) (i32.const 4) (i32.const 16)))"
    )
}

fn increment(by: i64) -> String {
    format!("(call $say (call $increment (i32.load (i32.const 16)) (i64.const {by})))")
}

fn record(value: i64) -> String {
    format!("(call $say (call $record (i32.load (i32.const 16)) (i64.const {value})))")
}

#[test]
fn a_counter_refuses_what_is_not_positive() {
    let host = on_request("name", &(define(0) + &increment(3) + &increment(0) + &increment(-1)));
    host.request();
    assert_eq!(said(&host), ["0", "0", "2", "2"]);
    assert_eq!(host.counter("name"), 3);
}

#[test]
fn recording_on_a_counter_adds() {
    let host = on_request("name", &(define(0) + &record(3) + &record(4)));
    host.request();
    assert_eq!(host.counter("name"), 7);
}

#[test]
fn a_gauge_keeps_the_last_value_and_wraps_below_0() {
    let host = on_request("name", &(define(1) + &record(7) + &record(2) + &increment(-3)));
    host.request();
    assert_eq!(said(&host), ["0", "0", "0", "0"]);
    assert_eq!(host.gauge("name"), Some(u64::MAX));
}

#[test]
fn a_gauge_nobody_set_has_no_value() {
    let host = on_request("name", &define(1));
    host.request();
    assert_eq!(host.gauge("name"), None);
    assert_eq!(host.metric_names(), ["name"]);
}

#[test]
fn a_name_is_one_metric_in_all_workers() {
    let host = on_request("name", &(define(0) + &increment(1))).workers(2);
    host.request();
    host.worker(1).request();
    assert_eq!(host.counter("name"), 2);
}

#[test]
fn an_id_of_another_vm_means_nothing() {
    // The id is a guess, as if it had come through shared data: only the worker that had a tick defined it.
    let functions = format!(
        "(func (export \"proxy_on_tick\") (param i32) {})
         (func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32)
           (i32.store (i32.const 16) (i32.const 4)) {} (i32.const 0))",
        define(0),
        increment(1),
    );
    let host = host("name", &functions).workers(2);
    host.worker(0).tick();
    host.worker(0).request();
    host.worker(1).request();
    assert_eq!(said(&host), ["0", "0", "1"]);
}

#[test]
fn a_histogram_cannot_be_read() {
    let get = "(call $say (call $metric (i32.load (i32.const 16)) (i32.const 24)))";
    let host = on_request("name", &(define(2) + &record(5) + get));
    host.request();
    assert_eq!(said(&host), ["0", "0", "2"]);
}
