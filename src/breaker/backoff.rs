//! How long a circuit stays open after the n-th trip in a row.

use super::Owner;
use crate::time::{Span, Timestamp};

const MILLION: u64 = 1_000_000;

/// `duration * multiplier^(n-1)`, capped at `max_duration`, less some jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backoff {
    duration: Span,
    multiplier: Multiplier,
    max_duration: Span,
    jitter: Jitter,
}

/// At least 1, in parts per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Multiplier(u64);

impl Multiplier {
    pub const MAX: f64 = 1_000.0;

    /// From 1 to [`Multiplier::MAX`].
    pub fn new(multiplier: f64) -> Option<Self> {
        let is_valid = (1.0..=Self::MAX).contains(&multiplier);
        is_valid.then(|| Self((multiplier * MILLION as f64).round() as u64))
    }
}

/// From 0 to 1, in parts per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Jitter(u64);

impl Jitter {
    pub const NONE: Self = Self(0);

    pub fn new(jitter: f64) -> Option<Self> {
        let is_valid = (0.0..=1.0).contains(&jitter);
        is_valid.then(|| Self((jitter * MILLION as f64).round() as u64))
    }
}

impl Backoff {
    /// `None` where `duration` is zero or longer than `max_duration`.
    pub fn new(
        duration: Span,
        multiplier: Multiplier,
        max_duration: Span,
        jitter: Jitter,
    ) -> Option<Self> {
        let is_valid = duration > Span::ZERO && duration <= max_duration;
        is_valid.then_some(Self { duration, multiplier, max_duration, jitter })
    }

    /// The wait of the `in_a_row`-th opening. Rule 8: the jitter comes from (owner, time).
    ///
    /// Jitter only shortens, by up to its share of the wait: circuits and proxies that opened
    /// together do not probe together, and nobody waits longer than configured. What the upstream asked for by
    /// `retry_after` is not shortened, but for the cap.
    pub(super) fn wait(
        &self,
        in_a_row: u32,
        owner: Owner,
        at: Timestamp,
        retry_after: Option<Span>,
    ) -> Span {
        let grown = self.grown(in_a_row).as_nanos();
        let share = spread(owner.0 ^ spread(at.as_nanos())) % MILLION;
        let cut = self.jitter.0.saturating_mul(share) / MILLION;
        let cut = (grown / MILLION).saturating_mul(cut);
        let wait = Span::from_nanos(grown.saturating_sub(cut).max(1));
        wait.max(retry_after.unwrap_or(Span::ZERO).min(self.max_duration))
    }

    fn grown(&self, in_a_row: u32) -> Span {
        let mut wait = self.duration;
        // A multiplier of 1 never reaches the cap; past a thousand steps nothing is gained.
        for _ in 1..in_a_row.min(1_000) {
            if wait >= self.max_duration || self.multiplier.0 == MILLION {
                break;
            }
            let grown = u128::from(wait.as_nanos()).saturating_mul(u128::from(self.multiplier.0));
            let nanos = grown.div_euclid(u128::from(MILLION));
            wait = Span::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        }
        wait.min(self.max_duration)
    }
}

/// Spreads the bits of a number over the whole word (the finaliser of SplitMix64).
const fn spread(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: Timestamp = Timestamp::from_nanos(1);

    fn backoff(secs: u64, multiplier: f64, max: u64, jitter: f64) -> Backoff {
        Backoff::new(
            Span::from_secs(secs),
            Multiplier::new(multiplier).unwrap(),
            Span::from_secs(max),
            Jitter::new(jitter).unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn the_wait_grows_by_the_multiplier_up_to_the_cap() {
        let backoff = backoff(30, 2.0, 300, 0.0);
        let waits: Vec<_> = (1..=6).map(|n| backoff.wait(n, Owner(7), AT, None)).collect();
        assert_eq!(waits, [30, 60, 120, 240, 300, 300].map(Span::from_secs));
        assert_eq!(backoff.wait(u32::MAX, Owner(7), AT, None), Span::from_secs(300));
    }

    #[test]
    fn a_multiplier_of_one_keeps_the_wait() {
        let wait = backoff(30, 1.0, 300, 0.0).wait(u32::MAX, Owner(7), AT, None);
        assert_eq!(wait, Span::from_secs(30));
    }

    #[test]
    fn jitter_differs_between_circuits_and_by_the_nanosecond_and_so_between_proxies() {
        let backoff = backoff(30, 1.0, 30, 0.1);
        let wait = |owner, nanos| backoff.wait(1, Owner(owner), Timestamp::from_nanos(nanos), None);
        assert_ne!(wait(1, 1), wait(2, 1));
        assert_ne!(wait(1, 1), wait(1, 2));
        assert_eq!(wait(1, 1), wait(1, 1));
        // Whichever bits of the owner are set.
        for owner in [0, u64::MAX] {
            assert_ne!(wait(owner, 1), wait(owner, 2));
        }
    }

    #[test]
    fn bits_are_spread_as_splitmix64_does() {
        // The first two numbers that it gives from the seed 1234567.
        assert_eq!(spread(1_234_567), 6_457_827_717_110_365_317);
        let next = 1_234_567_u64.wrapping_add(0x9e37_79b9_7f4a_7c15);
        assert_eq!(spread(next), 3_203_168_211_198_807_973);
    }

    #[test]
    fn the_upstreams_word_lengthens_the_wait_up_to_the_cap_and_never_shortens_it() {
        let backoff = backoff(30, 2.0, 300, 1.0);
        let wait = |secs| backoff.wait(1, Owner(7), AT, Some(Span::from_secs(secs)));
        assert_eq!(wait(120), Span::from_secs(120));
        assert_eq!(wait(86_400), Span::from_secs(300));
        assert_eq!(wait(0), backoff.wait(1, Owner(7), AT, None));
    }

    #[test]
    fn nonsense_cannot_be_made() {
        let (one, no) = (Multiplier::new(1.0).unwrap(), Jitter::NONE);
        assert_eq!(Backoff::new(Span::ZERO, one, Span::from_secs(1), no), None);
        assert_eq!(Backoff::new(Span::from_secs(2), one, Span::from_secs(1), no), None);
        assert_eq!(Multiplier::new(0.99), None);
        assert_eq!(Multiplier::new(f64::NAN), None);
        assert_eq!(Jitter::new(1.01), None);
        assert_eq!(Jitter::new(-0.01), None);
    }

    proptest! {
        #[test]
        fn the_wait_is_never_zero_nor_longer_than_configured_nor_cut_by_more_than_the_jitter(
            millis in 1_u64..1_000_000, jitter in 0.0_f64..=1.0, owner: u64, at: u64,
        ) {
            let duration = Span::from_millis(millis);
            let backoff = Backoff::new(
                duration, Multiplier::new(1.0).unwrap(), duration, Jitter::new(jitter).unwrap(),
            ).unwrap();
            let at = Timestamp::from_nanos(at);
            let wait = backoff.wait(1, Owner(owner), at, None);
            let least = (1.0 - jitter - 1e-6) * duration.as_nanos() as f64;
            prop_assert!(wait > Span::ZERO && wait <= duration);
            prop_assert!(wait.as_nanos() as f64 >= least);
        }
    }
}
