//! How a configuration gets into VMs, and out of them.

use super::guests::{module, said};
use crate::harness::prelude::*;

/// Refuses a configuration of more than one byte, and ticks each second with the id of its context.
fn host() -> Host {
    let functions = r#"
      (func (export "proxy_on_configure") (param $id i32) (param $size i32) (result i32)
        (drop (call $period (i32.const 1000)))
        (drop (call $set (i32.const 1024) (i32.const 5) (i32.const 1024) (local.get $size) (i32.const 0)))
        (if (i32.gt_u (local.get $size) (i32.const 1))
          (then (drop (call $log (i32.const 4) (i32.const 1029) (i32.const 7)))))
        (i32.le_u (local.get $size) (i32.const 1)))
      (func (export "proxy_on_tick") (param $id i32) (call $say (local.get $id)))"#;
    Host::setup().guest(module("triedrefused", functions)).boot(config().raw("1")).unwrap()
}

#[test]
fn a_configuration_is_tried_in_a_vm_of_its_own_and_leaves_its_traces() {
    let host = host();
    assert!(host.reconfigure(config().raw("22")).is_err());
    assert_eq!(host.shared("tried").unwrap(), b"tr", "the trial wrote to the shared data of all");
    host.advance(secs(1));
    assert_eq!(said(&host), ["1"], "but no VM that serves has heard of it");
}

#[test]
fn a_refusal_says_what_was_logged() {
    let refused = host().reconfigure(config().raw("22")).unwrap_err();
    assert_eq!(refused.error(), "refused");
    assert_eq!(refused.why, "on_configure returned false");
}

#[test]
fn a_new_configuration_is_a_second_root_context_in_the_same_vm() {
    let host = host();
    host.reconfigure(no_config()).unwrap();
    host.advance(secs(1));
    assert_eq!(said(&host), ["1", "2"], "the old one ticks until it has drained");
    host.drop_old();
    host.advance(secs(1));
    assert_eq!(said(&host), ["2"]);
}

#[test]
fn the_same_configuration_again_is_the_same_root_context() {
    let host = host();
    host.reconfigure(config().raw("1")).unwrap();
    host.advance(secs(1));
    assert_eq!(said(&host), ["1"]);
}

#[test]
fn shared_data_outlives_a_reload() {
    let host = host();
    host.put_shared("kept", "1");
    host.worker(0).reload();
    assert_eq!(host.shared("kept").unwrap(), b"1");
}

#[test]
fn another_build_shares_data_and_time_but_no_vm() {
    let host = host();
    let other = Host::setup().guest(module("", "")).beside(&host).boot(no_config()).unwrap();
    host.put_shared("key", "1");
    assert_eq!(other.shared("key").unwrap(), b"1");
    other.advance(secs(1));
    assert_eq!(said(&host), ["1"], "time is the same for all");
    host.worker(0).kill();
    assert!(!other.worker(0).is_dead());
}

#[test]
fn the_main_thread_ticks_and_serves_nobody() {
    let functions = r#"
      (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $period (i32.const 1000))) (i32.const 1))
      (func (export "proxy_on_tick") (param i32) (call $say (i32.const 7)))"#;
    let setup = Host::setup().guest(module("", functions)).with_main_thread();
    let host = setup.boot(no_config()).unwrap();
    host.advance(secs(1));
    let vms: Vec<String> = host.logs().iter().map(|line| format!("{:?}", line.vm)).collect();
    assert_eq!(vms, ["main", "worker 0"]);
}

#[test]
fn a_trap_while_configuring_is_a_refusal() {
    let functions =
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (unreachable))"#;
    let refused =
        Host::setup().guest(module("", functions)).boot(no_config()).map(|_| ()).unwrap_err();
    assert!(refused.why.contains("unreachable"), "{refused:?}");
}
