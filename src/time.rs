//! Time as the breaker knows it: monotonic nanoseconds that saturate.
//!
//! There is no clock here. Every decision takes `now` as a parameter, so that it depends only on
//! its arguments, and differences never underflow: should an instant repeat or lie in the past,
//! the time between is zero.

use std::fmt;
use std::ops::Add;

/// An instant on the host's monotonic clock, in nanoseconds since an arbitrary origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self(u64::MAX);

    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time since `earlier`, or zero where `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// This instant without its part below a millisecond: what waits and leases are reckoned from,
    /// so that the nanoseconds by which readings are told apart do not add to them.
    pub const fn whole_millis(self) -> Self {
        Self(self.0.saturating_sub(self.0 % 1_000_000))
    }

    /// The instant just after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// A length of time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

impl Span {
    pub const ZERO: Self = Self(0);

    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds, rounded up: what `retry-after` promises must not come too early.
    pub const fn as_secs_ceil(self) -> u64 {
        self.0.div_ceil(1_000_000_000)
    }

    /// Seconds, to the millisecond: how a time since the unix epoch is told.
    pub fn as_unix_seconds(self) -> f64 {
        (self.0 / 1_000_000) as f64 / 1_000.0
    }

    /// What is left of it, or zero where `other` is longer.
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Span {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// As a user writes it: `250ms`, `30s`, `5m`, `24h`, `1.5s`; the largest unit that is exact to the
/// millisecond.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0 / 1_000_000;
        match millis {
            0 => write!(f, "{}ns", self.0),
            _ if millis.is_multiple_of(3_600_000) => write!(f, "{}h", millis / 3_600_000),
            _ if millis.is_multiple_of(60_000) => write!(f, "{}m", millis / 60_000),
            _ if millis.is_multiple_of(1_000) => write!(f, "{}s", millis / 1_000),
            1_001.. => {
                let (mut digits, mut part) = (3, millis % 1_000);
                while part.is_multiple_of(10) {
                    (digits, part) = (digits - 1, part / 10);
                }
                write!(f, "{}.{part:0digits$}s", millis / 1_000)
            }
            _ => write!(f, "{millis}ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_runs_backwards_measures_zero() {
        let earlier = Timestamp::from_nanos(5);
        assert_eq!(earlier.since(Timestamp::from_nanos(9)), Span::ZERO);
        assert_eq!(Timestamp::from_nanos(9).since(earlier), Span::from_nanos(4));
    }

    #[test]
    fn sums_saturate() {
        let end = Timestamp::from_nanos(u64::MAX);
        assert_eq!(end + Span::from_secs(1), end);
        assert_eq!(end.next(), end);
    }

    #[test]
    fn whole_milliseconds_are_cut_not_rounded() {
        assert_eq!(Timestamp(1_999_999).whole_millis(), Timestamp(1_000_000));
        assert_eq!(Timestamp(999_999).whole_millis(), Timestamp::ZERO);
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(Span::from_nanos(1).as_secs_ceil(), 1);
        assert_eq!(Span::from_secs(27).as_secs_ceil(), 27);
        assert_eq!(Span::from_millis(27_001).as_secs_ceil(), 28);
    }

    #[test]
    fn spans_read_as_they_are_configured() {
        let shown = |millis| Span::from_millis(millis).to_string();
        assert_eq!(shown(250), "250ms");
        assert_eq!(shown(30_000), "30s");
        assert_eq!(shown(300_000), "5m");
        assert_eq!(shown(86_400_000), "24h");
        assert_eq!(shown(5_400_000), "90m");
        assert_eq!(shown(1_500), "1.5s");
        assert_eq!(shown(1_050), "1.05s");
        assert_eq!(shown(61_007), "61.007s");
    }
}
