//! Compare and swap as it is, and what happens in the gap.

use super::guests::{on_request, said};

/// Sets `key` to `value` with this cas and says the status.
fn set(cas: &str) -> String {
    format!(
        "(call $say (call $set (i32.const 1024) (i32.const 3) (i32.const 1027) (i32.const 5) {cas}))"
    )
}

/// Gets `key` and says the status; the cas is left at address 16.
const GET: &str = "(call $say (call $get (i32.const 1024) (i32.const 3) (i32.const 8) (i32.const 12) (i32.const 16)))";
const READ_CAS: &str = "(i32.load (i32.const 16))";
const TEXTS: &str = "keyvalue";

#[test]
fn cas_0_overwrites_whatever_is_there() {
    let host = on_request(TEXTS, &set("(i32.const 0)"));
    host.put_shared("key", "precious");
    host.request();
    assert_eq!(said(&host), ["0"]);
    assert_eq!(host.shared("key").unwrap(), b"value");
}

#[test]
fn any_cas_creates_a_key_that_is_missing() {
    let host = on_request(TEXTS, &(GET.to_owned() + &set("(i32.const 12345)")));
    host.request();
    assert_eq!(said(&host), ["1", "0"]);
    assert_eq!(host.shared("key").unwrap(), b"value");
}

#[test]
fn a_wrong_cas_on_a_key_that_exists_is_refused() {
    let host = on_request(TEXTS, &set("(i32.const 12345)"));
    host.put_shared("key", "precious");
    host.request();
    assert_eq!(said(&host), ["8"]);
    assert_eq!(host.shared("key").unwrap(), b"precious");
}

#[test]
fn the_cas_that_was_read_wins_once() {
    let host = on_request(TEXTS, &(GET.to_owned() + &set(READ_CAS) + &set(READ_CAS)));
    host.put_shared("key", "precious");
    host.request();
    assert_eq!(said(&host), ["0", "0", "8"]);
}

#[test]
fn a_null_value_leaves_an_empty_one_with_a_live_cas() {
    let nothing = "(call $say (call $set (i32.const 1024) (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0)))";
    let host =
        on_request(TEXTS, &(nothing.to_owned() + GET + &set("(i32.const 999)") + &set(READ_CAS)));
    host.request();
    assert_eq!(
        said(&host),
        ["0", "0", "8", "0"],
        "set, get, a set with a wrong cas, a set with the right one"
    );
    assert_eq!(host.shared_keys(), ["key"]);
}

#[test]
fn cas_numbers_are_one_sequence_over_all_keys_and_skip_0() {
    let say_cas = format!("{GET} (call $say {READ_CAS})");
    let host = on_request(TEXTS, &say_cas);
    host.put_shared("another", "1");
    host.put_shared("key", "2");
    host.request();
    assert_eq!(said(&host), ["0", "2"]);
    host.set_last_cas(u32::MAX);
    host.put_shared("key", "3");
    host.request();
    assert_eq!(said(&host), ["0", "1"]);
}

#[test]
fn the_gap_is_between_a_get_and_the_next_set_of_the_same_key() {
    let host = on_request(TEXTS, &(GET.to_owned() + &set(READ_CAS)));
    host.put_shared("key", "old");
    let gap = host.in_the_gap("key", |host| host.put_shared("key", "foreign"));
    host.request();
    assert_eq!(said(&host), ["0", "8"], "somebody else was faster");
    assert_eq!(gap.count(), 1);
    host.request();
    assert_eq!(said(&host), ["0", "0"], "the hook was for one gap");
}

#[test]
fn a_set_without_a_get_has_no_gap() {
    let host = on_request(TEXTS, &set("(i32.const 0)"));
    let gap = host.in_the_gap("key", |_| {});
    host.request();
    assert_eq!(gap.count(), 0);
}

#[test]
fn another_worker_can_act_in_the_gap() {
    let host = on_request(TEXTS, &(GET.to_owned() + &set(READ_CAS))).workers(2);
    host.put_shared("key", "old");
    let gap = host.in_the_gap("key", |host| {
        host.worker(1).request();
    });
    host.request();
    assert_eq!(
        said(&host),
        ["0", "0", "0", "8"],
        "the first one gets, the second gets and sets, the first one loses"
    );
    assert_eq!(gap.count(), 1);
}

#[test]
#[should_panic(expected = "in a gap, act on another worker")]
fn the_worker_in_the_gap_cannot_act_itself() {
    let host = on_request(TEXTS, &(GET.to_owned() + &set(READ_CAS)));
    let _gap = host.in_the_gap("key", |host| {
        host.request();
    });
    host.request();
}
