//! Sets of HTTP and gRPC statuses.

use std::ops::RangeInclusive;

/// HTTP statuses from 100 to 599, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StatusSet([u64; 8]);

impl StatusSet {
    pub const RANGE: RangeInclusive<u16> = 100..=599;

    /// Statuses outside [`StatusSet::RANGE`] are not taken.
    pub fn insert(&mut self, statuses: RangeInclusive<u16>) {
        for status in statuses {
            if let Some((word, bit)) = place(status)
                && let Some(word) = self.0.get_mut(word)
            {
                *word |= bit;
            }
        }
    }

    pub fn contains(&self, status: u16) -> bool {
        place(status).is_some_and(|(word, bit)| self.0.get(word).is_some_and(|it| it & bit != 0))
    }
}

fn place(status: u16) -> Option<(usize, u64)> {
    let index = status.checked_sub(*StatusSet::RANGE.start())?;
    StatusSet::RANGE.contains(&status).then(|| (usize::from(index / 64), 1 << (index % 64)))
}

/// A gRPC status, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrpcStatus(u8);

impl GrpcStatus {
    pub const OK: Self = Self(0);
    pub const UNKNOWN: Self = Self(2);
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    pub const RESOURCE_EXHAUSTED: Self = Self(8);

    /// By number.
    pub const NAMES: [&'static str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];

    pub fn from_number(number: u32) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < Self::NAMES.len()).then_some(Self(number))
    }

    pub fn from_name(name: &str) -> Option<Self> {
        let number = Self::NAMES.iter().position(|known| *known == name)?;
        Some(Self(number as u8))
    }

    /// As the header has it. To a client, whatever is no status is UNKNOWN (gRPC's "HTTP to gRPC
    /// status code mapping" and the libraries' practice for numbers they do not know).
    pub fn from_header(value: &[u8]) -> Self {
        let number = str::from_utf8(value).ok().and_then(|value| value.trim().parse().ok());
        number.and_then(Self::from_number).unwrap_or(Self::UNKNOWN)
    }
}

/// gRPC statuses, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GrpcStatusSet(u32);

impl GrpcStatusSet {
    pub fn insert(&mut self, status: GrpcStatus) {
        self.0 |= 1 << status.0;
    }

    pub fn contains(self, status: GrpcStatus) -> bool {
        self.0 & (1 << status.0) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let mut set = StatusSet::default();
        set.insert(404..=404);
        set.insert(500..=599);
        set.insert(100..=100);
        for status in 0..=u16::MAX {
            let expected = matches!(status, 100 | 404 | 500..=599);
            assert_eq!(set.contains(status), expected, "{status}");
        }
    }

    #[test]
    fn statuses_out_of_range_are_in_no_set() {
        let mut set = StatusSet::default();
        set.insert(0..=u16::MAX);
        assert!(!set.contains(99) && !set.contains(600));
    }

    #[test]
    fn grpc_statuses_have_their_names_by_number() {
        let all: Vec<_> = (0..=16).map(|n| GrpcStatus::from_number(n).unwrap()).collect();
        assert_eq!(GrpcStatus::from_name("UNAVAILABLE"), Some(all[14]));
        assert_eq!(GrpcStatus::from_name("UNAUTHENTICATED"), Some(all[16]));
        assert_eq!(GrpcStatus::from_name("unavailable"), None);
        assert_eq!(GrpcStatus::from_number(17), None);
    }

    #[test]
    fn a_header_that_is_no_status_is_unknown() {
        for value in [&b"x"[..], b"", b"17", b"-1", b"4294967296", b"\xff"] {
            assert_eq!(GrpcStatus::from_header(value), GrpcStatus::UNKNOWN, "{value:?}");
        }
        assert_eq!(GrpcStatus::from_header(b" 14 "), GrpcStatus::from_number(14).unwrap());
    }
}
