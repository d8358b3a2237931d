//! Prometheus itself: it reads the metrics of a server, and its tool checks them and the alerts.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use wireplug_tests::folder::Folder;
use wireplug_tests::running::{PATIENCE, Running, wait_for};

use super::READER;
use super::metrics::{scrape, server};

/// The alert rules of the documentation.
const ALERTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/prometheus/alerts.yml");

/// Runs `promtool` with this input. Panics if it finds anything wrong.
#[track_caller]
fn promtool(arguments: &[&str], input: &str) {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool is installed");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "promtool {arguments:?}: {text}");
}

#[test]
fn promtool_checks_the_metrics_and_the_alerts() {
    let server = server("promtool");
    server.say("hello");
    let (_, text) = scrape(&server, "text/plain");
    promtool(&["check", "metrics"], &text);
    promtool(&["check", "rules", ALERTS], "");
}

/// Asks the API of Prometheus. Returns the data, or `None` if it does not listen yet.
fn ask(port: u16, target: &str) -> Option<Value> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    let request = format!("GET {target} HTTP/1.0\r\nHost: here\r\n\r\n");
    socket.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some(serde_json::from_str::<Value>(body).ok()?["data"].take())
}

#[test]
fn prometheus_reads_the_metrics_and_knows_the_alerts() {
    let server = server("prometheus");
    server.say("hello");
    let folder = Folder::new("prometheus");
    let token = folder.write("token", READER);
    let config = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
         rule_files: ['{}']\n\
         scrape_configs:\n\
         - job_name: wireplug\n  \
           authorization: {{ credentials_file: '{}' }}\n  \
           static_configs: [{{ targets: ['{}'] }}]\n",
        fs::canonicalize(ALERTS).expect("it is there").display(),
        Path::new(&token).display(),
        server.control,
    );
    let file = folder.write("prometheus.yml", config);
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("it is bound").port()
    };
    let _prometheus = Running::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", Path::new(&file).display()))
            .arg(format!("--storage.tsdb.path={}", folder.text("data")))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    let query = |query: &str| {
        let data = ask(port, &format!("/api/v1/query?query={query}"))?;
        data["result"][0]["value"][1].as_str()?.parse::<f64>().ok()
    };
    let is = |name: &str, wanted: f64| query(name).filter(|value| (value - wanted).abs() < f64::EPSILON);
    wait_for("a scrape", PATIENCE, || is("up", 1.0));
    wait_for("the responses", PATIENCE, || is("sum(wireplug_responses_total)", 2.0));
    // The times are a histogram for Prometheus. Of the requests that come within a millisecond, one
    // is timed, which need not be a request of this test.
    wait_for("a request that was timed", PATIENCE, || {
        server.say("hello");
        query("histogram_quantile(0.99,wireplug_handler_latency_seconds_bucket)")
            .filter(|seconds| *seconds > 0.0)
    });
    // Each rule is evaluated without an error.
    let rules = wait_for("the evaluation of the rules", PATIENCE, || {
        let groups = ask(port, "/api/v1/rules")?["groups"].take();
        let rules = groups[0]["rules"].as_array()?.clone();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    assert!(rules.len() >= 10, "{rules:?}");
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}
