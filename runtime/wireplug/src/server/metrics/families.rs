//! Metrics with their labels and values, and how they become text.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::MetricsFormat;
use crate::stats::Histogram;

/// Metrics with their values.
#[derive(Debug, Default)]
pub(super) struct Families(Vec<Family>);

/// A metric, with a value for each set of values of its labels.
#[derive(Debug)]
pub(super) struct Family {
    /// The name without unit and ending.
    name: &'static str,
    kind: MetricType,
    unit: Option<Unit>,
    labels: &'static [&'static str],
    help: &'static str,
    series: Vec<(Vec<String>, Value)>,
}

#[derive(Debug)]
enum Value {
    Count(u64),
    Number(f64),
    Times(Histogram),
    Info,
}

impl Families {
    fn add(
        &mut self,
        kind: MetricType,
        (name, unit): (&'static str, Option<Unit>),
        labels: &'static [&'static str],
        help: &'static str,
    ) -> &mut Family {
        self.0.push(Family { name, kind, unit, labels, help, series: Vec::new() });
        self.0.last_mut().expect("it was pushed")
    }

    /// Adds a count that only grows. The text has its name with `_total`.
    pub(super) fn counter(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> &mut Family {
        self.add(MetricType::Counter, (name, None), labels, help)
    }

    /// Adds a count of a unit. The text has its name with the unit and `_total`.
    pub(super) fn counter_in(
        &mut self,
        unit: Unit,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> &mut Family {
        self.add(MetricType::Counter, (name, Some(unit)), labels, help)
    }

    /// Adds a value that rises and falls.
    pub(super) fn gauge(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> &mut Family {
        self.add(MetricType::Gauge, (name, None), labels, help)
    }

    /// Adds a value of a unit. The text has its name with the unit.
    pub(super) fn gauge_in(
        &mut self,
        unit: Unit,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> &mut Family {
        self.add(MetricType::Gauge, (name, Some(unit)), labels, help)
    }

    /// Adds times. The text has its name with `_seconds`.
    pub(super) fn times(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> &mut Family {
        self.add(MetricType::Histogram, (name, Some(Unit::Seconds)), labels, help)
    }

    /// Adds facts that are labels. The text has its name with `_info`, and the value is 1.
    pub(super) fn info(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> &mut Family {
        self.add(MetricType::Info, (name, None), labels, help)
    }

    /// Returns the metrics as text.
    pub(super) fn text(self, format: MetricsFormat) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        let encoded = match format {
            MetricsFormat::Prometheus => prometheus_text::encode(&mut text, &registry),
            MetricsFormat::OpenMetrics => text::encode(&mut text, &registry),
        };
        encoded.expect("a string takes all text");
        text
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> &[Family] {
        &self.0
    }
}

impl Family {
    fn push(&mut self, labels: &[&str], value: Value) -> &mut Self {
        debug_assert_eq!(labels.len(), self.labels.len(), "{}", self.name);
        self.series.push((labels.iter().map(|label| (*label).to_owned()).collect(), value));
        self
    }

    /// Sets a count.
    pub(super) fn count(&mut self, labels: &[&str], value: u64) -> &mut Self {
        self.push(labels, Value::Count(value))
    }

    /// Sets a value.
    pub(super) fn set(&mut self, labels: &[&str], value: f64) -> &mut Self {
        self.push(labels, Value::Number(value))
    }

    /// Sets the value of a metric without labels, if it is known.
    pub(super) fn known(&mut self, value: Option<f64>) -> &mut Self {
        match value {
            Some(value) => self.set(&[], value),
            None => self,
        }
    }

    /// Sets times.
    pub(super) fn histogram(&mut self, labels: &[&str], times: Histogram) -> &mut Self {
        self.push(labels, Value::Times(times))
    }

    /// Sets facts.
    pub(super) fn fact(&mut self, labels: &[&str]) -> &mut Self {
        self.push(labels, Value::Info)
    }

    #[cfg(test)]
    pub(super) fn full_name(&self) -> String {
        let unit = self.unit.as_ref().map(|unit| format!("_{}", unit.as_str())).unwrap_or_default();
        let ending = match self.kind {
            MetricType::Counter => "_total",
            MetricType::Info => "_info",
            _ => "",
        };
        format!("{}{unit}{ending}", self.name)
    }

    /// Returns the row of the documentation: name, type, labels, unit and meaning.
    #[cfg(test)]
    pub(super) fn row(&self) -> String {
        let kind = match self.kind {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            _ => "info",
        };
        let labels: Vec<_> = self.labels.iter().map(|label| format!("`{label}`")).collect();
        let unit = self.unit.as_ref().map_or("", Unit::as_str);
        format!("| `{}` | {kind} | {} | {unit} | {} |\n", self.full_name(), labels.join(", "), self.help)
    }
}

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, kind, unit, labels, help, series } in &self.0 {
            let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), *kind)?;
            for (values, value) in series {
                let labels: Vec<(&str, &str)> =
                    labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
                if matches!(value, Value::Info) {
                    metric.encode_info(&labels)?;
                    continue;
                }
                let mut metric = metric.encode_family(&labels)?;
                match (kind, value) {
                    (MetricType::Counter, Value::Count(count)) => {
                        metric.encode_counter::<NoLabelSet, _, f64>(count, None)?;
                    }
                    (MetricType::Counter, Value::Number(sum)) => {
                        metric.encode_counter::<NoLabelSet, _, f64>(sum, None)?;
                    }
                    (_, Value::Count(count)) => metric.encode_gauge(count)?,
                    (_, Value::Number(value)) => metric.encode_gauge(value)?,
                    (_, Value::Times(times)) => {
                        let (sum, count) = (times.sum_seconds(), times.count());
                        metric.encode_histogram::<NoLabelSet>(sum, count, &times.buckets(), None)?;
                    }
                    (_, Value::Info) => unreachable!("it is encoded above"),
                }
            }
        }
        Ok(())
    }
}
