//! Clocks: only the monotonic one decides.

use std::collections::BTreeSet;

use crate::harness::prelude::*;

#[test]
fn a_wall_clock_that_steps_an_hour_changes_nothing() {
    let steps: [fn(&Host); 2] =
        [|host| host.wall_clock_jumps_ahead(hours(1)), |host| host.wall_clock_jumps_back(hours(1))];
    for step in steps {
        let host = Host::with(config().trips_after(2).opens_for(secs(30)));
        host.traffic(1, 503);
        step(&host);
        host.traffic(1, 503);
        assert_rejected!(host.request(), retry_after = 30);
        host.advance(secs(10));
        step(&host);
        host.tick();
        assert_rejected!(host.request(), retry_after = 20);
        host.advance(secs(20));
        step(&host);
        assert_admitted!(host.request()).answered(200);
        assert_state(&host, "up", "closed");
    }
}

#[test]
fn jitter_shortens_the_wait_by_its_share_at_most_and_the_promise_holds() {
    let host = Host::with(config().trips_after(1).opens_for(secs(100)).jitter(0.5));
    host.traffic(1, 503);
    let promised: u64 = host.request().header("retry-after").unwrap().parse().unwrap();
    assert!((50..=100).contains(&promised), "{promised}");
    host.advance(secs(promised - 1));
    assert_rejected!(host.request());
    host.advance(secs(1));
    assert_admitted!(host.request());
}

/// The jitter was once the same wherever a circuit of that name opened for the first time.
#[test]
fn proxies_that_one_outage_opens_do_not_probe_together() {
    let waits: BTreeSet<_> = (0..8)
        .map(|proxy| {
            let policy = config().trips_after(1).opens_for(mins(5)).jitter(0.5);
            let host = Host::setup().monotonic(proxy * 1_000_000_007).boot(policy).unwrap();
            host.traffic(1, 503);
            host.request().header("retry-after")
        })
        .collect();
    assert!(waits.len() >= 7, "{waits:?}");
}
