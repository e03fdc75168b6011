//! What is wrong with a configuration, in one line: `path: value is wrong, expected what`.
//!
//! The line is all that an operator gets to see, in Envoy's log and from `istioctl`, so it has to
//! say where to look, what was found there and what to write instead.

use std::fmt;

/// Longer names and values are cut: the line is for reading.
const LONGEST: usize = 60;

/// The first thing wrong with a configuration. `Display` is the whole line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    path: Path,
    problem: String,
}

impl ConfigError {
    pub(super) const fn new(path: Path, problem: String) -> Self {
        Self { path, problem }
    }

    pub(super) fn not_json(error: &serde_json::Error) -> Self {
        let place = format!("line {} column {}", error.line(), error.column());
        let message = error.to_string();
        let message = message.strip_suffix(&format!(" at {place}")).unwrap_or(&message);
        Self::new(Path::default(), format!("not valid JSON at {place}: {message}"))
    }

    pub(super) fn unknown_field(path: Path, field: &str, known: &[&str]) -> Self {
        let mut problem = format!("unknown field, expected one of {}", known.join(", "));
        if let Some(similar) = closest(field, known) {
            problem.push_str(&format!("; did you mean `{similar}`?"));
        }
        Self::new(path, problem)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// Where in the document, as the user would point at it: `circuits.hf_api.trip`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(String);

impl Path {
    pub(super) fn child(&self, name: &str) -> Self {
        let is_plain = (1..=LONGEST).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let name = if is_plain { name.to_owned() } else { quoted(name) };
        match self.0.as_str() {
            "" => Self(name),
            parent => Self(format!("{parent}.{name}")),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "configuration" } else { &self.0 })
    }
}

/// In quotes, cut, and on one line whatever it contains.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// The name that was meant: at most two slips of the finger away, and not mostly slips.
fn closest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let slips = known.iter().map(|known| (distance(given, known), *known));
    slips.filter(|(slips, known)| *slips <= 2 && slips * 2 <= known.len()).min().map(|(_, it)| it)
}

/// Levenshtein's: how many letters to insert, delete or replace.
fn distance(given: &str, known: &str) -> usize {
    let mut row: Vec<usize> = (0..=known.len()).collect();
    for (i, a) in given.bytes().enumerate() {
        let mut left = i + 1;
        let mut diagonal = i;
        for (cell, b) in row.iter_mut().skip(1).zip(known.bytes()) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_the_user_would_point() {
        let circuits = Path::default().child("circuits");
        assert_eq!(circuits.child("hf-api").child("trip").to_string(), "circuits.hf-api.trip");
        assert_eq!(
            circuits.child("outbound|80||a.b").child("trip").to_string(),
            r#"circuits."outbound|80||a.b".trip"#
        );
        assert_eq!(circuits.child("").to_string(), r#"circuits."""#);
        assert_eq!(Path::default().to_string(), "configuration");
    }

    #[test]
    fn a_hostile_name_stays_on_one_short_line() {
        let path = Path::default().child("a\nb\u{2028}\"\u{7f}");
        assert_eq!(path.to_string(), r#""a\nb\u{2028}\"\u{7f}""#);
        let long = Path::default().child(&"é".repeat(1_000));
        assert_eq!(long.to_string(), format!("\"{}…\"", "é".repeat(60)));
    }

    #[test]
    fn a_slip_of_the_finger_is_answered_with_the_name_meant() {
        let line = |field| {
            let path = Path::default().child(field);
            ConfigError::unknown_field(path, field, &["probes", "successes"]).to_string()
        };
        assert_eq!(
            line("probe"),
            "probe: unknown field, expected one of probes, successes; did you mean `probes`?"
        );
        assert_eq!(line("lease"), "lease: unknown field, expected one of probes, successes");
    }

    #[test]
    fn distance_counts_letters() {
        assert_eq!(distance("failure_ration", "failure_ratio"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn the_closest_name_is_meant() {
        assert_eq!(closest("nodes", &["codec", "mode", "node"]), Some("node"));
        assert_eq!(closest("at", &["by"]), None);
    }
}
