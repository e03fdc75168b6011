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

/// A guest that reads the monotonic clock and both wall clocks, one after another, into shared data.
fn reading() -> Host {
    let functions = r#"
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 512)))
        (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 520)))
        (drop (call $wall (i32.const 528)))
        (call $set (i32.const 1024) (i32.const 4) (i32.const 512) (i32.const 24) (i32.const 0)))"#;
    host("read", functions)
}

/// In nanoseconds: monotonic, wall, wall.
fn read(host: &Host) -> [u64; 3] {
    host.request();
    let bytes = host.shared("read").unwrap();
    [0, 8, 16].map(|at| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()))
}

#[test]
fn a_step_of_the_wall_clock_does_not_move_the_monotonic_one() {
    const HOUR: u64 = 3600 * 1_000_000_000;
    let host = reading();
    let [monotonic, wall, _] = read(&host);
    host.wall_clock_jumps_ahead(hours(1));
    assert_eq!(read(&host), [monotonic + 3, wall + 3 + HOUR, wall + 4 + HOUR]);
    host.wall_clock_jumps_back(hours(2));
    assert_eq!(read(&host), [monotonic + 6, wall + 6 - HOUR, wall + 7 - HOUR]);
    host.advance(secs(1));
    let second = 1_000_000_000;
    assert_eq!(read(&host)[0], monotonic + 9 + second);
}

#[test]
fn the_monotonic_clock_never_reads_the_same_twice() {
    let host = reading();
    assert!(read(&host)[0] < read(&host)[0]);
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

/// What a guest does in a tick takes time, and does not put the next one off.
#[test]
fn ticks_do_not_drift() {
    let functions = r#"
      (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $period (i32.const 10))) (i32.const 1))
      (func (export "proxy_on_tick") (param i32)
        (drop (call $wall (i32.const 512))) (call $say (i32.const 1)))"#;
    let host = host("", functions);
    host.advance(secs(1));
    assert_eq!(said(&host).len(), 100);
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
fn a_stream_asks_for_ticks_of_its_root() {
    let functions = r#"
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $period (i32.const 10)))
      (func (export "proxy_on_tick") (param i32) (call $say (local.get 0)))"#;
    let host = host("", functions);
    host.advance(millis(10));
    assert_eq!(said(&host).len(), 0);
    host.request();
    host.advance(millis(10));
    assert_eq!(said(&host), ["1"]);
}

#[test]
fn one_worker_can_tick_alone() {
    let host = ticking(20).workers(2);
    host.worker(1).tick();
    assert_eq!(
        host.logs().iter().map(|line| format!("{:?}", line.vm)).collect::<Vec<_>>(),
        ["worker 1"]
    );
}
