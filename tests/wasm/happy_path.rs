//! What a request costs while all is well.

use crate::harness::prelude::*;

#[test]
fn a_closed_circuit_costs_two_hostcalls_after_its_first_request() {
    let host = Host::with(config());
    host.traffic(1, 200);
    for request in [get("/"), post("/", "body"), put("/")] {
        let calls = host.hostcalls_during(|host| {
            host.send(request.clone()).answered(200);
        });
        assert_eq!(calls.list(), [("proxy_get_header_map_value", 1), ("proxy_get_property", 1)]);
    }
}

#[test]
fn a_closed_circuit_still_costs_two_after_a_sync_and_a_failure_that_is_over() {
    let host = Host::with(config());
    host.traffic(3, 503);
    host.traffic(1, 200);
    host.advance(secs(1));
    let calls = host.hostcalls_during(|host| host.traffic(10, 200));
    assert_eq!(calls.list(), [("proxy_get_header_map_value", 10), ("proxy_get_property", 10)]);
}

#[test]
fn a_grpc_call_costs_one_more_for_its_status_and_one_for_its_kind() {
    let host = Host::with(config());
    host.send(grpc("/a/B")).ends_as(endings::grpc_ok());
    let calls = host.hostcalls_during(|host| {
        host.send(grpc("/a/B")).ends_as(endings::grpc_ok());
    });
    assert_eq!(calls.list(), [("proxy_get_header_map_value", 3), ("proxy_get_property", 1)]);
}

#[test]
fn an_idle_sync_reads_and_writes_nothing_but_the_pulse_and_one_record() {
    let host = Host::with(config());
    host.traffic(1, 200);
    host.advance(millis(50));
    let calls = host.hostcalls_during(Host::tick);
    assert_eq!(calls.of("proxy_set_shared_data"), 0);
    assert!(calls.total() <= 3, "{calls:?}");
}
