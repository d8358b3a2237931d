//! The metrics and counts of a server that serves clients.

use std::io::{Read as _, Write as _};

use serde_json::json;
use wireplug_tests::running::{PATIENCE, wait_for};

use super::{Controlled, READER, configured, tokens};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Starts a server whose metrics [`READER`] may read. `name` is that of the test.
pub(super) fn server(name: &str) -> Controlled {
    let (_, tokens) = tokens(name);
    let control = format!("listen = 'http://127.0.0.1:0'\ntoken-file = '{tokens}'");
    Controlled::with(&[&configured(name, &control)])
}

/// Asks for the metrics. Returns the head and the body of the answer.
pub(super) fn scrape(server: &Controlled, accept: &str) -> (String, String) {
    let mut socket = server.connect();
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {READER}\r\nAccept: {accept}\r\n\r\n",
        server.control
    );
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers, and closes");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    (head.to_lowercase(), body.to_owned())
}

/// Returns the value of the series whose line begins with `series`.
#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = lines.next().unwrap_or_else(|| panic!("there is no {series} in {text}"));
    assert!(lines.next().is_none(), "{series} is there twice");
    value.parse().expect("a number")
}

#[test]
fn what_clients_do_is_in_the_metrics_and_the_counts() {
    let server = server("metrics");
    server.say("hello");
    let _member = server.member();
    // A connection counts at the end of a turn, when its client may have the answer already.
    let (head, text) = wait_for("the counts of both clients", PATIENCE, || {
        let counts = ["cause=\"client-closed\"} 1\n", "{server_type=\"chat\",status=\"200\"} 3\n"];
        Some(scrape(&server, "*/*")).filter(|(_, text)| counts.iter().all(|count| text.contains(count)))
    });
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let listener = format!("{{listener=\"{}\",codec=\"pomelo\"", server.urls[0]);
    let of_listener = |name: &str| value(&text, &format!("{name}{listener}}}"));
    assert!((of_listener("wireplug_connections") - 1.0).abs() < f64::EPSILON);
    assert!((of_listener("wireplug_connections_accepted_total") - 2.0).abs() < f64::EPSILON);
    assert!((of_listener("wireplug_messages_received_total") - 3.0).abs() < f64::EPSILON);
    for name in ["packets_received_total", "packets_sent_total", "received_bytes_total", "sent_bytes_total"] {
        assert!(of_listener(&format!("wireplug_{name}")) > 5.0, "{name}");
    }
    let opened = value(&text, &format!("wireplug_connections_opened_total{listener},transport=\"tcp\"}}"));
    assert!((opened - 2.0).abs() < f64::EPSILON);
    assert!(value(&text, "wireplug_codec_memory_bytes{codec=\"pomelo\",account=\"code\"}") > 1e5);
    assert!(value(&text, "process_cpu_seconds_total") > 0.0);

    let (head, open) = scrape(&server, "application/openmetrics-text");
    assert!(head.contains(&format!("\r\ncontent-type: {OPEN_METRICS}")), "{head}");
    assert!(open.ends_with("\n# EOF\n"), "{open}");
    assert!(value(&open, "wireplug_responses_total{server_type=\"chat\",status=\"200\"}") > 2.0);

    let headers = format!("Host: here\r\nAuthorization: Bearer {READER}\r\n");
    let (status, stats) = server.ask_with("GET", "/stats", &headers, b"");
    assert_eq!(status, 200, "{stats}");
    for (field, wanted) in [
        ("connections-open", json!(1)),
        ("connections-total", json!(2)),
        ("messages-in", json!(3)),
        ("responses", json!({ "200": 3 })),
        ("closes", json!({ "client-closed": 1 })),
        ("faults", json!({})),
        ("sessions-asleep", json!(0)),
        ("sessions-awake", json!(1)),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(stats[field], wanted, "{field} in {stats}");
    }
    assert!(stats["memory-bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{stats}");
}

#[test]
fn some_turns_are_timed() {
    let server = server("metrics-times");
    let mut counts = vec!["wireplug_handler_latency_seconds_count{server_type=\"chat\"}".to_owned()];
    counts.extend(["decode", "encode"].map(|step| {
        format!("wireplug_codec_time_seconds_count{{codec=\"pomelo\",generation=\"1\",step=\"{step}\"}}")
    }));
    let text = wait_for("a turn of each kind that is timed", PATIENCE, || {
        server.say("hello");
        let (_, text) = scrape(&server, "*/*");
        let timed = |count: &String| text.contains(count.as_str()) && value(&text, count) >= 1.0;
        counts.iter().all(timed).then_some(text)
    });
    for count in &counts {
        assert!(value(&text, &count.replace("_count{", "_sum{")) > 0.0, "{count}");
    }

    let headers = format!("Host: here\r\nAuthorization: Bearer {READER}\r\n");
    let (status, stats) = server.ask_with("GET", "/stats", &headers, b"");
    assert_eq!(status, 200, "{stats}");
    assert!(stats["handler-latency"]["p99-us"].as_f64() >= stats["handler-latency"]["p50-us"].as_f64());
    assert!(stats["codec-time"]["p50-us"].as_f64().is_some_and(|micros| micros > 0.0), "{stats}");
}

#[test]
fn routes_that_clients_invent_make_no_series() {
    let server = server("metrics-routes");
    for route in ["nonsense.a", "nonsense.b", "chat.nothing"] {
        let called =
            wireplug_tests::running::finish(&mut super::wireplug(["call", &server.urls[0], route, "{}"]));
        assert!(called.result().is_err(), "nothing answers {route}");
    }
    let responses = [("unknown", 2), ("chat", 1)].map(|(server_type, count)| {
        format!("\nwireplug_responses_total{{server_type=\"{server_type}\",status=\"404\"}} {count}\n")
    });
    let (_, text) = wait_for("the counts", PATIENCE, || {
        Some(scrape(&server, "*/*")).filter(|(_, text)| responses.iter().all(|line| text.contains(line)))
    });
    assert!(!text.contains("nonsense"), "{text}");
}

#[test]
fn metrics_need_a_token() {
    let server = server("metrics-token");
    for path in ["/metrics", "/stats"] {
        let (status, _) = server.ask_with("GET", path, "Host: here\r\n", b"");
        assert_eq!(status, 401, "{path}");
    }
}
