//! Imports, traps, and what a dead VM is.

use super::guests::{host, on_request, said, witness};
use crate::harness::imports;
use crate::harness::prelude::*;

#[test]
fn an_import_no_host_has_is_refused_by_name() {
    let module =
        guest(r#"(module (import "env" "proxy_make_coffee" (func (param i32) (result i32))))"#);
    let error = imports::link(&module).err().expect("no host makes coffee");
    assert!(error.contains("proxy_make_coffee"), "{error}");
}

#[test]
#[should_panic(expected = "no host can load this module")]
fn a_module_that_cannot_be_linked_does_not_start() {
    let module = guest(
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32) (result i32))))"#,
    );
    let _ = Host::setup().guest(module).boot(no_config());
}

#[test]
fn what_is_not_emulated_fails_when_it_is_called() {
    let text = r#"(module
      (import "env" "proxy_grpc_cancel" (func $cancel (param i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $cancel (i32.const 1))))"#;
    let host = Host::setup().guest(guest(text)).boot(no_config()).unwrap();
    let exchange = host.request();
    assert!(exchange.trap().unwrap().contains("proxy_grpc_cancel is not emulated"));
}

#[test]
fn a_trap_is_a_value_and_kills_its_worker_only() {
    let host = on_request("", "(unreachable)").workers(2);
    let exchange = host.request();
    assert!(exchange.is_lost());
    assert!(exchange.trap().unwrap().contains("unreachable"));
    assert!(host.worker(0).is_dead());
    assert!(!host.worker(1).is_dead());
}

#[test]
fn nothing_reaches_a_dead_vm() {
    let host = witness();
    let pending = host.request().headers(200);
    said(&host);
    host.worker(0).kill();
    pending.ends();
    assert!(pending.is_lost());
    assert!(host.request().is_lost(), "a request that comes later neither");
    assert_eq!(said(&host).len(), 0);
}

#[test]
fn a_stream_of_an_earlier_life_is_gone_after_a_reload() {
    let host = witness();
    let pending = host.request();
    host.worker(0).reload();
    said(&host);
    pending.answered(200);
    assert_eq!(said(&host).len(), 0);
    assert!(host.request().is_admitted());
}

#[test]
#[should_panic(expected = "the test did not ask about it")]
fn a_trap_nobody_asks_about_fails_the_test() {
    let host = on_request("", "(unreachable)");
    host.request();
}

#[test]
fn an_endless_loop_is_a_trap() {
    let host = on_request("", "(loop $forever (br $forever))");
    assert!(host.request().trap().unwrap().contains("fuel"));
}

#[test]
fn a_pointer_out_of_memory_is_a_status() {
    let host = on_request(
        "",
        "(call $say (call $get (i32.const -1) (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0)))",
    );
    host.request();
    assert_eq!(said(&host), ["6"]);
}

#[test]
fn lines_below_the_level_of_the_host_are_gone() {
    let host = on_request("x", "(drop (call $log (i32.const 1) (i32.const 1024) (i32.const 1)))");
    host.request();
    assert_eq!(said(&host).len(), 0);
    host.set_log_level(Level::Debug);
    host.request();
    assert_eq!(said(&host), ["x"]);
}

#[test]
fn hostcalls_are_counted_by_import_and_worker() {
    let host = on_request("", "(call $say (i32.const 1)) (call $say (call $wall (i32.const 16)))")
        .workers(2);
    let calls = host.hostcalls_during(|host| {
        host.request();
        host.worker(1).request();
        host.worker(1).request();
    });
    assert_eq!(calls.list(), [("proxy_get_current_time_nanoseconds", 3), ("proxy_log", 6)]);
    assert_eq!(calls.of_worker(1).total(), 6);
}

/// The only call that may be made from nowhere in particular, and the answer that may never come.
#[test]
fn a_call_is_recorded_and_answered_when_the_test_says_so() {
    let calls = r#"
      (func (export "proxy_on_tick") (param i32)
        (call $say (call $call (i32.const 1024) (i32.const 6) (i32.const 1030) (i32.const 67) (i32.const 0) (i32.const 0)
                               (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 16))))
      (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
        (call $say (local.get 1)) (call $say (local.get 2)))"#;
    let pairs =
        Headers::new([(":method", "POST"), (":path", "/hook"), (":authority", "alerts.local")])
            .encode();
    let escaped: String = pairs.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let host = host(&format!("alerts{escaped}"), &calls.replace("67", &pairs.len().to_string()));
    host.tick();
    let call = host.waiting_calls().pop().unwrap();
    assert_eq!(
        (call.cluster.as_str(), call.header(":path").unwrap().as_str()),
        ("alerts", "/hook")
    );
    host.answer_call(&call, 204);
    assert_eq!(said(&host), ["0", "1", "1"], "sent; then token 1 is answered with one header");

    host.cluster_has_no_hosts("alerts");
    host.tick();
    host.cluster_is_unknown("alerts");
    host.tick();
    assert_eq!(said(&host), [":", "2"], "InternalFailure, which is 10, and BadArgument");
    assert_eq!(host.waiting_calls().len(), 0);
}

#[test]
fn what_is_copied_is_counted_with_pointers_and_lengths() {
    let host = on_request(
        ":path",
        "(drop (call $header (i32.const 0) (i32.const 1024) (i32.const 5) (i32.const 8) (i32.const 12))) (call $told)",
    );
    let before = host.copied();
    host.send(get("/seven!"));
    let copied = host.copied().since(before);
    assert_eq!(said(&host), ["/seven!"]);
    // The value and where it is; the name, and the line.
    assert_eq!((copied.into_guests, copied.out_of_guests), (7 + 8, 5 + 7));
}
