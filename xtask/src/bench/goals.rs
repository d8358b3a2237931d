//! The figures to reach, and whether they are.

use super::figures::Figures;

/// A row of the table.
pub(super) struct Row {
    /// What is measured, and in which unit if it is no ratio.
    what: &'static str,
    /// The figures of the row, each with its goal.
    figures: &'static [(&'static str, Goal)],
}

/// What a figure should be.
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

use Goal::{AtLeast, AtMost};

/// The rows. Each name of a figure is one that a benchmark or the soak `idle` reports.
pub(super) const ROWS: &[Row] = &[
    Row {
        what: "whole server, 50 connections, Wasm : bare framed echo, CPU of a request, pipeline 1; 16",
        figures: &[("server-50-1-wasm-floor", AtMost(1.3)), ("server-50-16-wasm-floor", AtMost(1.8))],
    },
    Row {
        what: "the same, 500 connections",
        figures: &[("server-500-1-wasm-floor", AtMost(1.6)), ("server-500-16-wasm-floor", AtMost(2.0))],
    },
    Row {
        what: "whole server, 50 connections, Wasm : native codec, pipeline 1; 16",
        figures: &[("server-50-1-wasm-native", AtMost(1.15)), ("server-50-16-wasm-native", AtMost(1.25))],
    },
    Row {
        what: "with a scrape a second and 1 % traced : without, CPU of a request, low end of the 95 % interval, pipeline 1; 16",
        figures: &[("observe-50-1", AtMost(1.02)), ("observe-50-16", AtMost(1.02))],
    },
    Row {
        what: "decode and encode of one message, hot, Wasm : native codec",
        figures: &[("codec-message", AtMost(4.0))],
    },
    Row {
        what: "memory of a connection, 300 routes, KiB: awake; asleep over TCP; asleep over WebSocket",
        figures: &[
            ("memory-awake-kib", AtMost(40.0)),
            ("memory-asleep-tcp-kib", AtMost(8.0)),
            ("memory-asleep-websocket-kib", AtMost(10.0)),
        ],
    },
    Row {
        what: "sessions in one process with a sandbox each and heartbeats, none lost: memory; TCP",
        figures: &[("idle-memory-sessions", AtLeast(100_000.0)), ("idle-tcp-sessions", AtLeast(15_000.0))],
    },
    Row {
        what: "waking a session: CPU, µs; latency p99 at 2,000 a second, ms",
        figures: &[("wake-cpu-us", AtMost(60.0)), ("wake-p99-ms", AtMost(2.0))],
    },
    Row { what: "opening a connection, CPU, Wasm : native codec", figures: &[("opening-cpu", AtMost(2.0))] },
    Row {
        what: "push to a group of 10,000 : bare loop of writes, CPU",
        figures: &[("push-10000", AtMost(1.25))],
    },
    Row {
        what: "upgrade with 10,000 sessions, ms until all have moved: awake; asleep",
        figures: &[("upgrade-awake-ms", AtMost(2000.0)), ("upgrade-asleep-ms", AtMost(2000.0))],
    },
    // The bounds: 16 KiB of page tables and 4 GiB of addresses for each sandbox that may exist at a
    // time, which are 11,064 with the default `max-awake`, and 64 KiB of addresses for a session.
    Row {
        what: "100,000 sessions: page tables, MiB; virtual memory that they add, GiB",
        figures: &[
            ("idle-memory-page-tables-mib", AtMost(173.0)),
            ("idle-memory-virtual-added-gib", AtMost(6.0)),
        ],
    },
];

impl Row {
    /// Returns the row in Markdown. A figure that was not measured is a dash, and is not reached.
    pub(super) fn markdown(&self, figures: &Figures) -> String {
        let measured = |name: &str| figures.get(name).copied();
        let goals = self.figures.iter().map(|(_, goal)| number(goal.value()));
        let values = self.figures.iter().map(|(name, _)| measured(name).map_or("-".into(), number));
        let reached = self.figures.iter().map(|(name, goal)| match measured(name) {
            Some(value) if goal.is_reached(value) => "yes",
            _ => "no",
        });
        let reached: Vec<_> = reached.collect();
        let verdict = if reached.windows(2).all(|two| two[0] == two[1]) {
            reached[0].into()
        } else {
            reached.join("; ")
        };
        let joined = |numbers: Vec<String>| numbers.join("; ");
        format!("| {} | {} | {} | {verdict} |", self.what, joined(goals.collect()), joined(values.collect()))
    }
}

impl Goal {
    fn value(&self) -> f64 {
        match *self {
            AtMost(value) | AtLeast(value) => value,
        }
    }

    fn is_reached(&self, value: f64) -> bool {
        match *self {
            AtMost(goal) => value <= goal,
            AtLeast(goal) => value >= goal,
        }
    }
}

/// Returns a number as people write it: with three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        1000.0.. => {
            let digits = format!("{value:.0}");
            let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
            groups.join(",")
        }
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row =
        Row { what: "cost; count", figures: &[("cost", AtMost(1.3)), ("count", AtLeast(100_000.0))] };

    fn row(figures: &[(&str, f64)]) -> String {
        ROW.markdown(&figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect())
    }

    #[test]
    fn a_row_says_what_is_reached() {
        let both = row(&[("cost", 1.3), ("count", 100_000.0)]);
        assert_eq!(both, "| cost; count | 1.30; 100,000 | 1.30; 100,000 | yes |");
        let one = row(&[("cost", 1.304), ("count", 1_234_567.0)]);
        assert_eq!(one, "| cost; count | 1.30; 100,000 | 1.30; 1,234,567 | no; yes |");
        assert_eq!(row(&[("cost", 15.04)]), "| cost; count | 1.30; 100,000 | 15.0; - | no |");
    }
}
