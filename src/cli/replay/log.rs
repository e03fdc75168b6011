//! An access log, as JSON lines: what each request was, and what it counts as.

use std::fmt;
use std::io::BufRead;

use clap::Args;
use fnv::FnvHashMap;
use jiff::Timestamp as Instant;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::flags;
use crate::breaker::Outcome;
use crate::classify::{By, Ending, Rules, VIA_UPSTREAM};
use crate::config::{Config, Mode};
use crate::time::{Span, Timestamp};

/// How many lines that were not understood are shown.
const SHOWN: usize = 5;
/// Of a value that was not understood.
const LONGEST: usize = 60;
/// What a filter says of a failure whose response it has replaced.
const REPLACED: &str = "circuit_breaker_upstream_failed";

/// What the fields of the log are called. The defaults are those of envoy/envoy.yaml.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Names of fields in the log")]
pub(super) struct Names {
    /// When the request began, %START_TIME%: RFC 3339
    #[arg(long = "time-field", value_name = "NAME", default_value = "time")]
    time: String,
    /// How long it took in milliseconds, %DURATION%
    #[arg(long = "duration-field", value_name = "NAME", default_value = "milliseconds")]
    duration: String,
    /// How long until response headers came, %RESPONSE_DURATION%; null where none did
    #[arg(long = "headers-field", value_name = "NAME", default_value = "response_milliseconds")]
    headers: String,
    /// %UPSTREAM_CLUSTER_RAW%
    #[arg(long = "cluster-field", value_name = "NAME", default_value = "cluster")]
    cluster: String,
    /// %RESPONSE_CODE%
    #[arg(long = "status-field", value_name = "NAME", default_value = "status")]
    status: String,
    /// %RESPONSE_FLAGS%; only looked at where there are no details
    #[arg(long = "flags-field", value_name = "NAME", default_value = "flags")]
    flags: String,
    /// %RESPONSE_CODE_DETAILS%
    #[arg(long = "details-field", value_name = "NAME", default_value = "details")]
    details: String,
    /// %REQ(:METHOD)%, for half_open.methods
    #[arg(long = "method-field", value_name = "NAME", default_value = "method")]
    method: String,
    /// %FILTER_STATE(wasm.circuit_breaker:PLAIN)%, if a circuit breaker was there already
    #[arg(long = "breaker-field", value_name = "NAME", default_value = "circuit_breaker")]
    breaker: String,
}

/// All requests of a log, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) requests: Vec<Request>,
    pub(super) clusters: Vec<Cluster>,
    pub(super) lines: u64,
    /// Lines that are no request.
    pub(super) bad: u64,
    /// The first of them.
    pub(super) examples: Vec<Bad>,
    /// Requests that no cluster served: redirects, unknown routes.
    pub(super) without_cluster: u64,
    /// Whether any line has the field, even empty.
    has_cluster_field: bool,
    /// Of the bad lines, those in the format that Envoy has for text.
    in_text: u64,
    by_name: FnvHashMap<String, usize>,
    methods: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) mode: Mode,
    rules: Rules,
}

/// A line that was not understood.
#[derive(Debug)]
pub(super) struct Bad {
    pub(super) line: u64,
    pub(super) problem: String,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// Times are unix nanoseconds.
    pub(super) began: Timestamp,
    pub(super) ended: Timestamp,
    /// When its response headers came: at its end, where the log does not say.
    pub(super) answered: Timestamp,
    /// Whether they were such that a probe has passed.
    pub(super) are_headers_good: bool,
    /// Its place among the log's clusters.
    pub(super) cluster: usize,
    method: usize,
    pub(super) outcome: Outcome,
    /// Whether a late end is the upstream's doing.
    pub(super) is_upstreams: bool,
    pub(super) is_clients: bool,
}

impl Log {
    /// Reads all lines. Those that are no request are counted, and the first of them kept.
    pub(super) fn read(
        mut lines: impl BufRead,
        names: &Names,
        config: &Config,
    ) -> std::io::Result<Self> {
        let mut log = Self::default();
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            log.lines += 1;
            if let Err(problem) = log.take(&line, names, config) {
                log.bad += 1;
                log.in_text += u64::from(line.starts_with(b"[20"));
                if log.examples.len() < SHOWN {
                    log.examples.push(Bad { line: log.lines, problem });
                }
            }
            line.clear();
        }
        // A line is written when its request ends. Stable: of the same instant the first line is the first.
        log.requests.sort_by_key(|request| request.began);
        Ok(log)
    }

    /// For a log without a request: what it should have been.
    pub(super) fn why_it_is_none(&self, names: &Names) -> String {
        let none = match self.lines {
            1 => "its one line is no request to a cluster".to_owned(),
            n => format!("none of its {n} lines is a request to a cluster"),
        };
        if self.in_text > 0 && self.in_text == self.bad {
            return format!(
                "{none}: this is Envoy's text format, expected json_format as in envoy/envoy.yaml"
            );
        }
        if self.without_cluster > 0 {
            let name = &names.cluster;
            return match self.has_cluster_field {
                true => format!("{none}: `{name}` is empty where there is one"),
                false => format!("{none}: there is no `{name}`, another name: --cluster-field"),
            };
        }
        let Names { time, duration, cluster, status, .. } = names;
        let example = self.examples.first();
        let example = example.map(|bad| format!("; line {}: {}", bad.line, bad.problem));
        format!(
            "{none}, expected a JSON object per line with {time}, {duration}, {cluster} and \
             {status} (docs/replay.md); other names: --time-field and the like{}",
            example.unwrap_or_default()
        )
    }

    pub(super) fn method(&self, request: &Request) -> Option<&str> {
        self.methods.get(request.method).map(String::as_str)
    }

    /// When the last request ended.
    pub(super) fn end(&self) -> Timestamp {
        self.requests.iter().map(|request| request.ended).max().unwrap_or_default()
    }

    fn take(&mut self, line: &[u8], names: &Names, config: &Config) -> Result<(), String> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let fields = Fields::read(line, names)
            .map_err(|error| format!("not a JSON object: {}", message(&error)))?;
        let began = fields.began().map_err(|problem| format!("`{}`: {problem}", names.time))?;
        let took = fields.took().map_err(|problem| format!("`{}`: {problem}", names.duration))?;
        let headers =
            fields.headers().map_err(|problem| format!("`{}`: {problem}", names.headers))?;
        let status = fields.status().map_err(|problem| format!("`{}`: {problem}", names.status))?;
        self.has_cluster_field |= fields.cluster.is_some();
        let cluster =
            fields.cluster().map_err(|problem| format!("`{}`: {problem}", names.cluster))?;
        let Some(cluster) = cluster else {
            self.without_cluster += 1;
            return Ok(());
        };
        let cluster = self.cluster(cluster, config);
        let rules = self.clusters.get(cluster).map(|cluster| cluster.rules);
        let (outcome, by) =
            rules.map_or((Outcome::Ignored, By::Proxy), |rules| fields.outcome(status, &rules));
        let method = self.known_method(text(&fields.method).unwrap_or_default());
        let are_good = |rules: &Rules| {
            status.is_some_and(|status| rules.are_good_headers(status, VIA_UPSTREAM))
        };
        self.requests.push(Request {
            began,
            ended: began + took,
            answered: began + headers.map_or(took, |headers| headers.min(took)),
            are_headers_good: rules.as_ref().is_some_and(are_good),
            cluster,
            method,
            outcome,
            is_upstreams: matches!(by, By::Upstream | By::Deadline(_)),
            is_clients: by == By::Client,
        });
        Ok(())
    }

    fn cluster(&mut self, name: &str, config: &Config) -> usize {
        if let Some(known) = self.by_name.get(name) {
            return *known;
        }
        let policy = config.policy(name);
        let (mode, rules) = (policy.mode, policy.classify);
        self.by_name.insert(name.to_owned(), self.clusters.len());
        self.clusters.push(Cluster { name: name.to_owned(), mode, rules });
        self.clusters.len() - 1
    }

    /// There are few.
    fn known_method(&mut self, method: &str) -> usize {
        let known = self.methods.iter().position(|known| known == method);
        known.unwrap_or_else(|| {
            self.methods.push(method.to_owned());
            self.methods.len() - 1
        })
    }
}

/// The fields that are looked at.
#[derive(Debug, Default)]
struct Fields {
    time: Option<Value>,
    duration: Option<Value>,
    headers: Option<Value>,
    cluster: Option<Value>,
    status: Option<Value>,
    flags: Option<Value>,
    details: Option<Value>,
    method: Option<Value>,
    breaker: Option<Value>,
}

impl Fields {
    fn read(line: &[u8], names: &Names) -> serde_json::Result<Self> {
        let mut from = serde_json::Deserializer::from_slice(line);
        let fields = Wanted(names).deserialize(&mut from)?;
        from.end()?;
        Ok(fields)
    }

    fn began(&self) -> Result<Timestamp, String> {
        const EXPECTED: &str = "expected a time such as \"2026-01-31T12:00:00.000Z\" \
                                (%START_TIME% without a format)";
        let shown = shown(&self.time);
        let text = text(&self.time).ok_or_else(|| format!("{shown}, {EXPECTED}"))?;
        let instant: Instant = text.parse().map_err(|_| format!("{shown}, {EXPECTED}"))?;
        let nanos = u64::try_from(instant.as_nanosecond());
        nanos
            .map(Timestamp::from_nanos)
            .map_err(|_| format!("{shown} is before 1970 or after 2554, {EXPECTED}"))
    }

    fn took(&self) -> Result<Span, String> {
        millis(&self.duration)
    }

    /// Envoy writes null, in text "-", where no answer came.
    fn headers(&self) -> Result<Option<Span>, String> {
        match &self.headers {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text == "-" => Ok(None),
            value => millis(value).map(Some),
        }
    }

    fn cluster(&self) -> Result<Option<&str>, String> {
        match &self.cluster {
            None | Some(Value::Null | Value::String(_)) => Ok(text(&self.cluster)),
            value => Err(format!("{}, expected a name such as \"backend\"", shown(value))),
        }
    }

    /// Envoy writes 0 where there was no response.
    fn status(&self) -> Result<Option<u16>, String> {
        let status = match &self.status {
            Some(Value::Null) => Some(0.0),
            value => number(value),
        };
        let status = status
            .filter(|status| status.fract() == 0.0 && (0.0..=999.0).contains(status))
            .ok_or_else(|| {
                format!("{}, expected a status such as 200, or 0", shown(&self.status))
            })?;
        Ok(Some(status as u16).filter(|status| *status != 0))
    }

    fn outcome(&self, status: Option<u16>, rules: &Rules) -> (Outcome, By) {
        let never_sent = text(&self.breaker)
            .is_some_and(|word| matches!(word, "rejected" | "fallback:cache" | "fallback:respond"));
        let details = match text(&self.details) {
            Some(REPLACED) => return (Outcome::Failure { reset: false }, By::Upstream),
            Some(details) => details,
            None if never_sent => "circuit_breaker_open",
            None => flags::details(text(&self.flags).unwrap_or_default(), status),
        };
        // Of a timeout with a good status the headers had come; 408 blames the client's upload.
        let ending = Ending {
            status,
            is_sent: status != Some(408),
            is_complete: status.is_some_and(|status| status >= 400),
            details,
            ..Ending::default()
        };
        let classified = rules.classify(&ending);
        (classified.outcome, classified.by)
    }
}

/// Envoy writes "-" where there is nothing.
fn text(value: &Option<Value>) -> Option<&str> {
    value.as_ref()?.as_str().filter(|text| !matches!(*text, "" | "-"))
}

fn number(value: &Option<Value>) -> Option<f64> {
    match value.as_ref()? {
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    }
}

fn millis(value: &Option<Value>) -> Result<Span, String> {
    /// Longer than any log.
    const MOST: f64 = 1e12;
    let millis = number(value).filter(|millis| (0.0..=MOST).contains(millis));
    let millis =
        millis.ok_or_else(|| format!("{}, expected milliseconds such as 20", shown(value)))?;
    Ok(Span::from_nanos((millis * 1e6).round() as u64))
}

/// Longer values are cut, and what could steer a terminal is escaped.
fn shown(value: &Option<Value>) -> String {
    let cut = |text: &str| text.chars().take(LONGEST).collect::<String>();
    match value {
        None => "missing".to_owned(),
        Some(Value::String(text)) => format!("{:?}", cut(text)),
        Some(value) => cut(&value.to_string()).replace(char::is_control, "?"),
    }
}

/// Of a log each line is read by itself: its number is not that of the file.
fn message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match message.strip_suffix(&place) {
        Some(message) => format!("{message} at column {}", error.column()),
        None => message,
    }
}

/// Reads the fields that are asked for and skips the others.
struct Wanted<'a>(&'a Names);

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Fields;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Fields, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Fields, A::Error> {
        let Self(names) = self;
        let mut fields = Fields::default();
        while let Some(name) = from.next_key::<std::borrow::Cow<'_, str>>()? {
            let known = [
                (&names.time, &mut fields.time),
                (&names.duration, &mut fields.duration),
                (&names.headers, &mut fields.headers),
                (&names.cluster, &mut fields.cluster),
                (&names.status, &mut fields.status),
                (&names.flags, &mut fields.flags),
                (&names.details, &mut fields.details),
                (&names.method, &mut fields.method),
                (&names.breaker, &mut fields.breaker),
            ];
            match known.into_iter().find(|(known, _)| **known == *name) {
                Some((_, field)) => *field = Some(from.next_value()?),
                None => _ = from.next_value::<IgnoredAny>()?,
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use proptest::prelude::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        names: Names,
    }

    const LINE: &str = r#"{"time":"2026-01-31T12:00:00.5Z","milliseconds":20,"cluster":"a","status":200,"details":"via_upstream","flags":"-","method":"GET"}"#;

    fn read(lines: &[u8]) -> Log {
        let names = Alone::parse_from(["fusebox"]).names;
        Log::read(lines, &names, &Config::parse(b"").unwrap()).unwrap()
    }

    #[test]
    fn a_request_is_read_with_its_beginning_and_its_end() {
        let log = read(LINE.as_bytes());
        let Request { began, ended, outcome, .. } = log.requests[0];
        assert_eq!(ended.since(began), Span::from_millis(20));
        assert_eq!(began.as_nanos() % 1_000_000_000, 500_000_000);
        assert_eq!((outcome, log.method(&log.requests[0])), (Outcome::Success, Some("GET")));
    }

    #[test]
    fn times_and_durations_that_cannot_be_are_refused() {
        for (good, bad) in [
            ("2026-01-31", "1969-01-31"),
            ("2026-01-31", "9999-01-31"),
            ("2026-01-31", "2026-02-31"),
            ("2026-01-31T", ""),
            (":20,", ":1e13,"),
            (":20,", ":\"NaN\","),
            (":200", ":1000"),
            (":200", ":200.5"),
            (":200", ":-1"),
        ] {
            let log = read(LINE.replace(good, bad).as_bytes());
            assert_eq!((log.requests.len(), log.bad), (0, 1), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_lines_are_requests_or_problems(bytes: Vec<u8>, at in 0_usize..LINE.len(), byte: u8) {
            let mut damaged = LINE.as_bytes().to_vec();
            damaged[at] = byte;
            for lines in [bytes, damaged] {
                let log = read(&lines);
                let understood = log.requests.len() as u64 + log.without_cluster;
                prop_assert!(understood + log.bad <= log.lines);
            }
        }
    }
}
