//! Quantities written as text: a number, or a number and a unit with nothing between them.

use crate::time::Span;

/// The longest duration there is: longer than any wait that makes sense, and far from where sums of
/// times saturate.
pub const DAY: Span = Span::from_secs(24 * 60 * 60);

/// As JSON writes one, or as YAML may: `.5`.
pub(super) fn number(text: &str) -> Option<f64> {
    match text.strip_prefix('.') {
        Some(decimals) => serde_json::from_str(&format!("0.{decimals}")).ok(),
        None => serde_json::from_str(text).ok(),
    }
}

/// `250ms`, `30s`, `1.5m`, `24h`.
pub fn duration(text: &str) -> Option<Span> {
    let (number, unit) = split(text)?;
    let nanos = match unit {
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3_600e9,
        _ => return None,
    };
    Some(Span::from_nanos((number * nanos).round() as u64))
}

/// `64KiB`, `1.5MiB`, `1GiB`, in bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "KiB" => 1_024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        _ => return None,
    };
    Some((number * bytes).round() as u64)
}

/// The number is written as JSON writes one, without sign or exponent.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at_checked(end)?;
    Some((serde_json::from_str(number).ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_in_json_or_yaml() {
        assert_eq!(number("3000000000"), Some(3e9));
        assert_eq!(
            (number("-0.5"), number(".5"), number("1e3")),
            (Some(-0.5), Some(0.5), Some(1e3))
        );
        for text in ["", ".", "..5", "-.5", "5.", "+5", "1_000", "0x10", "nan", ".inf", "1e999"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_a_number_with_a_unit() {
        assert_eq!(duration("250ms"), Some(Span::from_millis(250)));
        assert_eq!(duration("30s"), Some(Span::from_secs(30)));
        assert_eq!(duration("5m"), Some(Span::from_secs(300)));
        assert_eq!(duration("24h"), Some(Span::from_secs(86_400)));
        assert_eq!(duration("1.5s"), Some(Span::from_millis(1_500)));
        assert_eq!(duration("0s"), Some(Span::ZERO));
    }

    #[test]
    fn nothing_else_is_a_duration() {
        for text in [
            "", "s", "30", "30 s", " 30s", "30s ", "30S", "30d", "-1s", "+1s", "1e3s", ".5s",
            "1.s", "1.2.3s", "05s", "1m30s", "inf", "٣s", "30秒",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(duration(&format!("{}s", "9".repeat(400))), None);
    }

    #[test]
    fn a_duration_past_the_end_of_time_saturates() {
        assert_eq!(duration("99999999999999999999h"), Some(Span::from_nanos(u64::MAX)));
    }

    #[test]
    fn what_a_span_shows_can_be_written() {
        for millis in [1, 250, 1_500, 30_000, 90_000, 300_000, 86_400_000] {
            let span = Span::from_millis(millis);
            assert_eq!(duration(&span.to_string()), Some(span), "{span}");
        }
    }
}
