//! Spans of OpenTelemetry. Their names and attributes follow its semantic conventions.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{
    Link as SpanLink, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _,
    Tracer as _,
};
use opentelemetry::{Context, ContextGuard, KeyValue, StringValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, Span};

use super::Sampling;
use crate::app::{Error, FromRequest, Request};
use crate::codec::Reason;
use crate::session::{ClientInfo, CloseReason, Session};

/// Traces connections and requests. Cheap to clone.
///
/// ```
/// use opentelemetry::trace::TracerProvider as _;
/// use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
/// use wireplug::traces::{Sampling, Traces};
/// use wireplug::{App, Server};
///
/// // Add an exporter here. wireplug has sampled already when it begins a span.
/// let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).build();
/// let traces = Traces::new(provider.tracer("my-server"), Sampling::ratio(0.01).by_parent());
/// let server = Server::new(App::new()).traces(traces);
/// # let _ = server;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Tracing>>);

#[derive(Debug)]
struct Tracing {
    tracer: SdkTracer,
    sampling: Sampling,
}

impl Traces {
    /// Traces what `sampling` takes with this tracer, whose provider must sample always.
    pub fn new(tracer: SdkTracer, sampling: Sampling) -> Self {
        Self(Some(Arc::new(Tracing { tracer, sampling })))
    }

    /// Begins the span of a connection that began at `since`, if it is to be traced.
    pub(crate) fn connection(
        &self,
        session: &Session,
        listener: &str,
        codec: &str,
        since: SystemTime,
    ) -> ConnectionTrace {
        let Some(tracing) = &self.0 else { return ConnectionTrace::default() };
        let client = session.client();
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(client));
        let is_sampled = Some(parent.span().span_context().clone())
            .filter(SpanContext::is_valid)
            .map(|parent| parent.is_sampled());
        let span = tracing.sampling.takes(is_sampled).then(|| {
            let mut attributes = vec![
                KeyValue::new("network.transport", transport(&client.transport)),
                KeyValue::new("wireplug.session.id", number(session.id().0)),
                KeyValue::new("wireplug.transport", client.transport.clone()),
                KeyValue::new("wireplug.listener", listener.to_owned()),
                KeyValue::new("wireplug.codec", codec.to_owned()),
            ];
            attributes.extend(address(&client.address));
            let builder = SpanBuilder::from_name("connection").with_kind(SpanKind::Server);
            let builder = builder.with_start_time(since).with_attributes(attributes);
            Box::new(tracing.tracer.build_with_context(builder, &parent))
        });
        ConnectionTrace { span, is_sampled }
    }

    /// Begins the span of a request, if it is to be traced.
    pub(crate) fn request(&self, link: &Link, request: &mut Request) -> Option<Box<RequestTrace>> {
        let tracing = self.0.as_ref()?;
        if !tracing.sampling.takes(link.is_sampled) {
            request.trace = Trace(State::NotSampled);
            return None;
        }
        let route = Reason::new(&*request.route).to_string();
        let attributes = [
            KeyValue::new("rpc.system.name", "wireplug"),
            KeyValue::new("rpc.method", route.clone()),
            KeyValue::new("wireplug.session.id", number(request.session.id().0)),
        ];
        let id = request.id.map(|id| KeyValue::new("wireplug.request.id", number(id)));
        let mut builder = SpanBuilder::from_name(route).with_kind(SpanKind::Server);
        // A connection may last for days, so its requests are traces of their own.
        builder.links = link.connection.clone().map(|span| vec![SpanLink::with_context(span)]);
        let builder = builder.with_attributes(attributes.into_iter().chain(id));
        let span = tracing.tracer.build_with_context(builder, &Context::new());
        let (tracing, request) = (Arc::clone(tracing), Context::new().with_span(span));
        Some(Box::new(RequestTrace { tracing, request, handler: None }))
    }
}

/// The span of a connection, if it is traced.
#[derive(Default)]
pub(crate) struct ConnectionTrace {
    /// In a box, because most connections are not traced, and a span is large.
    span: Option<Box<Span>>,
    /// Whether the client's own trace is sampled, if the client has sent one.
    is_sampled: Option<bool>,
}

/// What requests know of the span of their connection.
#[derive(Default)]
pub(crate) struct Link {
    connection: Option<SpanContext>,
    is_sampled: Option<bool>,
}

impl ConnectionTrace {
    pub(crate) fn link(&self) -> Link {
        let connection = self.span.as_ref().map(|span| span.span_context().clone());
        Link { connection, is_sampled: self.is_sampled }
    }

    pub(crate) fn end(&mut self, session: &Session, generation: Option<u64>, reason: &CloseReason) {
        let Some(mut span) = self.span.take() else { return };
        span.set_attribute(KeyValue::new("wireplug.close.cause", reason.cause()));
        if let Some(generation) = generation {
            span.set_attribute(KeyValue::new("wireplug.codec.generation", number(generation)));
        }
        user(session).into_iter().for_each(|user| span.set_attribute(user));
        if matches!(reason, CloseReason::CodecFault(_) | CloseReason::Internal) {
            span.set_attribute(KeyValue::new("error.type", reason.cause()));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// The spans of a request that is traced. If it is dropped, the spans end.
pub(crate) struct RequestTrace {
    tracing: Arc<Tracing>,
    request: Context,
    handler: Option<Context>,
}

/// While it exists, the span of the handler is the current one of this thread.
pub(crate) type Attached = ContextGuard;

impl RequestTrace {
    /// Begins the span of the handler.
    pub(crate) fn begin_handler(&mut self, request: &mut Request) {
        let builder = SpanBuilder::from_name("handler").with_kind(SpanKind::Internal);
        let span = self.tracing.tracer.build_with_context(builder, &self.request);
        let handler = self.request.with_span(span);
        request.trace = Trace(State::Sampled(Arc::clone(&self.tracing), handler.clone()));
        self.handler = Some(handler);
    }

    pub(crate) fn attach(&self) -> Attached {
        self.handler.as_ref().unwrap_or(&self.request).clone().attach()
    }

    pub(crate) fn end(&self, session: &Session, status: u16) {
        if let Some(handler) = &self.handler {
            handler.span().end();
        }
        let span = self.request.span();
        user(session).into_iter().for_each(|user| span.set_attribute(user));
        set_status(&span, status);
        span.end();
    }
}

impl fmt::Debug for RequestTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestTrace").finish_non_exhaustive()
    }
}

/// The trace of a request, in the request.
#[derive(Clone, Default)]
pub(crate) struct Trace(State);

#[derive(Clone, Default)]
enum State {
    #[default]
    Off,
    NotSampled,
    /// The span of the handler.
    #[cfg_attr(
        not(any(feature = "http", feature = "nats")),
        expect(dead_code, reason = "services continue the trace")
    )]
    Sampled(Arc<Tracing>, Context),
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self.0, State::Sampled(..)) { "Trace(sampled)" } else { "Trace" })
    }
}

/// The trace of a request, as an argument of its handler: the context of the handler's span. If the
/// request is not traced, it is an empty context.
///
/// While the handler runs, the context is also [`Context::current`]. A handler needs it for work
/// that runs elsewhere, and for spans of the crate `tracing`: the layer of `tracing-opentelemetry`
/// takes it by `OpenTelemetrySpanExt::set_parent`.
#[derive(Clone, Debug, Default)]
pub struct TraceContext(pub Context);

impl<S> FromRequest<S> for TraceContext {
    fn from_request(request: &Request, _state: &S) -> Result<Self, Error> {
        Ok(match &request.trace.0 {
            State::Sampled(_, handler) => Self(handler.clone()),
            State::Off | State::NotSampled => Self::default(),
        })
    }
}

/// The attributes of a client as headers: the header fields that the listener names.
struct Headers<'a>(&'a ClientInfo);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        // Attributes have the names in lower case, as this key is.
        let is_named = |name: &str| name.strip_prefix("header:") == Some(key);
        self.0.attributes.iter().find(|(name, _)| is_named(name)).map(|(_, value)| &**value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.attributes.iter().filter_map(|(name, _)| name.strip_prefix("header:")).collect()
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns the transport below the one of the listener.
fn transport(name: &str) -> &'static str {
    match name {
        "udp" => "udp",
        "unix" => "unix",
        "pipe" => "pipe",
        "memory" | "shm" => "memory",
        _ => "tcp",
    }
}

/// Returns the attributes of an address, which is `ip:port` or `[v6]:port`.
fn address(address: &str) -> Vec<KeyValue> {
    match address.parse::<std::net::SocketAddr>() {
        Ok(address) => vec![
            KeyValue::new("client.address", address.ip().to_string()),
            KeyValue::new("client.port", i64::from(address.port())),
        ],
        Err(_) => Vec::new(),
    }
}

fn user(session: &Session) -> Option<KeyValue> {
    session.user().map(|user| KeyValue::new("user.id", StringValue::from(user.to_string())))
}

/// Notes the status of a response. Only the server's own faults are errors of a server.
fn set_status(span: &opentelemetry::trace::SpanRef<'_>, status: u16) {
    span.set_attribute(KeyValue::new("rpc.response.status_code", status.to_string()));
    if status >= 500 {
        span.set_attribute(KeyValue::new("error.type", status.to_string()));
        span.set_status(Status::error(""));
    }
}

#[cfg(any(feature = "http", feature = "nats"))]
mod service {
    use opentelemetry::propagation::{Injector, TextMapPropagator as _};
    use opentelemetry::trace::{SpanBuilder, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId};
    use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};

    use super::*;

    /// The span of a request to a service.
    pub(crate) struct ServiceTrace(State);

    enum State {
        Off,
        NotSampled,
        Sampled(Context),
    }

    impl Trace {
        /// Begins the span of a request to a service over HTTP. `url` is where the service answers
        /// all its routes.
        #[cfg(feature = "http")]
        pub(crate) fn http(&self, route: &str, url: &str) -> ServiceTrace {
            self.begin(|| {
                let attributes = vec![
                    KeyValue::new("http.request.method", "POST"),
                    KeyValue::new("url.full", url.to_owned()),
                    KeyValue::new("rpc.method", Reason::new(route).to_string()),
                ];
                ("POST".to_owned(), SpanKind::Client, attributes)
            })
        }

        /// Begins the span of a request to a service over NATS, or of a notification.
        #[cfg(feature = "nats")]
        pub(crate) fn nats(&self, route: &str, subject: &str, is_request: bool) -> ServiceTrace {
            self.begin(|| {
                let (kind, operation) = match is_request {
                    true => (SpanKind::Client, "request"),
                    false => (SpanKind::Producer, "send"),
                };
                let attributes = vec![
                    KeyValue::new("messaging.system", "nats"),
                    KeyValue::new("messaging.operation.name", operation),
                    KeyValue::new("messaging.operation.type", "send"),
                    KeyValue::new("messaging.destination.name", subject.to_owned()),
                    KeyValue::new("rpc.method", Reason::new(route).to_string()),
                ];
                (format!("{operation} {subject}"), kind, attributes)
            })
        }

        /// Begins a span with the name, kind and attributes that `describe` returns, if the request
        /// is traced.
        fn begin(&self, describe: impl FnOnce() -> (String, SpanKind, Vec<KeyValue>)) -> ServiceTrace {
            let (tracing, handler) = match &self.0 {
                super::State::Off => return ServiceTrace(State::Off),
                super::State::NotSampled => return ServiceTrace(State::NotSampled),
                super::State::Sampled(tracing, handler) => (tracing, handler),
            };
            let (name, kind, attributes) = describe();
            let builder = SpanBuilder::from_name(name).with_kind(kind).with_attributes(attributes);
            let span = tracing.tracer.build_with_context(builder, handler);
            ServiceTrace(State::Sampled(handler.with_span(span)))
        }
    }

    impl ServiceTrace {
        /// Gives the headers `traceparent` and `tracestate` to `put`. A request that is not traced
        /// has a `traceparent` that says so, so that the service does not trace it either.
        pub(crate) fn inject(&self, mut put: impl FnMut(&str, &str)) {
            let context = match &self.0 {
                State::Off => return,
                State::Sampled(context) => context.clone(),
                State::NotSampled => {
                    let ids = RandomIdGenerator::default();
                    let (trace, span): (TraceId, SpanId) = (ids.new_trace_id(), ids.new_span_id());
                    let not_sampled = TraceFlags::default();
                    let span = SpanContext::new(trace, span, not_sampled, false, Default::default());
                    Context::new().with_remote_span_context(span)
                }
            };
            TraceContextPropagator::new().inject_context(&context, &mut Put(&mut put));
        }

        pub(crate) fn end(&self, status: u16) {
            if let State::Sampled(context) = &self.0 {
                set_status(&context.span(), status);
                context.span().end();
            }
        }
    }

    struct Put<F>(F);

    impl<F: FnMut(&str, &str)> Injector for Put<F> {
        fn set(&mut self, key: &str, value: String) {
            if !value.is_empty() {
                (self.0)(key, &value);
            }
        }
    }
}
