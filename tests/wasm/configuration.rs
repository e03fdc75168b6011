//! Configurations as the host delivers them.

use crate::harness::prelude::*;

#[test]
fn no_configuration_at_all_is_the_defaults() {
    let host = Host::with(no_config());
    host.traffic(4, 503);
    assert_admitted!(host.request());
    host.traffic(1, 503);
    assert_rejected!(host.request());
}

#[test]
fn a_struct_says_the_same_as_json() {
    let host =
        Host::with(config().trips_at_ratio(0.25, 4, secs(10)).opens_for(secs(7)).as_struct());
    host.traffic(3, 200);
    host.traffic(1, 503);
    assert_rejected!(host.request(), retry_after = 7);
}

#[test]
fn a_wrong_configuration_is_refused_with_one_line_that_says_where() {
    for (path, value, line) in [
        (
            "circuits.hf_api.trip.failure_ratio.ratio",
            json!(1.5),
            "circuits.hf_api.trip.failure_ratio.ratio: 1.5 is out of range, expected more than 0 and at most 1",
        ),
        ("defaults.cache", json!({}), "defaults.cache: unknown field"),
        ("defaults.open.duration", json!(30), "defaults.open.duration: 30 is not a duration"),
    ] {
        let refused = Host::try_with(config().set(path, value)).unwrap_err();
        assert!(refused.error().contains(line), "{}", refused.error());
        assert_eq!(refused.errors().len(), 1);
    }
    let refused = Host::try_with(config().raw("not json")).unwrap_err();
    assert!(refused.error().contains("configuration: not valid JSON"), "{}", refused.error());
}

#[test]
fn a_refused_configuration_leaves_the_running_one_alone() {
    let host = Host::with(config().trips_after(1));
    host.traffic(1, 503);
    host.reconfigure(config().trips_after(0)).unwrap_err();
    assert_rejected!(host.request());
    host.advance(secs(30));
    assert_admitted!(host.request()).answered(200);
    assert_state(&host, "up", "closed");
}

#[test]
fn an_open_circuit_survives_a_new_configuration() {
    let host = Host::with(config().trips_after(1).opens_for(secs(30)));
    host.traffic(1, 503);
    host.reconfigure(config().trips_after(3).opens_for(secs(5))).unwrap();
    assert_rejected!(host.request(), retry_after = 30);
    host.drop_old();
    host.advance(secs(30));
    assert_admitted!(host.request()).answered(200);
    host.traffic(2, 503);
    assert_state(&host, "up", "closed");
    host.traffic(1, 503);
    assert_rejected!(host.request(), retry_after = 10);
}

#[test]
fn a_configuration_that_drains_does_not_reshape_what_the_new_one_counts() {
    let host = Host::with(config().trips_at_failures(2, secs(10)));
    let draining = host.request();
    host.reconfigure(config().trips_at_failures(3, secs(60))).unwrap();
    host.traffic(1, 503);
    draining.answered(503);
    assert_state(&host, "up", "closed");
    host.advance(secs(30));
    host.traffic(1, 503);
    assert_state(&host, "up", "open");
}

#[test]
fn the_most_literal_pattern_applies_and_only_one_entry_does() {
    let host = Host::with(
        config()
            .trips_after(3)
            .circuit("outbound|80||*", json!({"trip": {"consecutive_failures": 2}}))
            .circuit("outbound|80||a.*", json!({"open": {"duration": "7s"}})),
    );
    let fail = |cluster: &str, times: usize| {
        for _ in 0..times {
            host.send(get("/").to(cluster)).answered(503);
        }
    };
    fail("outbound|80||b", 2);
    assert_rejected!(host.send(get("/").to("outbound|80||b")), retry_after = 30);
    fail("outbound|80||a.b", 2);
    assert_admitted!(host.send(get("/").to("outbound|80||a.b")));
    fail("outbound|80||a.b", 1);
    assert_rejected!(host.send(get("/").to("outbound|80||a.b")), retry_after = 7);
}

#[test]
fn a_circuit_that_a_draining_configuration_closes_is_the_new_ones_to_judge() {
    let rules =
        |count, window| config().trips_at_failures(count, window).opens_for(secs(1)).probes(2);
    let host = Host::with(rules(1, secs(10)));
    host.traffic(1, 503);
    host.advance(secs(1));
    let draining = assert_admitted!(host.request());
    host.reconfigure(rules(2, secs(60))).unwrap();
    // The new configuration has written to the record before the old one closes it.
    let _new = assert_admitted!(host.request());
    draining.answered(200);
    host.advance(millis(20));
    assert_state(&host, "up", "closed");
    host.traffic(1, 503);
    assert_state(&host, "up", "closed");
    host.traffic(1, 503);
    assert_state(&host, "up", "open");
}

#[test]
fn an_open_circuit_survives_rules_and_windows_that_are_others() {
    let host = Host::with(config().trips_at_failures(1, secs(10)).opens_for(secs(30)));
    host.traffic(1, 503);
    for rules in [
        config().trips_at_ratio(0.5, 20, secs(60)),
        config().trips_when_slow(0.5, 20, secs(120)).slow_after(secs(1)),
        config().trips_after(7).probes(3).successes(2),
    ] {
        host.reconfigure(rules).unwrap();
        assert_rejected!(host.request());
        host.drop_old();
        assert_rejected!(host.request(), retry_after = 30);
    }
    assert_eq!(host.counter("circuit_breaker.bad_records"), 0);
    host.advance(secs(30));
    for _ in 0..2 {
        assert_admitted!(host.request()).answered(200);
    }
    assert_state(&host, "up", "closed");
    host.traffic(6, 503);
    assert_state(&host, "up", "closed");
    host.traffic(1, 503);
    assert_state(&host, "up", "open");
}

#[test]
fn a_wait_of_nothing_is_refused_and_the_shortest_there_is_goes_round_for_ever() {
    Host::try_with(config().opens_for(secs(0))).unwrap_err();
    let host = Host::with(config().trips_after(1).opens_for(millis(1)).multiplier(1.0));
    for _ in 0..200 {
        assert_admitted!(host.request()).answered(503);
        assert_rejected!(host.request(), retry_after = 1);
        host.advance(millis(1));
    }
    assert_admitted!(host.request()).answered(200);
    assert_state(&host, "up", "closed");
}

#[test]
fn what_was_counted_last_is_told_when_a_configuration_ends() {
    let host = Host::with(config().trips_after(5));
    let last = host.request();
    host.reconfigure(config().trips_after(6)).unwrap();
    last.answered(200);
    host.drop_old();
    assert_eq!(host.counter("circuit_breaker.up.successes"), 1);
}

#[test]
fn what_was_rejected_last_is_told_when_a_configuration_ends() {
    let host = Host::with(config().trips_after(1));
    host.traffic(1, 503);
    assert_rejected!(host.request());
    host.reconfigure(config().trips_after(6)).unwrap();
    host.drop_old();
    assert_eq!(host.counter("circuit_breaker.up.rejected"), 1);
}
