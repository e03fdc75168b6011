//! The shortest lives in which everything can happen: trips at the first failure, is open for a
//! second, probes on a lease of one.

use std::num::{NonZeroU8, NonZeroU32};

use fusebox::breaker::{Backoff, HalfOpen, Jitter, Multiplier, Policy, PolicyId, TripRules};
use fusebox::time::Span;

pub const SECOND: Span = Span::from_secs(1);

/// As many successes are needed as there may be probes.
pub fn policy(probes: u8) -> Policy {
    Policy {
        id: PolicyId(0),
        trip: TripRules {
            consecutive_failures: NonZeroU32::new(1),
            failure_ratio: None,
            failures: None,
            slow_ratio: None,
        },
        open: Backoff::new(SECOND, Multiplier::new(1.0).unwrap(), SECOND, Jitter::NONE).unwrap(),
        half_open: HalfOpen {
            probes: NonZeroU8::new(probes).unwrap(),
            successes: NonZeroU32::new(u32::from(probes)).unwrap(),
            probe_timeout: SECOND,
        },
    }
}
