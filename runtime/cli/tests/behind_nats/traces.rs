//! Traces of requests to services, and of handlers in the same process.

use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use serde_json::{Value, json};
use wireplug::app::Json;
use wireplug::config::{NatsConfig, ServerConfig, ServiceConfig};
use wireplug::traces::{Sampling, TraceContext, Traces};
use wireplug::{App, CodecSource, RunningServer, Server};
use wireplug_tests::nats::NatsServer;

use super::{client, echo_headers, serve};

/// Keeps the spans that have ended.
#[derive(Clone, Debug, Default)]
struct Spans(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Spans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(batch);
        Ok(())
    }
}

impl Spans {
    #[track_caller]
    fn named(&self, name: &str) -> SpanData {
        let spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = spans.iter().find(|span| span.name == name).cloned();
        found.unwrap_or_else(|| panic!("no {name} among {spans:?}"))
    }
}

/// Starts a node that traces this share of the requests.
async fn traced(nats: &NatsServer, app: App, ratio: f64) -> (RunningServer, Spans) {
    let spans = Spans::default();
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn);
    let provider = provider.with_simple_exporter(spans.clone()).build();
    // As few sandboxes as the other nodes here, so that several fit into the address space.
    let node = Server::new(app)
        .config(ServerConfig { max_connections: 50, ..ServerConfig::default() })
        .traces(Traces::new(provider.tracer("test"), Sampling::ratio(ratio)))
        .nats(NatsConfig::at(&nats.url()))
        .services([("chat", ServiceConfig::default())])
        .listen("tcp://127.0.0.1:0", CodecSource::pomelo(json!({})))
        .start();
    (node.await.expect("it starts"), spans)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_gets_the_trace_of_its_request() {
    let nats = NatsServer::start();
    serve(&nats.client().await, "wireplug.requests.chat.>", echo_headers).await;
    let (node, spans) = traced(&nats, App::new(), 1.0).await;
    let headers = client(&node).await.call("chat.any.who", &json!({})).await;
    let (request, handler) = (spans.named("chat.any.who"), spans.named("handler"));
    let service = spans.named("request wireplug.requests.chat.any.who");
    assert_eq!(handler.parent_span_id, request.span_context.span_id());
    assert_eq!(service.parent_span_id, handler.span_context.span_id());
    assert_eq!((request.span_kind, service.span_kind), (SpanKind::Server, SpanKind::Client));
    let (trace, span) = (service.span_context.trace_id(), service.span_context.span_id());
    assert_eq!(headers["traceparent"], format!("00-{trace}-{span}-01"), "{headers}");
    assert_eq!(trace, request.span_context.trace_id());
    let status =
        service.attributes.iter().find(|attribute| attribute.key.as_str() == "rpc.response.status_code");
    assert_eq!(status.expect("it has a status").value.as_str(), "200");
}

/// A service that samples by its parent must not trace it either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_learns_that_its_request_is_not_traced() {
    let nats = NatsServer::start();
    serve(&nats.client().await, "wireplug.requests.chat.>", echo_headers).await;
    let (node, spans) = traced(&nats, App::new(), 0.0).await;
    let headers = client(&node).await.call("chat.any.who", &json!({})).await;
    let parent = headers["traceparent"].as_str().expect("it has one");
    assert!(parent.starts_with("00-") && parent.ends_with("-00") && parent.len() == 55, "{parent}");
    assert!(spans.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_has_the_context_of_its_span() {
    let nats = NatsServer::start();
    let who = |TraceContext(context): TraceContext| async move {
        // It is current also after the handler has waited.
        tokio::task::yield_now().await;
        let ids = [&context, &Context::current()].map(|context| context.span().span_context().span_id());
        Json(ids.map(|id| id.to_string()))
    };
    let (node, spans) = traced(&nats, App::new().route("own.who", who), 1.0).await;
    let ids: Value = client(&node).await.call("own.who", &json!({})).await;
    let handler = spans.named("handler").span_context.span_id().to_string();
    assert_eq!(ids, json!([handler, handler]));
}
