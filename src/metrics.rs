//! The one table of metrics, and what each transition adds to them.

use crate::breaker::State;

/// The host's metrics. All workers share a metric by its name.
pub trait Counters {
    fn define(&self, kind: Kind, name: &str) -> Option<MetricId>;
    /// Adds to a counter. Adding zero is refused by the host: see [`CircuitMetrics::add`].
    fn increment(&self, id: MetricId, by: u64);
    fn set(&self, id: MetricId, value: u64);
    fn value(&self, id: MetricId) -> Option<u64>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MetricId(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
}

/// What is counted for each circuit, as `circuit_breaker.<cluster>.<metric>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    State,
    Opened,
    HalfOpened,
    Closed,
    Rejected,
    WouldReject,
    WouldRejectSucceeded,
    Probes,
    ProbeTimeouts,
    Successes,
    Failures,
    Slow,
    Ignored,
    StaleResults,
    FallbackCacheHit,
    FallbackCacheMiss,
    FallbackRespond,
    FallbackReroute,
}

/// What is counted for the proxy as a whole, as `circuit_breaker.<metric>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyMetric {
    Untracked,
    SharedDataConflicts,
    BadRecords,
    PolicyConflicts,
    WebhookFailed,
}

/// A row of the table in docs/reference.md.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub name: &'static str,
    pub meaning: &'static str,
}

const fn row(name: &'static str, meaning: &'static str) -> Row {
    Row { name, meaning }
}

impl Metric {
    pub const ALL: [Self; 18] = [
        Self::State,
        Self::Opened,
        Self::HalfOpened,
        Self::Closed,
        Self::Rejected,
        Self::WouldReject,
        Self::WouldRejectSucceeded,
        Self::Probes,
        Self::ProbeTimeouts,
        Self::Successes,
        Self::Failures,
        Self::Slow,
        Self::Ignored,
        Self::StaleResults,
        Self::FallbackCacheHit,
        Self::FallbackCacheMiss,
        Self::FallbackRespond,
        Self::FallbackReroute,
    ];

    pub const fn row(self) -> Row {
        match self {
            Self::State => row("state", "gauge: 0 closed, 1 open, 2 half-open"),
            Self::Opened => row("opened", "times the circuit opened, reopenings included"),
            Self::HalfOpened => row("half_opened", "times it went half-open"),
            Self::Closed => row("closed", "times it closed"),
            Self::Rejected => row("rejected", "requests rejected; added once per sync"),
            Self::WouldReject => row("would_reject", "requests that shadow mode let pass"),
            Self::WouldRejectSucceeded => {
                row("would_reject_succeeded", "those of them that succeeded: rejected in vain")
            }
            Self::Probes => row("probes", "requests admitted while half-open"),
            Self::ProbeTimeouts => row("probe_timeouts", "probes whose lease ran out"),
            Self::Successes => row("successes", "requests that succeeded; added once per sync"),
            Self::Failures => row("failures", "requests that failed by the upstream's doing"),
            Self::Slow => row("slow", "requests without response headers within `slow_after`"),
            Self::Ignored => row("ignored", "requests that count neither way"),
            Self::StaleResults => {
                row("stale_results", "outcomes that came after their generation had ended")
            }
            Self::FallbackCacheHit => row("fallback_cache_hit", "requests given a cached reply"),
            Self::FallbackCacheMiss => {
                row("fallback_cache_miss", "requests for which no cached reply was found")
            }
            Self::FallbackRespond => row("fallback_respond", "requests given a fixed answer"),
            Self::FallbackReroute => row("fallback_reroute", "requests sent to another cluster"),
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::State => Kind::Gauge,
            _ => Kind::Counter,
        }
    }

    /// The counter of transitions into `state`.
    pub const fn of_transition(state: State) -> Self {
        match state {
            State::Closed => Self::Closed,
            State::Open => Self::Opened,
            State::HalfOpen => Self::HalfOpened,
        }
    }
}

impl ProxyMetric {
    pub const ALL: [Self; 5] = [
        Self::Untracked,
        Self::SharedDataConflicts,
        Self::BadRecords,
        Self::PolicyConflicts,
        Self::WebhookFailed,
    ];

    pub const fn row(self) -> Row {
        match self {
            Self::Untracked => row("untracked", "requests passed unguarded for want of a circuit"),
            Self::SharedDataConflicts => {
                row("shared_data_conflicts", "races for shared data that were lost and run again")
            }
            Self::BadRecords => row("bad_records", "unreadable values found in shared data"),
            Self::PolicyConflicts => row(
                "policy_conflicts",
                "circuits found shaped by a newer configuration with another policy, once per worker",
            ),
            Self::WebhookFailed => {
                row("webhook_failed", "transitions that the webhook did not confirm with a 2xx")
            }
        }
    }
}

/// The metrics of one circuit.
#[derive(Debug)]
pub struct CircuitMetrics {
    ids: [Option<MetricId>; Metric::ALL.len()],
}

impl CircuitMetrics {
    /// Defines them all: each is there, 0, from the circuit's first sight.
    pub fn define(host: &impl Counters, cluster: &str) -> Self {
        let ids = Metric::ALL.map(|metric| {
            host.define(metric.kind(), &format!("circuit_breaker.{cluster}.{}", metric.row().name))
        });
        Self { ids }
    }

    pub fn add(&self, host: &impl Counters, metric: Metric, by: u64) {
        add(host, self.id(metric), by);
    }

    /// Set from a circuit's first sight: the host does not show a gauge that never was.
    pub fn set_state(&self, host: &impl Counters, state: State) {
        if let Some(id) = self.id(Metric::State) {
            host.set(id, state.as_gauge());
        }
    }

    pub fn value(&self, host: &impl Counters, metric: Metric) -> u64 {
        self.id(metric).and_then(|id| host.value(id)).unwrap_or(0)
    }

    fn id(&self, metric: Metric) -> Option<MetricId> {
        *self.ids.get(metric as usize)?
    }
}

/// The metrics of the proxy.
#[derive(Debug)]
pub struct ProxyMetrics {
    ids: [Option<MetricId>; ProxyMetric::ALL.len()],
}

impl ProxyMetrics {
    pub fn define(host: &impl Counters) -> Self {
        let ids = ProxyMetric::ALL.map(|metric| {
            host.define(Kind::Counter, &format!("circuit_breaker.{}", metric.row().name))
        });
        Self { ids }
    }

    pub fn add(&self, host: &impl Counters, metric: ProxyMetric, by: u64) {
        add(host, self.ids.get(metric as usize).copied().flatten(), by);
    }
}

fn add(host: &impl Counters, id: Option<MetricId>, by: u64) {
    if let Some(id) = id.filter(|_| by > 0) {
        host.increment(id, by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_sits_at_its_own_place() {
        for (place, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!(metric as usize, place);
        }
        for (place, metric) in ProxyMetric::ALL.into_iter().enumerate() {
            assert_eq!(metric as usize, place);
        }
    }
}
