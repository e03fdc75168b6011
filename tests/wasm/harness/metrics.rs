//! Metrics belong to the process, their ids to one VM.

use std::collections::BTreeMap;

use super::abi::Status;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

/// The values, by kind and name. A gauge that was defined and never set has none, as under `/stats?usedonly`.
#[derive(Debug, Default)]
pub struct Metrics(BTreeMap<(Kind, String), Option<u64>>);

impl Metrics {
    pub fn value(&self, kind: Kind, name: &str) -> Option<u64> {
        self.0.get(&(kind, name.to_owned())).copied().flatten()
    }

    pub fn is_defined(&self, name: &str) -> bool {
        self.0.keys().any(|(_, defined)| defined == name)
    }

    pub fn used(&self) -> BTreeMap<String, u64> {
        let used = self.0.iter().filter_map(|((_, name), value)| Some((name.clone(), (*value)?)));
        used.collect()
    }

    pub fn names(&self) -> Vec<String> {
        self.0.keys().map(|(_, name)| name.clone()).collect()
    }

    fn define(&mut self, kind: Kind, name: &str) {
        self.0.entry((kind, name.to_owned())).or_default();
    }

    fn change(&mut self, metric: &(Kind, String), change: impl FnOnce(u64) -> u64) {
        let value = self.0.entry(metric.clone()).or_default();
        *value = Some(change(value.unwrap_or(0)));
    }
}

/// The ids one VM was given. Defining a name again gives another id of the same metric, and an id means nothing elsewhere.
#[derive(Debug, Default)]
pub struct MetricIds(BTreeMap<u32, (Kind, String)>);

impl MetricIds {
    pub fn define(&mut self, metrics: &mut Metrics, kind: u32, name: &str) -> Result<u32, Status> {
        let kind = kind_of(kind)?;
        // The kind sits in the low two bits, as in the real host.
        let id = ((self.0.len() as u32 + 1) << 2) | kind as u32;
        metrics.define(kind, name);
        self.0.insert(id, (kind, name.to_owned()));
        Ok(id)
    }

    pub fn increment(&self, metrics: &mut Metrics, id: u32, offset: i64) -> Result<(), Status> {
        let metric = match kind_of(id & 3)? {
            Kind::Histogram => return Err(Status::BadArgument),
            _ => self.metric(id)?,
        };
        if metric.0 == Kind::Counter && offset <= 0 {
            return Err(Status::BadArgument);
        }
        metrics.change(metric, |value| value.wrapping_add_signed(offset));
        Ok(())
    }

    /// Recording on a counter adds.
    pub fn record(&self, metrics: &mut Metrics, id: u32, value: u64) -> Result<(), Status> {
        let metric = self.metric(id)?;
        metrics.change(metric, |old| if metric.0 == Kind::Counter { old + value } else { value });
        Ok(())
    }

    pub fn get(&self, metrics: &Metrics, id: u32) -> Result<u64, Status> {
        match kind_of(id & 3)? {
            Kind::Histogram => Err(Status::BadArgument),
            kind => Ok(metrics.value(kind, &self.metric(id)?.1).unwrap_or(0)),
        }
    }

    fn metric(&self, id: u32) -> Result<&(Kind, String), Status> {
        self.0.get(&id).ok_or(Status::NotFound)
    }
}

fn kind_of(number: u32) -> Result<Kind, Status> {
    let kinds = [Kind::Counter, Kind::Gauge, Kind::Histogram];
    kinds.get(number as usize).copied().ok_or(Status::BadArgument)
}
