//! The metrics of a running server, in the text formats of Prometheus and OpenMetrics.
//!
//! Nothing is kept here. The counts lie where they are counted, and are read when the text is asked
//! for. No lock is taken that the path of a packet waits for, except for a moment the one of a
//! thread's own counts.
//!
//! | file | its job |
//! |---|---|
//! | `families` | metrics with their labels and values, and how they become text |
//! | `traffic` | the metrics of listeners, sessions and the application |
//! | `codecs` | the metrics of codec slots and their generations |
//! | `node` | the metrics of the server as a whole: NATS, services, compilations, certificates, log |
//! | `process` | the metrics of the process, as all programs name them |
//! | `format` | the formats, and which of them a client wants |

mod codecs;
mod families;
mod format;
mod node;
mod process;
#[cfg(test)]
mod tests;
mod traffic;

use self::families::Families;
pub use self::format::MetricsFormat;
use super::RunningServer;
use super::running::Running;
#[cfg(feature = "control")]
use super::{NodeStatus, memory};
#[cfg(feature = "control")]
use crate::slot::{Slot, Step};
#[cfg(feature = "control")]
use crate::stats::{Histogram, Stats};

impl RunningServer {
    /// Returns the metrics of this server as text. Serve it with [`MetricsFormat::content_type`].
    ///
    /// `docs/observability.md` lists all metrics. With the control API they are also at `GET
    /// /metrics`.
    ///
    /// ```
    /// # use wireplug::{App, CodecSource, Server};
    /// use wireplug::status::MetricsFormat;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pomelo = CodecSource::pomelo(serde_json::json!({}));
    /// let server = Server::new(App::new()).listen("memory://metrics", pomelo).start().await?;
    /// let text = server.metrics(MetricsFormat::Prometheus);
    /// assert!(text.contains("wireplug_sessions 0\n"));
    /// # server.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn metrics(&self, format: MetricsFormat) -> String {
        self.0.metrics(format)
    }
}

/// The counts and times of a server, for people.
#[cfg(feature = "control")]
pub(crate) struct ServerStats {
    pub(crate) node: NodeStatus,
    pub(crate) stats: Stats,
    /// The memory that the process uses, in bytes.
    pub(crate) memory: Option<u64>,
    /// The memory that the process may use, in bytes.
    pub(crate) memory_limit: Option<u64>,
    /// The times of all requests that were timed.
    pub(crate) handler_latency: Histogram,
    /// The times of all steps of codecs that were timed.
    pub(crate) codec_time: Histogram,
}

impl Running {
    /// Returns the metrics as text.
    pub(crate) fn metrics(&self, format: MetricsFormat) -> String {
        families(self).text(format)
    }

    /// Returns the counts and times.
    #[cfg(feature = "control")]
    pub(crate) fn report(&self) -> ServerStats {
        let (mut handler_latency, mut codec_time) = (Histogram::default(), Histogram::default());
        for counts in self.state.counters.answers.snapshot().values() {
            handler_latency.add(&counts.latency);
        }
        for generation in self.slots.all().iter().flat_map(Slot::generations) {
            codec_time.add(&generation.steps(Step::Decode));
            codec_time.add(&generation.steps(Step::Encode));
        }
        ServerStats {
            node: self.nodes.own_status(),
            stats: self.state.counters.snapshot(),
            memory: memory::used(),
            memory_limit: self.state.memory.limit(),
            handler_latency,
            codec_time,
        }
    }
}

/// Returns all metrics with their values.
fn families(running: &Running) -> Families {
    let mut families = Families::default();
    let node = running.nodes.own_status();
    traffic::add(&mut families, &running.state);
    codecs::add(&mut families, &node.codecs, &running.slots.all());
    node::add(&mut families, &node, running);
    process::add(&mut families);
    families
}
