//! Traces of a server, which a receiver in this process gets and decodes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use wireplug_tests::blocking::Client;
use wireplug_tests::running::{PATIENCE, Signal};
use wireplug_tests::served::Served;

use super::program::wireplug;

/// A receiver of traces over HTTP.
struct Collector {
    address: String,
    requests: Receiver<ExportTraceServiceRequest>,
    /// The spans that came and that no test has looked at.
    spans: Vec<Span>,
    /// The attributes of the server that sends.
    resource: BTreeMap<String, String>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("it listens");
                // A server may end as soon as it has the answer.
                if sender.send(receive(&stream)).is_err() {
                    return;
                }
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(answer).expect("it reads");
            }
        });
        Self { address, requests, spans: Vec::new(), resource: BTreeMap::new() }
    }

    /// Returns the next span for which `wanted` is true.
    #[track_caller]
    fn find(&mut self, wanted: impl Fn(&Span) -> bool) -> Span {
        loop {
            if let Some(at) = self.spans.iter().position(&wanted) {
                return self.spans.remove(at);
            }
            let names: Vec<_> = self.spans.iter().map(|span| &span.name).collect();
            let request = self.requests.recv_timeout(PATIENCE);
            let request = request.unwrap_or_else(|_| panic!("no such span among {names:?}"));
            self.take(request);
        }
    }

    fn take(&mut self, request: ExportTraceServiceRequest) {
        for spans in request.resource_spans {
            self.resource = attributes(&spans.resource.expect("it is named").attributes);
            self.spans.extend(spans.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }

    /// Returns the names of the spans that came and were not found.
    fn names(&mut self) -> Vec<String> {
        while let Ok(request) = self.requests.try_recv() {
            self.take(request);
        }
        self.spans.iter().map(|span| span.name.clone()).collect()
    }

    /// Starts a server that exports to this receiver, with further variables.
    fn server(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Served {
        let mut command = wireplug(["serve"]);
        command.args(arguments);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &self.address).env("OTEL_BSP_SCHEDULE_DELAY", "20");
        Served::start(command.envs(variables.iter().copied()))
    }
}

/// Reads a request.
fn receive(stream: &TcpStream) -> ExportTraceServiceRequest {
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a request");
    assert_eq!(line, "POST /v1/traces HTTP/1.1\r\n");
    let (mut length, mut kind) = (0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line).expect("a header");
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().expect("a number");
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-type") => value.clone_into(&mut kind),
            Some(_) => {}
            None => break,
        }
    }
    assert_eq!(kind, "application/x-protobuf");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    ExportTraceServiceRequest::decode(&*body).expect("it is protobuf")
}

fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    list.iter().map(|attribute| (attribute.key.clone(), text(&attribute.value))).collect()
}

fn named(name: &str) -> impl Fn(&Span) -> bool {
    move |span| span.name == name
}

const TCP: [&str; 2] = ["--listen", "tcp://127.0.0.1:0"];
const ECHO: &str = "connector.entryHandler.echo";

fn client(server: &Served) -> Client<TcpStream> {
    let address = server.urls[0].strip_prefix("tcp://").expect("it listens over TCP");
    Client::connect(TcpStream::connect(address).expect("it listens"))
}

#[test]
fn a_request_has_its_handler_within_and_is_linked_to_its_connection() {
    let mut collector = Collector::start();
    let server = collector.server(&[("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")], &TCP);
    let mut client = client(&server);
    client.echo("{}");
    let request = collector.find(named(ECHO));
    let handler = collector.find(named("handler"));
    assert_eq!(request.kind, SpanKind::Server as i32);
    assert!(request.parent_span_id.is_empty(), "{request:?}");
    assert_eq!((&handler.trace_id, &handler.parent_span_id), (&request.trace_id, &request.span_id));
    assert!(handler.start_time_unix_nano >= request.start_time_unix_nano);
    assert!(handler.end_time_unix_nano <= request.end_time_unix_nano);
    let of = attributes(&request.attributes);
    assert_eq!((&*of["rpc.method"], &*of["rpc.response.status_code"]), (ECHO, "200"), "{of:?}");
    assert_eq!(of["wireplug.session.id"], "1", "{of:?}");
    assert_eq!(collector.resource["service.name"], "wireplug");
    assert_eq!(collector.resource["deployment.environment.name"], "test");

    drop(client);
    let connection = collector.find(named("connection"));
    let link = request.links.first().expect("it is linked");
    assert_eq!((&link.trace_id, &link.span_id), (&connection.trace_id, &connection.span_id));
    assert_ne!(connection.trace_id, request.trace_id);
    let of = attributes(&connection.attributes);
    assert_eq!((&*of["wireplug.codec"], &*of["wireplug.close.cause"]), ("pomelo", "client-closed"), "{of:?}");
    assert_eq!((&*of["network.transport"], &*of["client.address"]), ("tcp", "127.0.0.1"), "{of:?}");
}

#[test]
fn nothing_is_sampled_at_the_ratio_0() {
    let mut collector = Collector::start();
    let ratio = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")];
    let mut server = collector.server(&ratio, &TCP);
    let mut one = client(&server);
    (0..100).for_each(|_| one.echo("{}"));
    drop(one);
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    assert!(collector.names().is_empty(), "{:?}", collector.names());
}

/// The last spans are sent before the process ends, however long a batch may wait.
#[test]
fn the_end_of_a_server_sends_the_last_spans() {
    let mut collector = Collector::start();
    let mut server = collector.server(&[("OTEL_BSP_SCHEDULE_DELAY", "3600000")], &TCP);
    let mut client = client(&server);
    client.echo("{}");
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    let mut names = collector.names();
    names.sort();
    assert_eq!(names, ["connection", ECHO, "handler"]);
}

/// A client's `traceparent` decides, and is the parent of the connection.
#[test]
fn a_client_may_decide() {
    let mut collector = Collector::start();
    let configuration = "
        app = 'demo'
        [codecs.pomelo]
        builtin = 'pomelo'
        [[listeners]]
        url = 'ws://127.0.0.1:0'
        codec = 'pomelo'
        websocket.headers = ['traceparent', 'tracestate']";
    let mut command = wireplug(["serve"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address).env("OTEL_BSP_SCHEDULE_DELAY", "20");
    command.env("OTEL_TRACES_SAMPLER", "parentbased_always_off");
    let server = Served::configured(&mut command, "traces-parent", configuration);
    let address = server.urls[0].strip_prefix("ws://").expect("it listens over WebSocket");
    // Neither the first client nor the last one is traced.
    for (trace, flags) in [("a", None), ("b", Some("00")), ("c", Some("01")), ("d", None)] {
        let parent =
            flags.map(|flags| format!("traceparent: 00-{}-{}-{flags}\r\n", trace.repeat(32), "1".repeat(16)));
        let mut client = TcpStream::connect(address).expect("it listens");
        client.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        let head = format!(
            "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             tracestate: vendor=value\r\n{}\r\n",
            parent.unwrap_or_default()
        );
        client.write_all(head.as_bytes()).expect("it reads");
        let mut answer = [0; 12];
        client.read_exact(&mut answer).expect("it answers");
        assert_eq!(&answer, b"HTTP/1.1 101");
    }
    let connection = collector.find(named("connection"));
    assert_eq!((&*connection.trace_id, &*connection.parent_span_id), (&[0xcc; 16][..], &[0x11; 8][..]));
    assert_eq!(connection.trace_state, "vendor=value");
    assert!(collector.names().is_empty(), "{:?}", collector.names());
}

#[test]
fn a_receiver_that_is_away_delays_nobody() {
    let collector = Collector::start();
    let away = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let (away, small) = (format!("http://{away}"), "16");
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*away), ("OTEL_BSP_MAX_QUEUE_SIZE", small)];
    let mut server = collector.server(&variables, &TCP);
    let mut client = client(&server);
    (0..100).for_each(|_| client.echo("{}"));
    let line = server.logged("spans of traces are left out");
    assert!(line.contains("left_out="), "{line}");
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn what_the_variables_cannot_mean_is_refused() {
    let refused = |name, value| {
        let mut command = wireplug(["serve", "--listen", "tcp://127.0.0.1:0"]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1").env(name, value);
        wireplug_tests::running::finish(&mut command).failed()
    };
    for (name, value, wanted) in [
        ("OTEL_TRACES_SAMPLER", "xray", "is not known"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "write http/protobuf"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "write otlp or none"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "above 0"),
    ] {
        let (code, why) = refused(name, value);
        assert_eq!(code, Some(1), "{why}");
        assert!(why.contains(name) && why.contains(wanted), "{why}");
    }
}

/// A service over HTTP continues the trace of its request.
#[test]
fn a_service_gets_the_trace_of_its_request() {
    let mut collector = Collector::start();
    let service = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", service.local_addr().expect("it is bound"));
    let head = thread::spawn(move || {
        let (mut stream, _) = service.accept().expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n{}") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request");
            request.extend(byte);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").expect("it reads");
        String::from_utf8(request).expect("it is text")
    });
    let configuration = format!(
        "
        [services.connector]
        url = '{url}'
        [codecs.pomelo]
        builtin = 'pomelo'
        [[listeners]]
        url = 'tcp://127.0.0.1:0'
        codec = 'pomelo'"
    );
    let mut command = wireplug(["serve"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address).env("OTEL_BSP_SCHEDULE_DELAY", "20");
    let server = Served::configured(&mut command, "traces-service", &configuration);
    client(&server).echo("{}");
    let (handler, sent) = (collector.find(named("handler")), collector.find(named("POST")));
    assert_eq!(sent.kind, SpanKind::Client as i32);
    assert_eq!((&sent.trace_id, &sent.parent_span_id), (&handler.trace_id, &handler.span_id));
    let of = attributes(&sent.attributes);
    assert_eq!((&*of["url.full"], &*of["rpc.method"]), (&*url, ECHO), "{of:?}");
    assert_eq!((&*of["http.request.method"], &*of["rpc.response.status_code"]), ("POST", "200"), "{of:?}");
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let parent = format!("traceparent: 00-{}-{}-01\r\n", hex(&sent.trace_id), hex(&sent.span_id));
    let head = head.join().expect("it has answered");
    assert!(head.contains(&parent), "{head}");
}
