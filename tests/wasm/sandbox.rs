//! What the module asks of its host, and what it offers: these and nothing else.
//!
//! `envoy/restricted.yaml` has Envoy allow what is used of it. The rest the SDK declares, and never calls for us.

use std::collections::BTreeSet;

use crate::harness::module::fusebox;
use crate::harness::prelude::*;

const RESTRICTED: &str = include_str!("../../envoy/restricted.yaml");

/// Each from the module `env`, but the clock.
const USED: [&str; 24] = [
    "clock_time_get",
    "proxy_add_header_map_value",
    "proxy_call_foreign_function",
    "proxy_continue_stream",
    "proxy_define_metric",
    "proxy_get_buffer_bytes",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_get_log_level",
    "proxy_get_metric",
    "proxy_get_property",
    "proxy_get_shared_data",
    "proxy_http_call",
    "proxy_increment_metric",
    "proxy_log",
    "proxy_record_metric",
    "proxy_remove_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_send_local_response",
    "proxy_set_effective_context",
    "proxy_set_property",
    "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
];

/// Declared by the SDK.
const UNUSED: [&str; 14] = [
    "proxy_close_stream",
    "proxy_dequeue_shared_queue",
    "proxy_done",
    "proxy_enqueue_shared_queue",
    "proxy_get_status",
    "proxy_grpc_call",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_grpc_send",
    "proxy_grpc_stream",
    "proxy_register_shared_queue",
    "proxy_resolve_shared_queue",
    "proxy_set_buffer_bytes",
    "proxy_set_header_map_pairs",
];

const CALLED: [&str; 13] = [
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_done",
    "proxy_on_http_call_response",
    "proxy_on_log",
    "proxy_on_request_body",
    "proxy_on_request_headers",
    "proxy_on_request_trailers",
    "proxy_on_response_body",
    "proxy_on_response_headers",
    "proxy_on_response_trailers",
    "proxy_on_tick",
];

/// Callbacks of the SDK that do nothing here.
const IDLE: [&str; 12] = [
    "proxy_on_downstream_connection_close",
    "proxy_on_downstream_data",
    "proxy_on_foreign_function",
    "proxy_on_grpc_close",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_new_connection",
    "proxy_on_queue_ready",
    "proxy_on_upstream_connection_close",
    "proxy_on_upstream_data",
    "proxy_on_vm_start",
];

/// What a host needs of any module, whatever it is allowed.
const ALWAYS: [&str; 6] =
    ["__data_end", "__heap_base", "_initialize", "malloc", "memory", "proxy_abi_version_0_2_1"];

fn sorted<'a>(lists: &[&[&'a str]]) -> BTreeSet<&'a str> {
    lists.iter().copied().flatten().copied().collect()
}

#[test]
fn the_module_asks_for_nothing_else() {
    let module = fusebox();
    let asked: BTreeSet<_> = module
        .imports()
        .map(|import| {
            let from =
                if import.name() == "clock_time_get" { "wasi_snapshot_preview1" } else { "env" };
            assert_eq!(import.module(), from, "{}", import.name());
            assert!(import.ty().func().is_some(), "{}", import.name());
            import.name()
        })
        .collect();
    assert_eq!(asked, sorted(&[&USED, &UNUSED]));
}

#[test]
fn the_module_offers_nothing_else() {
    let module = fusebox();
    let offered: BTreeSet<_> = module.exports().map(|export| export.name()).collect();
    assert_eq!(offered, sorted(&[&CALLED, &IDLE, &ALWAYS]));
}

#[test]
fn the_example_allows_what_is_used() {
    let allowed: BTreeSet<_> =
        RESTRICTED.lines().filter_map(|line| line.trim().strip_suffix(": {}")).collect();
    assert_eq!(allowed, sorted(&[&USED, &CALLED]));
}

/// A capability list may leave them out: Envoy answers such a call with `InternalFailure` and goes on.
#[test]
fn a_host_without_clock_or_ticks_is_told_so_and_the_running_configuration_serves_on() {
    for (left_out, line) in [
        ("clock_time_get", "the host refuses clock_time_get, expected it among the allowed"),
        (
            "proxy_set_tick_period_milliseconds",
            "the host refuses proxy_set_tick_period_milliseconds, expected it among the allowed",
        ),
    ] {
        let host = Host::with(config().trips_after(1));
        host.misbehaves(move |import| (import == left_out).then_some(Mishap::Refused(10)));
        let refused = host.reconfigure(config().trips_after(2)).unwrap_err();
        assert!(refused.error().contains(line), "{}", refused.error());
        assert_eq!(refused.errors().len(), 1);
        host.behaves();
        host.traffic(1, 503);
        assert_rejected!(host.request());
    }
}
