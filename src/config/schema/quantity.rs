//! Durations and sizes: text with a unit, whose range a schema can only say by a pattern.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Units by name, the smallest first.
type Units = &'static [(&'static str, u64)];

/// In milliseconds.
const DURATIONS: Units = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
/// In bytes.
const SIZES: Units = &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
pub(super) const HOUR: u64 = 3_600_000;

/// From so many milliseconds to so many.
pub(super) struct Duration<const LEAST: u64, const MOST: u64>;

/// From so many bytes to so many.
pub(super) struct Size<const LEAST: u64, const MOST: u64>;

pub(super) type Wait = Duration<1, { 24 * HOUR }>;
pub(super) type Window = Duration<1_000, { 24 * HOUR }>;
pub(super) type UpToADay = Duration<0, { 24 * HOUR }>;
pub(super) type UpToAMinute = Duration<1, 60_000>;

impl<const LEAST: u64, const MOST: u64> JsonSchema for Duration<LEAST, MOST> {
    fn schema_name() -> Cow<'static, str> {
        let [least, most] = [LEAST, MOST].map(|millis| shown(millis, DURATIONS));
        format!("duration-{least}-{most}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let [least, most] = [LEAST, MOST].map(|millis| shown(millis, DURATIONS));
        json_schema!({
            "type": "string",
            "description": format!("\"{least}\" to \"{most}\": a number with a unit, ms, s, m or h."),
            "pattern": format!("^{NUMBER}(?:ms|s|m|h)$"),
            "not": { "pattern": beyond(LEAST, MOST, DURATIONS) },
        })
    }
}

impl<const LEAST: u64, const MOST: u64> JsonSchema for Size<LEAST, MOST> {
    fn schema_name() -> Cow<'static, str> {
        let [least, most] = [LEAST, MOST].map(|bytes| shown(bytes, SIZES));
        format!("size-{least}-{most}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let [least, most] = [LEAST, MOST].map(|bytes| shown(bytes, SIZES));
        json_schema!({
            "description": format!("{least} to {most}: bytes, or text with a unit, KiB, MiB or GiB."),
            "anyOf": [
                { "type": "integer", "minimum": LEAST, "maximum": MOST },
                {
                    "type": "string",
                    "pattern": format!("^{NUMBER}(?:KiB|MiB|GiB)$"),
                    "not": { "pattern": beyond(LEAST, MOST, SIZES) },
                },
            ],
        })
    }
}

/// As JSON writes one, without sign and exponent.
const NUMBER: &str = r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?";
const DECIMALS: &str = r"(?:\.[0-9]+)?";
/// A bound that has no end in decimals (1ms in minutes) is cut after so many.
const PLACES: u32 = 9;

fn shown(quantity: u64, units: Units) -> String {
    let is_shown = |(name, unit): &&(&str, u64)| match quantity {
        0 => *name == "s",
        _ => quantity.is_multiple_of(*unit),
    };
    let unit = units.iter().rev().find(is_shown);
    unit.map_or(quantity.to_string(), |(name, unit)| format!("{}{name}", quantity / unit))
}

/// What has the form of a quantity and lies out of its range.
fn beyond(least: u64, most: u64, units: Units) -> String {
    let of_unit = |(name, unit): &(&str, u64)| {
        let scale = 10_u128.pow(PLACES);
        let [least, most] = [least, most].map(|bound| u128::from(bound) * scale);
        let low = below(&Decimal::of(least.div_ceil(u128::from(*unit))));
        let high = above(&Decimal::of(most / u128::from(*unit)));
        format!("(?:{}){name}", [low, high].concat().join("|"))
    };
    format!("^(?:{})$", units.iter().map(of_unit).collect::<Vec<_>>().join("|"))
}

/// A bound in digits: before the point, and after it without the zeros at the end.
struct Decimal {
    whole: String,
    part: String,
}

impl Decimal {
    fn of(scaled: u128) -> Self {
        let scale = 10_u128.pow(PLACES);
        let part = format!("{:0width$}", scaled % scale, width = PLACES as usize);
        Self { whole: (scaled / scale).to_string(), part: part.trim_end_matches('0').to_owned() }
    }
}

/// Numbers below a bound, as alternatives: shorter, or the same up to a smaller digit.
fn below(Decimal { whole, part }: &Decimal) -> Vec<String> {
    let mut numbers = Vec::new();
    if whole.len() > 1 {
        numbers.push(format!("[0-9]{{1,{}}}{DECIMALS}", whole.len() - 1));
    }
    for Place { same, digit, behind } in places(whole).filter(|place| place.digit > 0) {
        numbers.push(format!("{same}{}{}{DECIMALS}", any_of(0, digit - 1), any(behind)));
    }
    if !part.is_empty() {
        numbers.push(whole.clone());
    }
    for Place { same, digit, .. } in places(part) {
        if !same.is_empty() {
            numbers.push(format!(r"{whole}\.{same}"));
        }
        if digit > 0 {
            numbers.push(format!(r"{whole}\.{same}{}[0-9]*", any_of(0, digit - 1)));
        }
    }
    numbers
}

/// Numbers above a bound: longer, or the same up to a greater digit.
fn above(Decimal { whole, part }: &Decimal) -> Vec<String> {
    let mut numbers = vec![format!("[1-9][0-9]{{{},}}{DECIMALS}", whole.len())];
    for Place { same, digit, behind } in places(whole).filter(|place| place.digit < 9) {
        numbers.push(format!("{same}{}{}{DECIMALS}", any_of(digit + 1, 9), any(behind)));
    }
    for Place { same, digit, .. } in places(part).filter(|place| place.digit < 9) {
        numbers.push(format!(r"{whole}\.{same}{}[0-9]*", any_of(digit + 1, 9)));
    }
    numbers.push(format!(r"{whole}\.{part}[0-9]*[1-9][0-9]*"));
    numbers
}

/// A digit, with what is before it and how many are behind.
struct Place<'a> {
    same: &'a str,
    digit: u32,
    behind: usize,
}

fn places(digits: &str) -> impl Iterator<Item = Place<'_>> {
    digits.char_indices().filter_map(|(place, digit)| {
        let (same, rest) = digits.split_at_checked(place)?;
        Some(Place { same, digit: digit.to_digit(10)?, behind: rest.len() - 1 })
    })
}

fn any_of(first: u32, last: u32) -> String {
    if first == last { first.to_string() } else { format!("[{first}-{last}]") }
}

fn any(digits: usize) -> String {
    match digits {
        0 => String::new(),
        1 => "[0-9]".to_owned(),
        _ => format!("[0-9]{{{digits}}}"),
    }
}
