//! How long the upstream asks to be left alone: `Retry-After` (RFC 9110, 10.2.3).

use std::time::{SystemTime, UNIX_EPOCH};

use crate::time::Span;

/// Whole seconds, or a date. `wall` is the time since the unix epoch. A date in the past is no
/// wait; whatever is neither says nothing.
pub fn retry_after(value: &[u8], wall: Span) -> Option<Span> {
    let value = str::from_utf8(value).ok()?.trim();
    if !value.is_empty() && value.bytes().all(|digit| digit.is_ascii_digit()) {
        // What does not fit is longer than any cap.
        return Some(Span::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = SystemTime::from(value.parse::<httpdate::HttpDate>().ok()?);
    let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
    let now = wall.as_nanos() / 1_000_000_000;
    Some(Span::from_secs(since_epoch.as_secs().saturating_sub(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_waits_and_nothing_else_is() {
        let wall = Span::from_secs(1_700_000_000); // Tue, 14 Nov 2023 22:13:20 GMT
        let read = |value: &str| retry_after(value.as_bytes(), wall);
        assert_eq!(read("120"), Some(Span::from_secs(120)));
        assert_eq!(read(" 0 "), Some(Span::ZERO));
        assert_eq!(read("99999999999999999999999"), Some(Span::from_secs(u64::MAX)));
        assert_eq!(read("Tue, 14 Nov 2023 22:14:20 GMT"), Some(Span::from_secs(60)));
        assert_eq!(read("Tuesday, 14-Nov-23 22:14:20 GMT"), Some(Span::from_secs(60)));
        assert_eq!(read("Tue, 14 Nov 2023 22:00:00 GMT"), Some(Span::ZERO));
        for bad in ["", "-1", "1.5", "soon", "+7", "Tue, 99 Nov 2023 22:14:20 GMT"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
