//! The report of a run, as text for people and as JSON for programs.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::args::Args;
use super::tally::{Cause, Tally};

/// The results of a run.
pub(super) struct Report<'a> {
    pub(super) args: &'a Args,
    /// The number of connections that were open when the measured time began.
    pub(super) connections: u32,
    pub(super) measured: Duration,
    /// The number of requests or messages that were due and never sent; `None` without a fixed
    /// rate.
    pub(super) backlog: Option<u64>,
    /// The CPU time that the load generator used in the measured time.
    pub(super) generator: Duration,
    pub(super) server: Option<Usage>,
    pub(super) total: &'a Tally,
}

/// The resources that the server used.
pub(super) struct Usage {
    pub(super) cpu: Duration,
    /// Its resident memory at the end, in bytes.
    pub(super) resident: u64,
    /// Its resident memory before the first connection, in bytes.
    pub(super) resident_before: u64,
}

/// Returns the word for what a run receives.
pub(super) fn received(args: &Args) -> &'static str {
    if args.push_fan_out { "pushes" } else { "answers" }
}

impl Report<'_> {
    fn received(&self) -> u64 {
        self.total.latency.len()
    }

    fn per_second(&self) -> f64 {
        self.received() as f64 / self.measured.as_secs_f64()
    }

    /// Returns the CPU time for each answer or push, in nanoseconds; `None` if the run received
    /// none.
    fn for_each(&self, cpu: Duration) -> Option<f64> {
        (self.received() > 0).then(|| cpu.as_nanos() as f64 / self.received() as f64)
    }

    fn cores(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() / self.measured.as_secs_f64()
    }

    fn growth(&self, server: &Usage) -> f64 {
        server.resident.saturating_sub(server.resident_before) as f64 / f64::from(self.connections)
    }

    fn mode(&self) -> &'static str {
        match (self.args.push_fan_out, self.args.rate()) {
            (true, _) => "push-fan-out",
            (false, Some(_)) => "fixed-rate",
            (false, None) => "closed-loop",
        }
    }

    /// Returns the latencies by name, in nanoseconds.
    fn latencies(&self) -> [(&'static str, f64); 7] {
        let latency = &self.total.latency;
        let at = |quantile| latency.value_at_quantile(quantile) as f64;
        [
            ("min", latency.min() as f64),
            ("mean", latency.mean()),
            ("p50", at(0.5)),
            ("p90", at(0.9)),
            ("p99", at(0.99)),
            ("p99.9", at(0.999)),
            ("max", latency.max() as f64),
        ]
    }

    /// Returns the report as one JSON object. Programs rely on its keys, so they must not change.
    pub(super) fn json(&self) -> Value {
        let (sent, each) = match self.args.push_fan_out {
            true => ("messages", "cpu-ns-per-push"),
            false => ("requests", "cpu-ns-per-request"),
        };
        let latency: Map<_, _> = self
            .latencies()
            .map(|(name, time)| (name.replace('.', "-"), json!(time / 1e3)))
            .into_iter()
            .collect();
        let errors: Map<_, _> = Cause::ALL
            .map(|cause| {
                let count = self.total.errors.get(&cause).map_or(0, |errors| errors.count);
                (cause.name().to_owned(), json!(count))
            })
            .into_iter()
            .collect();
        let cpu = |cpu| json!({ each: self.for_each(cpu), "cores": self.cores(cpu) });
        let server = self.server.as_ref().map(|server| {
            let mut usage = cpu(server.cpu);
            usage["pid"] = json!(self.args.pid);
            usage["resident-bytes"] = json!(server.resident);
            usage["resident-bytes-before"] = json!(server.resident_before);
            usage["resident-bytes-per-connection"] = json!(self.growth(server));
            usage
        });
        let received = received(self.args);
        json!({
            "url": self.args.url,
            "mode": self.mode(),
            "connections": self.connections,
            "pipeline": (!self.args.push_fan_out).then_some(self.args.pipeline),
            "body-bytes": self.args.body,
            "rate": self.args.rate(),
            "seconds": self.measured.as_secs_f64(),
            sent: self.total.sent,
            received: self.received(),
            format!("{received}-per-second"): self.per_second(),
            "backlog": self.backlog,
            "latency-us": latency,
            "error-count": self.total.error_count(),
            "errors": errors,
            "generator": cpu(self.generator),
            "server": server,
        })
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args = self.args;
        let (sent, each) = if args.push_fan_out { ("messages", "push") } else { ("requests", "request") };
        write!(to, "{}: {}, {} connections", args.url, self.mode(), self.connections)?;
        if !args.push_fan_out {
            write!(to, ", at most {} in flight on each", args.pipeline)?;
        }
        writeln!(to, ", bodies of {} bytes, {:.1} s", args.body, self.measured.as_secs_f64())?;

        writeln!(to)?;
        write!(to, "{sent:12}{}", self.total.sent)?;
        if let (Some(backlog), Some(rate)) = (self.backlog, args.rate()) {
            write!(to, " of {} due at {rate}/s, {backlog} never sent", self.total.sent + backlog)?;
        }
        writeln!(to)?;
        writeln!(to, "{:12}{}, {:.0}/s", received(args), self.received(), self.per_second())?;
        if self.received() > 0 {
            let latencies = self.latencies();
            let cells = |cell: fn(&(&str, f64)) -> String| {
                latencies.each_ref().map(|latency| format!("{:>10}", cell(latency))).concat()
            };
            writeln!(to, "{:12}{}", "latency", cells(|(name, _)| (*name).to_owned()))?;
            writeln!(to, "{:12}{}", "", cells(|(_, time)| time_text(*time)))?;
        }
        let cpu = |cpu| {
            let time = self.for_each(cpu).map(|time| format!("{} of CPU time a {each}, ", time_text(time)));
            format!("{}{:.2} cores", time.unwrap_or_default(), self.cores(cpu))
        };
        if let Some(server) = &self.server {
            let (resident, growth) = (size_text(server.resident as f64), size_text(self.growth(server)));
            writeln!(to, "{:12}{}", "server", cpu(server.cpu))?;
            writeln!(to, "{:12}{resident} resident, {growth} more for each connection", "")?;
        } else if let Some(pid) = args.pid {
            writeln!(to, "{:12}process {pid} has ended", "server")?;
        }
        writeln!(to, "{:12}{}", "generator", cpu(self.generator))?;

        write!(to, "{:12}{}", "errors", self.total.error_count())?;
        for (cause, errors) in &self.total.errors {
            write!(to, "\n{:12}{} {}, the first: {}", "", errors.count, cause.name(), errors.first)?;
        }
        Ok(())
    }
}

/// Formats a time in nanoseconds with about three digits and a unit.
fn time_text(time: f64) -> String {
    let (value, unit) = match time {
        ..1e6 => (time / 1e3, "µs"),
        ..1e9 => (time / 1e6, "ms"),
        _ => (time / 1e9, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

fn size_text(bytes: f64) -> String {
    let (value, unit) = match bytes {
        ..1048576.0 => (bytes / 1024.0, "KiB"),
        _ => (bytes / 1048576.0, "MiB"),
    };
    format!("{} {unit}", three_digits(value))
}

fn three_digits(value: f64) -> String {
    let decimals = match value {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}
