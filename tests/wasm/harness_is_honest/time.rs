//! Two clocks and the ticks.

use super::guests::{host, said};
use crate::harness::prelude::*;

/// A guest whose root ticks each so many milliseconds and says "t".
fn ticking(period: u32) -> Host {
    host(
        "t",
        &format!(
            r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
                 (drop (call $period (i32.const {period}))) (i32.const 1))
               (func (export "proxy_on_tick") (param i32) (call $tell (i32.const 1024) (i32.const 1)))"#
        ),
    )
}

#[test]
fn a_step_of_the_wall_clock_does_not_move_the_monotonic_one() {
    let read_both = r#"
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 512)))
        (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 520)))
        (drop (call $wall (i32.const 528)))
        (call $tell (i32.const 512) (i32.const 24))
        (i32.const 0))"#;
    let host = host("", read_both);
    let read = || {
        let read = host.hostcalls_during(|host| {
            host.request();
        });
        assert_eq!(read.of("clock_time_get"), 2);
        (host.monotonic(), host.wall_clock())
    };
    let (monotonic, wall) = read();
    host.wall_clock_jumps_ahead(hours(1));
    assert_eq!(read(), (monotonic, wall + hours(1)));
    host.wall_clock_jumps_back(hours(2));
    assert_eq!(read(), (monotonic, wall - hours(1)));
    host.advance(secs(1));
    assert_eq!(read(), (monotonic + secs(1), wall - hours(1) + secs(1)));
}

#[test]
fn a_tick_comes_once_per_period() {
    let host = ticking(20);
    host.advance(millis(19));
    assert_eq!(said(&host).len(), 0);
    host.advance(millis(1));
    assert_eq!(said(&host).len(), 1);
    host.advance(millis(100));
    assert_eq!(said(&host).len(), 5);
}

#[test]
fn workers_tick_in_turn_each_at_its_own_instant() {
    let host = ticking(20);
    host.advance(millis(10));
    let host = host.workers(2); // the second one starts half a period later
    host.advance(millis(40));
    let order: Vec<String> = host.logs().iter().map(|line| format!("{:?}", line.vm)).collect();
    assert_eq!(order, ["worker 0", "worker 1", "worker 0", "worker 1"]);
}

#[test]
fn an_overdue_tick_comes_once() {
    let host = ticking(20);
    host.advance_without_ticks(secs(10));
    assert_eq!(said(&host).len(), 0);
    host.advance(millis(1));
    assert_eq!(said(&host).len(), 1, "late, and not 500 times");
    host.advance(millis(20));
    assert_eq!(said(&host).len(), 1);
}

#[test]
fn a_period_of_0_is_off() {
    let host = ticking(0);
    host.advance(secs(10));
    assert_eq!(said(&host).len(), 0);
}

#[test]
fn a_stream_context_cannot_ask_for_ticks() {
    let host = super::guests::on_request("", "(call $say (call $period (i32.const 10)))");
    host.request();
    assert_eq!(said(&host), ["2"]);
}

#[test]
fn one_worker_can_tick_alone() {
    let host = ticking(20).workers(2);
    host.worker(1).tick();
    assert_eq!(host.logs().iter().map(|line| format!("{:?}", line.vm)).collect::<Vec<_>>(), ["worker 1"]);
}
