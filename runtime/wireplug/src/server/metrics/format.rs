//! The text formats of metrics.

/// A text format of metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricsFormat {
    /// The text format of Prometheus, version 0.0.4.
    #[default]
    Prometheus,
    /// OpenMetrics, version 1.0.
    OpenMetrics,
}

impl MetricsFormat {
    /// Returns the value of the header `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Returns the format that a header `Accept` asks for: OpenMetrics if it names that format and
    /// does not prefer plain text, and otherwise that of Prometheus.
    #[must_use]
    pub fn of_accept(accept: &str) -> Self {
        let weight =
            |name: &str| accept.split(',').filter_map(|range| weight(range, name)).fold(0.0, f32::max);
        let open_metrics = weight("application/openmetrics-text");
        if open_metrics > 0.0 && open_metrics >= weight("text/plain") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }
}

/// Returns the weight of a range such as `text/plain;version=0.0.4;q=0.5`, if it is of this type.
fn weight(range: &str, name: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(name) {
        return None;
    }
    let weight = parts.find_map(|part| part.strip_prefix("q="));
    Some(weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        for (accept, format) in [
            ("", MetricsFormat::Prometheus),
            ("*/*", MetricsFormat::Prometheus),
            ("text/plain;version=0.0.4", MetricsFormat::Prometheus),
            ("application/openmetrics-text", MetricsFormat::OpenMetrics),
            ("Application/OpenMetrics-Text; version=1.0.0; q=0", MetricsFormat::Prometheus),
            ("application/openmetrics-text;q=0.3, text/plain;q=0.5", MetricsFormat::Prometheus),
            // What Prometheus 2 and 3 send.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                MetricsFormat::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                MetricsFormat::OpenMetrics,
            ),
        ] {
            assert_eq!(MetricsFormat::of_accept(accept), format, "{accept}");
        }
    }
}
