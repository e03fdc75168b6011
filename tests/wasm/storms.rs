//! Any order of callbacks, any answers of the host, any bytes in shared data: nothing traps, nobody gets a reply that is
//! not theirs, memory stays bounded, and once the storm is over the circuit does its work.
//!
//! `make test` weathers some dozens of storms, always the same. `make fuzz` others, for as long as it says.

mod courses;
mod sky;

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

use self::sky::{CLUSTERS, Damage, Ending, Gust, HEADERS, METHODS, ORDERS, PATHS, Sky, Traffic};
use crate::harness::prelude::*;

/// How many probes each has out at most.
pub const PROBES: [usize; CONFIGS] = [1, 3, 1];

/// The circuits that let everybody pass.
pub fn is_lenient(number: usize, cluster: &str) -> bool {
    number % CONFIGS == 2 && ["b", "c"].contains(&cluster)
}

/// What the storms blow on: each with other parts of the filter in play.
pub const CONFIGS: usize = 3;

pub fn configuration(number: usize) -> Config {
    const TOKEN_SHA256: &str = "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb";
    let base = config()
        .opens_for(secs(1))
        .opens_at_most(secs(20))
        .max_circuits(3)
        .status_at("/s")
        .control_token(TOKEN_SHA256)
        .webhook("alerts")
        .set("cache.max_bytes", json!("1MiB"));
    let sorry =
        json!({ "respond": { "status": 200, "body": "sorry" }, "on": ["rejected", "failed"] });
    match number % CONFIGS {
        0 => base.trips_after(2).fallback(json!([{ "cache": { "refresh_after": "1ms" } }])),
        1 => base
            .trips_after(3)
            .trips_at_ratio(0.5, 4, secs(10))
            .slow_after(millis(50))
            .trips_when_slow(0.8, 4, secs(10))
            .probes(3)
            .successes(2)
            .probe_timeout(secs(2))
            .fallback(json!([
                { "cache": {
                    "methods": ["GET", "HEAD", "POST"], "request_body": true, "body_wait": "100ms",
                    "per_authorization": true, "refresh_after": "1ms", "max_body_bytes": "1KiB",
                } },
                { "reroute": { "circuit": "b" } },
                sorry,
            ]))
            .as_struct(),
        _ => base
            .trips_at_failures(2, secs(60))
            .jitter(0.5)
            .circuit("b", json!({ "mode": "shadow" }))
            .circuit("c", json!({ "mode": "off" }))
            .fallback(json!([sorry])),
    }
}

/// Mostly the same question, so that there is something to be wrong about.
fn traffic() -> impl Strategy<Value = Traffic> {
    let often = |most: usize| prop_oneof![4 => Just(0), 1 => 0..most];
    let parts = (0_usize..2, often(CLUSTERS.len()), often(PATHS.len()), often(METHODS));
    let more = (prop::option::weighted(0.1, 0_usize..2), prop::option::weighted(0.1, 0..HEADERS));
    (parts, more).prop_map(|((worker, cluster, path, method), (user, header))| Traffic {
        worker,
        cluster,
        path,
        method,
        user,
        header,
    })
}

fn status() -> impl Strategy<Value = u16> {
    prop::sample::select(vec![200, 200, 200, 200, 404, 429, 500, 503, 503, 504])
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        8 => status().prop_map(Ending::Answer),
        2 => status().prop_map(Ending::Headers),
        2 => prop::sample::select(vec![0_usize, 1, 2_000, 300_000]).prop_map(Ending::Chunk),
        2 => Just(Ending::Ends),
        1 => Just(Ending::Trailers),
        1 => Just(Ending::Reset),
        1 => Just(Ending::TimesOut),
        1 => Just(Ending::ClientLeaves),
        1 => Just(Ending::Odd),
        2 => (0_usize..40, any::<bool>()).prop_map(|(size, end)| Ending::Sends(size, end)),
        1 => Just(Ending::SendsTrailers),
        1 => Just(Ending::Rerouted),
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        vec(any::<u8>(), 0..40).prop_map(Damage::Foreign),
        any::<prop::sample::Index>().prop_map(Damage::Cut),
        (any::<prop::sample::Index>(), 1_u8..).prop_map(|(at, by)| Damage::Flip(at, by)),
        any::<prop::sample::Index>().prop_map(Damage::Another),
        Just(Damage::Huge),
    ]
}

/// Now and then a lot of it.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..90),
        1 => (any::<u8>(), 7_u32..=20).prop_map(|(byte, power)| vec![byte; 1 << power]),
    ]
}

fn gust() -> impl Strategy<Value = Gust> {
    let any_index = any::<prop::sample::Index>;
    let statuses = prop::sample::select(vec![1_u32, 2, 3, 4, 7, 8, 10, 12, 255, u32::MAX]);
    prop_oneof![
        24 => (traffic(), prop::option::weighted(0.6, status()))
            .prop_map(|(traffic, status)| Gust::Traffic(traffic, status)),
        12 => (any_index(), ending()).prop_map(|(which, how)| Gust::Ending(which, how)),
        4 => (1_u64..60).prop_map(Gust::Passes),
        3 => (1_u64..40_000).prop_map(Gust::Stalls),
        1 => (-9_000_i64..9_000).prop_map(Gust::WallClock),
        4 => (any_index(), damage()).prop_map(|(which, damage)| Gust::Damage(which, damage)),
        2 => (1_u8..9, statuses).prop_map(|(every, status)| Gust::Refuses { every, status }),
        2 => (1_u8..9, garbage())
            .prop_map(|(every, bytes)| Gust::Garbles { every, bytes }),
        3 => Just(Gust::Calm),
        3 => (0_usize..2, 0..ORDERS.len()).prop_map(|(worker, order)| Gust::Status { worker, order }),
        1 => (0_usize..2).prop_map(Gust::Reload),
        1 => (0..CONFIGS).prop_map(Gust::Reconfigure),
        2 => (any_index(), prop::option::of(100_u16..600))
            .prop_map(|(which, status)| Gust::Webhook(which, status)),
    ]
}

/// Where the sky is fair, the host does as it should, and shared data is what the workers wrote.
fn weathers(number: usize, is_fair: bool, gusts: &[Gust]) {
    let mut sky = Sky::over(number, is_fair);
    for gust in gusts.iter().filter(|gust| !(is_fair && gust.is_foul())) {
        sky.blows(gust);
    }
    sky.clears();
}

/// The same ones for the same seed.
fn storms(seed: u64, count: u32) {
    let runs = ProptestConfig {
        cases: count,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    };
    let storms = (0..CONFIGS, any::<bool>(), vec(gust(), 1..100));
    let ran = TestRunner::new(runs).run(&storms, |(number, is_fair, gusts)| {
        weathers(number, is_fair, &gusts);
        Ok(())
    });
    assert!(ran.is_ok(), "of the storms {seed}: {}", ran.unwrap_err());
}

/// For so many seconds instead, where `FUZZ_SECONDS` is given.
#[test]
#[allow(clippy::disallowed_methods, reason = "the clock of the machine, not of the emulated host")]
fn no_storm_traps_the_filter_or_lets_it_give_a_wrong_reply() {
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    let Some(seconds) = seconds else { return storms(1, 40) };
    let seconds = Duration::from_secs(seconds.parse().expect("FUZZ_SECONDS is a number"));
    let since = Instant::now();
    let first = std::time::UNIX_EPOCH.elapsed().expect("it is after 1970").as_secs();
    let mut count = 0;
    while since.elapsed() < seconds {
        storms(first + count, 10);
        count += 1;
    }
    println!("weathered {} storms", 10 * count);
}
