//! The filter's configuration, as a builder over JSON.
//!
//! Jitter is off unless a test turns it on: a story is about the wait that was configured, not about a tenth around it.

use std::time::Duration;

use serde_json::{Value, json};

use super::protobuf;

#[derive(Clone, Debug)]
pub struct Config {
    json: Value,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    Json,
    Struct,
    Raw(Vec<u8>),
}

/// The defaults of the filter, but without jitter.
pub fn config() -> Config {
    Config { json: json!({}), form: Form::Json }.set("defaults.open.jitter", json!(0))
}

/// No configuration at all.
pub fn no_config() -> Config {
    config().raw("")
}

impl Config {
    /// A dot for each level down. Names with dots in them: [`set_at`](Self::set_at).
    pub fn set(self, path: &str, value: Value) -> Self {
        self.set_at(&path.split('.').collect::<Vec<_>>(), value)
    }

    pub fn set_at(mut self, path: &[&str], value: Value) -> Self {
        let slot = path.iter().fold(&mut self.json, |object, name| &mut object[*name]);
        *slot = value;
        self
    }

    /// The document, whatever was built so far.
    pub fn json(mut self, json: Value) -> Self {
        self.json = json;
        self
    }

    /// Bytes as they are, JSON or not.
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.form = Form::Raw(bytes.as_ref().to_vec());
        self
    }

    /// As Envoy delivers a `google.protobuf.Struct` that was written in YAML.
    pub fn as_struct(&self) -> Self {
        Self { form: Form::Struct, ..self.clone() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        match &self.form {
            Form::Json => self.json.to_string().into_bytes(),
            Form::Struct => protobuf::encode(&self.json),
            Form::Raw(bytes) => bytes.clone(),
        }
    }
}

/// `defaults`. A rule that is named is the only one, unless others are named too.
impl Config {
    pub fn trips_after(self, consecutive_failures: u32) -> Self {
        self.set("defaults.trip.consecutive_failures", json!(consecutive_failures))
    }

    pub fn trips_at_ratio(self, ratio: f64, minimum_requests: u32, window: Duration) -> Self {
        let rule =
            json!({ "ratio": ratio, "minimum_requests": minimum_requests, "window": text(window) });
        self.set("defaults.trip.failure_ratio", rule)
    }

    pub fn trips_at_failures(self, count: u32, window: Duration) -> Self {
        self.set("defaults.trip.failures", json!({ "count": count, "window": text(window) }))
    }

    pub fn trips_when_slow(self, ratio: f64, minimum_requests: u32, window: Duration) -> Self {
        let rule =
            json!({ "ratio": ratio, "minimum_requests": minimum_requests, "window": text(window) });
        self.set("defaults.trip.slow_ratio", rule)
    }

    pub fn opens_for(self, duration: Duration) -> Self {
        self.set("defaults.open.duration", json!(text(duration)))
    }

    pub fn multiplier(self, multiplier: f64) -> Self {
        self.set("defaults.open.multiplier", json!(multiplier))
    }

    pub fn opens_at_most(self, duration: Duration) -> Self {
        self.set("defaults.open.max_duration", json!(text(duration)))
    }

    pub fn jitter(self, jitter: f64) -> Self {
        self.set("defaults.open.jitter", json!(jitter))
    }

    pub fn honors_retry_after(self, honors: bool) -> Self {
        self.set("defaults.open.honor_retry_after", json!(honors))
    }

    pub fn probes(self, probes: u32) -> Self {
        self.set("defaults.half_open.probes", json!(probes))
    }

    pub fn successes(self, successes: u32) -> Self {
        self.set("defaults.half_open.successes", json!(successes))
    }

    pub fn probe_timeout(self, timeout: Duration) -> Self {
        self.set("defaults.half_open.probe_timeout", json!(text(timeout)))
    }

    pub fn slow_after(self, duration: Duration) -> Self {
        self.set("defaults.classify.slow_after", json!(text(duration)))
    }

    pub fn mode(self, mode: &str) -> Self {
        self.set("defaults.mode", json!(mode))
    }

    pub fn shadow(self) -> Self {
        self.mode("shadow")
    }

    /// The whole chain.
    pub fn fallback(self, chain: Value) -> Self {
        self.set("defaults.fallback", chain)
    }
}

/// Everything else.
impl Config {
    /// What differs from the defaults for one cluster, or a pattern of names.
    pub fn circuit(self, name: &str, policy: Value) -> Self {
        self.set_at(&["circuits", name], policy)
    }

    pub fn namespace(self, namespace: &str) -> Self {
        self.set("namespace", json!(namespace))
    }

    pub fn max_circuits(self, circuits: u32) -> Self {
        self.set("max_circuits", json!(circuits))
    }

    pub fn status_at(self, path: &str) -> Self {
        self.set("status.path", json!(path))
    }

    /// The SHA-256 of the token, in hex.
    pub fn control_token(self, sha256: &str) -> Self {
        self.set("status.control_token_sha256", json!(sha256))
    }

    pub fn webhook(self, cluster: &str) -> Self {
        self.set(
            "events.webhook",
            json!({ "cluster": cluster, "path": "/hook", "authority": "alerts.local" }),
        )
    }
}

/// As durations are written in a configuration.
fn text(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}
