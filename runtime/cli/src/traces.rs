//! Exports traces over OTLP, as the standard environment variables of OpenTelemetry say.

mod client;
mod queue;

use std::env;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanProcessor as _,
};
use tokio::task::spawn_blocking;
use wireplug::traces::{Sampling, Traces};

use self::client::Client;
use self::queue::{Bounded, Counted, Queue};

/// How long the end of the process waits until the last spans are sent. A receiver that is there
/// takes them in less.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// The exporter of a server.
#[derive(Default)]
pub(super) struct Exporter(Option<SdkTracerProvider>);

impl Exporter {
    /// Starts to export if a variable names a receiver. Returns what the server needs to trace.
    ///
    /// # Errors
    /// Returns an error if a variable has an invalid value.
    pub(super) fn start() -> anyhow::Result<(Self, Traces)> {
        let Some(sampling) = configured()? else { return Ok((Self::default(), Traces::default())) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new()?)
            .with_protocol(Protocol::HttpBinary)
            .build()
            .context("the traces cannot be exported")?;
        let queue = Queue::new(size()?);
        // The queue in front of it is the one that is full first, and that counts.
        let config = BatchConfigBuilder::default().with_max_queue_size(queue.size());
        let batches = BatchSpanProcessor::builder(Counted::new(exporter, queue.clone()));
        let batches = batches.with_batch_config(config.build()).build();
        let mut bounded = Bounded::new(batches, queue);
        let resource = resource();
        bounded.set_resource(&resource);
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .with_span_processor(bounded)
            .build();
        let traces = Traces::new(provider.tracer("wireplug"), sampling);
        Ok((Self(Some(provider)), traces))
    }

    /// Sends the last spans, for at most 2 s.
    pub(super) async fn end(self) {
        let Some(provider) = self.0 else { return };
        // The log has said already if the receiver is not there.
        let _ = spawn_blocking(move || provider.shutdown_with_timeout(LAST_SPANS)).await;
    }
}

/// Returns the value of a variable. An empty one counts as none, as the specification says.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the sampling if a receiver is named, and traces are not switched off.
fn configured() -> anyhow::Result<Option<Sampling>> {
    let is_disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let endpoint = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    if is_disabled || !endpoint.into_iter().any(|name| variable(name).is_some()) {
        return Ok(None);
    }
    match variable("OTEL_TRACES_EXPORTER").as_deref() {
        None | Some("otlp") => {}
        Some("none") => return Ok(None),
        Some(other) => bail!("OTEL_TRACES_EXPORTER={other:?} is not supported: write otlp or none"),
    }
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        let protocol = variable(name).unwrap_or_else(|| "http/protobuf".to_owned());
        ensure!(
            protocol == "http/protobuf",
            "{name}={protocol:?} is not supported: write http/protobuf, which receivers take at port 4318"
        );
    }
    let sampler = variable("OTEL_TRACES_SAMPLER");
    sampling(sampler.as_deref(), variable("OTEL_TRACES_SAMPLER_ARG").as_deref()).map(Some)
}

/// Returns the sampling that a sampler and its argument name.
fn sampling(sampler: Option<&str>, argument: Option<&str>) -> anyhow::Result<Sampling> {
    let sampler = sampler.unwrap_or("parentbased_always_on");
    let (root, by_parent) = match sampler.strip_prefix("parentbased_") {
        Some(root) => (root, true),
        None => (sampler, false),
    };
    let ratio = match root {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => match argument.map(str::parse::<f64>) {
            None => 1.0,
            Some(Ok(ratio)) if (0.0..=1.0).contains(&ratio) => ratio,
            Some(_) => bail!(
                "OTEL_TRACES_SAMPLER_ARG={:?} is not a number from 0 to 1",
                argument.unwrap_or_default()
            ),
        },
        _ => bail!(
            "OTEL_TRACES_SAMPLER={sampler:?} is not known: write always_on, always_off or traceidratio, or one of \
             these behind parentbased_"
        ),
    };
    let sampling = Sampling::ratio(ratio);
    Ok(if by_parent { sampling.by_parent() } else { sampling })
}

/// Returns how many spans may wait.
fn size() -> anyhow::Result<usize> {
    const NAME: &str = "OTEL_BSP_MAX_QUEUE_SIZE";
    let Some(value) = variable(NAME) else { return Ok(queue::SIZE) };
    match value.parse() {
        Ok(size) if size > 0 => Ok(size),
        _ => bail!("{NAME}={value:?} is not a number of spans above 0"),
    }
}

/// Returns what the spans are about. The variables override the name.
fn resource() -> Resource {
    let is_named = variable("OTEL_SERVICE_NAME").is_some()
        || variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|list| list.contains("service.name="));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attribute(version);
    if is_named { resource.build() } else { resource.with_service_name("wireplug").build() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_have_their_standard_names() {
        let of = |sampler, argument| sampling(sampler, argument).map_err(|error| error.to_string());
        let all = Sampling::ratio(1.0);
        assert_eq!(of(None, None), Ok(all.by_parent()));
        assert_eq!(of(Some("always_on"), None), Ok(all));
        assert_eq!(of(Some("parentbased_always_off"), None), Ok(Sampling::ratio(0.0).by_parent()));
        assert_eq!(of(Some("traceidratio"), Some("0.25")), Ok(Sampling::ratio(0.25)));
        assert_eq!(of(Some("parentbased_traceidratio"), None), Ok(all.by_parent()));
        for wrong in ["2", "-1", "x", "NaN"] {
            let why = of(Some("traceidratio"), Some(wrong)).unwrap_err();
            assert!(why.contains(wrong) && why.contains("from 0 to 1"), "{why}");
        }
        assert!(of(Some("xray"), None).unwrap_err().contains("is not known"));
    }
}
