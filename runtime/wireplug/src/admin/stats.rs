//! Reports the nodes, metrics and counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::api::Api;
use crate::server::{MetricsFormat, NodeStatus, ServerStats};
use crate::stats::{Histogram, Stats};

/// The answer to `GET /stats`. All counts are since the start.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Stats")]
pub(super) struct Report {
    /// The name of the node, or `None` if the server serves alone.
    node: Option<String>,
    /// The version of wireplug.
    version: String,
    /// How long the node has been running, in seconds.
    uptime_seconds: u64,
    /// Connections that are open.
    connections_open: u64,
    /// Connections that were accepted.
    connections_total: u64,
    /// Packets from clients.
    packets_in: u64,
    /// Packets to clients.
    packets_out: u64,
    /// Bytes from clients.
    bytes_in: u64,
    /// Bytes to clients.
    bytes_out: u64,
    /// Messages from clients to the application.
    messages_in: u64,
    /// Messages of the application to clients.
    messages_out: u64,
    /// Responses of the application, by status.
    responses: BTreeMap<u16, u64>,
    /// Connections that ended, by cause.
    closes: BTreeMap<&'static str, u64>,
    /// Packets and messages that were lost, by cause.
    drops: BTreeMap<&'static str, u64>,
    /// Connections that ended because the codec failed, by cause.
    faults: BTreeMap<&'static str, u64>,
    /// Sessions that have a sandbox.
    sessions_awake: u64,
    /// Sessions that are saved and have no sandbox.
    sessions_asleep: u64,
    /// The memory of the process, in bytes. `None` if the system does not tell it.
    memory_bytes: Option<u64>,
    /// The memory that the process may use, in bytes. `None` if there is no limit.
    memory_limit_bytes: Option<u64>,
    /// How long the application took to respond.
    handler_latency: Times,
    /// How long calls of codecs took.
    codec_time: Times,
}

/// Quantiles of the times that were sampled since the start, in microseconds. `None` if there are
/// no times.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Times {
    /// Half of the times are shorter.
    p50_us: Option<f64>,
    /// 99 % of the times are shorter.
    p99_us: Option<f64>,
}

impl Times {
    fn of(times: &Histogram) -> Self {
        let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
        Self { p50_us: times.quantile(0.5).map(micros), p99_us: times.quantile(0.99).map(micros) }
    }
}

/// Answers `GET /nodes`.
pub(super) async fn nodes(State(api): State<Arc<Api>>) -> Json<Vec<NodeStatus>> {
    Json(api.server.nodes.status().await)
}

/// Answers `GET /metrics`.
pub(super) async fn metrics(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let accepts: Vec<_> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = MetricsFormat::of_accept(&accepts.join(","));
    ([(CONTENT_TYPE, format.content_type())], api.server.metrics(format)).into_response()
}

/// Answers `GET /stats`.
pub(super) async fn stats(State(api): State<Arc<Api>>) -> Json<Report> {
    let ServerStats { node, stats, memory, memory_limit, handler_latency, codec_time } = api.server.report();
    let faults = stats.faults().collect();
    let Stats { connections_open, connections_accepted, packets_in, packets_out, .. } = stats;
    let Stats { bytes_in, bytes_out, messages_in, messages_out, responses, closes, drops, .. } = stats;
    let generations = node.codecs.iter().flat_map(|slot| &slot.generations);
    Json(Report {
        uptime_seconds: node.uptime,
        connections_open,
        connections_total: connections_accepted,
        packets_in,
        packets_out,
        bytes_in,
        bytes_out,
        messages_in,
        messages_out,
        responses,
        closes,
        drops,
        faults,
        sessions_awake: node.awake.awake,
        sessions_asleep: generations.map(|generation| generation.sleep.asleep).sum(),
        memory_bytes: memory,
        memory_limit_bytes: memory_limit,
        handler_latency: Times::of(&handler_latency),
        codec_time: Times::of(&codec_time),
        node: node.node,
        version: node.version,
    })
}
