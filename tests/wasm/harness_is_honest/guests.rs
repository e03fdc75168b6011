//! Guests are put together from one frame and a few lines of their own. They speak in log lines.

use crate::harness::prelude::*;

/// Imports, memory, and words to speak with: `$say` logs a number, `$tell` a piece of memory, `$told` what a hostcall
/// left at the addresses 8 (pointer) and 12 (size). The texts a test needs start at address 1024.
const FRAME: &str = r#"
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (import "env" "proxy_record_metric" (func $record (param i32 i64) (result i32)))
  (import "env" "proxy_get_metric" (func $metric (param i32 i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))
  (import "env" "proxy_get_current_time_nanoseconds" (func $wall (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_property" (func $store (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $as (param i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 8192))
  (func (export "malloc") (param $size i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))
  (func $tell (param $at i32) (param $size i32)
    (drop (call $log (i32.const 2) (local.get $at) (local.get $size))))
  (func $told (call $tell (i32.load (i32.const 8)) (i32.load (i32.const 12))))
  (func $say (param $number i32)
    (i32.store8 (i32.const 0) (i32.add (i32.const 48) (local.get $number)))
    (call $tell (i32.const 0) (i32.const 1)))
"#;

/// A module of the frame, texts at address 1024, and functions.
pub fn module(texts: &str, functions: &str) -> wasmtime::Module {
    guest(&format!("(module {FRAME} (data (i32.const 1024) \"{texts}\") {functions})"))
}

/// A host of one worker that runs such a module.
pub fn host(texts: &str, functions: &str) -> Host {
    Host::setup()
        .guest(module(texts, functions))
        .boot(no_config())
        .expect("the guest takes any configuration")
}

/// One whose request headers callback is these instructions; it lets the request pass.
pub fn on_request(texts: &str, instructions: &str) -> Host {
    let function = format!(
        "(func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32) {instructions} (i32.const 0))"
    );
    host(texts, &function)
}

/// What the guests said since they were last asked.
pub fn said(host: &Host) -> Vec<String> {
    let lines = host.logs().into_iter().map(|line| line.text).collect();
    host.forget_logs();
    lines
}

/// A guest that names every callback of a stream, with its end of stream flag, and in the log callback says what is known
/// of the response by then.
pub fn witness() -> Host {
    let texts = "request_headers 0response_headers 0response_body 0response_trailerslogdonedelete\
                 request_body 0:statusresponse\\00code_details";
    // (address, size) of each text
    let (request, headers, body) = ((1024, 17), (1041, 18), (1059, 15));
    let (trailers, log, done, delete) = ((1074, 17), (1091, 3), (1094, 4), (1098, 6));
    let (request_body, status, details) = ((1104, 14), (1118, 7), (1125, 21));
    let tell = |(at, size): (u32, u32)| format!("(call $tell (i32.const {at}) (i32.const {size}))");
    let with_flag = |(at, size): (u32, u32)| {
        let last = at + size - 1;
        format!(
            "(i32.store8 (i32.const {last}) (i32.add (i32.const 48) (local.get 2))) {}",
            tell((at, size))
        )
    };
    let map = |map: u32, (at, size): (u32, u32)| {
        format!(
            "(if (i32.eqz (call $header (i32.const {map}) (i32.const {at}) (i32.const {size}) (i32.const 8) (i32.const 12)))
               (then (call $told)))"
        )
    };
    let property = |(at, size): (u32, u32)| {
        format!(
            "(if (i32.eqz (call $property (i32.const {at}) (i32.const {size}) (i32.const 8) (i32.const 12)))
               (then (call $told)))"
        )
    };
    let (status, details) = (map(2, status), property(details));
    host(
        texts,
        &format!(
            r#"
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {} (i32.const 0))
      (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) {} (i32.const 0))
      (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) {} {status} {details} (i32.const 0))
      (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) {} (i32.const 0))
      (func (export "proxy_on_response_trailers") (param i32 i32) (result i32) {} (i32.const 0))
      (func (export "proxy_on_log") (param i32) {} {status} {details})
      (func (export "proxy_on_done") (param i32) (result i32) {} (i32.const 1))
      (func (export "proxy_on_delete") (param i32) {})"#,
            with_flag(request),
            with_flag(request_body),
            with_flag(headers),
            with_flag(body),
            tell(trailers),
            tell(log),
            tell(done),
            tell(delete),
        ),
    )
}
