//! `wireplug bench` against the demo, and against servers that misbehave.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use wireplug_pomelo::message::{self, Kind, Parts, Route};
use wireplug_pomelo::package;
use wireplug_tests::running::{Finished, finish};
use wireplug_tests::served::Served;

use super::program::wireplug;

#[test]
fn closed_loop_over_tcp_and_websocket() {
    let server = demo();
    for scheme in ["tcp", "ws"] {
        let report = report(&server, scheme, &["--pipeline", "4", "--body", "200", "--connections", "8"]);
        assert_eq!(report["mode"], "closed-loop");
        assert_eq!(report["connections"], 8);
        assert_eq!(report["backlog"], Value::Null);
        sound(&report, "requests", "answers");
        // The report has these figures because the id of the server's process was given.
        let usage = &report["server"];
        assert!(usage["cpu-ns-per-request"].as_f64().expect("a number") > 0.0, "{usage}");
        assert!(usage["resident-bytes"].as_u64().expect("a number") > 1 << 20, "{usage}");
    }
}

#[test]
fn fixed_rate_over_tcp_and_websocket() {
    let server = demo();
    for scheme in ["tcp", "ws"] {
        let report = report(&server, scheme, &["--rate", "500", "--connections", "7", "--pipeline", "1000"]);
        assert_eq!(report["mode"], "fixed-rate");
        sound(&report, "requests", "answers");
        let (sent, backlog) = (count(&report, "requests"), count(&report, "backlog"));
        assert!((499..=501).contains(&(sent + backlog)), "{report}");
        assert_eq!(backlog, 0, "{report}");
    }
}

#[test]
fn pushes_to_all() {
    let server = demo();
    for scheme in ["tcp", "ws"] {
        let options = ["--push-fan-out", "--rate", "50", "--connections", "9", "--threads", "2"];
        let report = report(&server, scheme, &options);
        assert_eq!(report["mode"], "push-fan-out");
        assert!((49..=51).contains(&count(&report, "messages")), "{report}");
        assert_eq!(count(&report, "pushes"), 9 * count(&report, "messages"));
        sound(&report, "messages", "pushes");
    }
}

#[test]
fn a_report_for_people() {
    let server = demo();
    let url = server.url("tcp");
    let Finished { code, output, errors } = bench(&url, &["--pid", &server.pid().to_string()]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{output}");
    for text in ["closed-loop, 50 connections", "p99.9", "of CPU time a request", "resident", "errors      0"]
    {
        assert!(output.contains(text), "{text}: {output}");
    }
}

#[test]
fn counts_a_route_without_an_echo_only_on_request() {
    let server = demo();
    let url = server.url("tcp");
    let time = ["--route", "connector.entryHandler.time", "--json"];
    let Finished { code, output, errors } = bench(&url, &time);
    assert_eq!(code, Some(1), "{errors}");
    assert!(count(&json(&output)["errors"], "mismatch") > 0, "{output}");
    let Finished { code, output, errors } = bench(&url, &[&time[..], &["--no-compare"]].concat());
    assert_eq!(code, Some(0), "{errors}");
    sound(&json(&output), "requests", "answers");
}

#[test]
fn counts_what_servers_do_wrong_by_cause() {
    // For 800 ms each server answers the first requests of a connection correctly, so that the run
    // begins.
    let wrong: [(&str, Wrong); 5] = [
        ("mismatch", |_, request, out| {
            answer(request.id, b"{}", out);
            true
        }),
        ("closed", |_, _, _| false),
        ("kick", |_, _, out| {
            let _ = package::write(package::Kind::Kick, out, |out| out.extend(b"{\"reason\":\"enough\"}"));
            true
        }),
        ("protocol", |_, request, out| {
            answer(request.id + 1000, request.body, out);
            true
        }),
        ("timeout", |_, _, _| true),
    ];
    for (cause, wrong) in wrong {
        let url = fake(move |count, request, out| {
            if count > 20 {
                return wrong(count, request, out);
            }
            answer(request.id, request.body, out);
            true
        });
        let options = ["--connections", "2", "--rate", "50", "--timeout", "2s", "--json"];
        let Finished { code, output, errors } = bench(&url, &options);
        assert_eq!(code, Some(1), "{cause}: {errors}");
        let report = json(&output);
        let causes = report["errors"].as_object().expect("errors by cause");
        let counted: Vec<_> = causes.iter().filter(|(_, count)| *count != 0).collect();
        assert_eq!(counted.len(), 1, "{cause}: {output}");
        assert_eq!(counted[0].0, cause);
        assert!(errors.contains("errors under load: "), "{cause}: {errors}");
    }
}

#[test]
fn counts_pushes_that_are_missing_late_or_there_twice() {
    let late = Arc::new(Mutex::new(Vec::new()));
    let url = fake(move |count, request, out| {
        answer(request.id, b"{}", out);
        match count {
            // The first request joins the chat. The third is a message that is never pushed.
            1 | 3 => {}
            4 => {
                push(request.body, out);
                push(request.body, out);
            }
            5 => late.lock().expect("no panic").extend_from_slice(request.body),
            6 => {
                push(request.body, out);
                push(&late.lock().expect("no panic"), out);
            }
            _ => push(request.body, out),
        }
        true
    });
    let options = ["--push-fan-out", "--connections", "1", "--rate", "10", "--timeout", "2s", "--json"];
    let Finished { code, output, errors } = bench(&url, &options);
    assert_eq!(code, Some(1), "{errors}");
    let report = json(&output);
    assert_eq!(count(&report, "error-count"), 3, "{output}");
    for cause in ["missing", "duplicate", "out-of-order"] {
        assert_eq!(count(&report["errors"], cause), 1, "{output}");
    }
    assert_eq!(count(&report, "pushes") + 1, count(&report, "messages"), "{output}");
}

#[test]
fn says_what_was_wrong() {
    let cases: &[(&str, &[&str], i32, &str)] = &[
        ("tcp://127.0.0.1:1", &[], 1, "cannot connect to tcp://127.0.0.1:1: Connection refused"),
        ("tcp://127.0.0.1:1", &["--body", "8"], 1, "--body 8: a body needs"),
        ("tcp://127.0.0.1:1", &["--body", "16777215"], 1, "a Pomelo package holds no more than"),
        ("tcp://127.0.0.1:1", &["--route", ""], 1, "--route: a route has 1 to 255 bytes, not 0"),
        ("tcp://127.0.0.1:1", &["--rate", "0"], 2, "a rate is a number from 0.001"),
        ("tcp://127.0.0.1:1", &["--timeout", "3"], 2, "a whole number and a unit, such as 250ms, 10s or 2m"),
        ("tcp://127.0.0.1:1", &["--pid", "4294967295"], 1, "--pid 4294967295: cannot read /proc/4294967295/"),
        ("udp://127.0.0.1:1", &[], 1, "cannot connect to udp://127.0.0.1:1: "),
        (
            "socketio://127.0.0.1:1",
            &[],
            1,
            "a client speaks tcp://, ws://, tls://, wss://, unix:// or udp://",
        ),
        ("127.0.0.1:1", &[], 1, "is not a URL like tcp://127.0.0.1:3010"),
    ];
    for (url, options, wanted, text) in cases {
        let Finished { code, output, errors } = bench(url, options);
        assert_eq!(code, Some(*wanted), "{options:?}: {errors}");
        assert_eq!(output, "", "{options:?}");
        assert!(errors.contains(text), "{options:?}: {errors}");
    }
}

/// Runs a load of at most one second.
fn bench(url: &str, options: &[&str]) -> Finished {
    let mut command = wireplug(["bench", url, "--duration", "1s", "--ramp", "100ms"]);
    if !options.contains(&"--timeout") {
        // Generous, because the machine may be busy.
        command.args(["--timeout", "1m"]);
    }
    finish(command.args(options))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("the report is JSON")
}

fn count(of: &Value, key: &str) -> u64 {
    of[key].as_u64().unwrap_or_else(|| panic!("{key} is a count: {of}"))
}

/// Checks that the report has no errors and no losses, and that its figures are consistent.
fn sound(report: &Value, sent: &str, received: &str) {
    assert_eq!(count(report, "error-count"), 0, "{report}");
    assert!(count(report, sent) > 0, "{report}");
    if sent == "requests" {
        assert_eq!(report[sent], report[received]);
    }
    let latency = &report["latency-us"];
    let times = ["min", "p50", "p90", "p99", "p99-9", "max"]
        .map(|key| latency[key].as_f64().unwrap_or_else(|| panic!("{key} is a time: {latency}")));
    assert!(times[0] > 0.0 && times.is_sorted(), "{latency}");
    let seconds = report["seconds"].as_f64().expect("a time");
    let per_second = report[format!("{received}-per-second")].as_f64().expect("a rate");
    assert!((per_second * seconds - count(report, received) as f64).abs() < 1.0, "{report}");
}

/// Serves the demo.
fn demo() -> Served {
    Served::logging(&mut wireplug(["serve", "--listen", "hybrid://127.0.0.1:0"]), Stdio::null())
}

/// Runs a load on a server, checks that it causes no errors, and returns the report.
fn report(server: &Served, scheme: &str, options: &[&str]) -> Value {
    let (url, pid) = (server.url(scheme), server.pid().to_string());
    let done = bench(&url, &[options, &["--json", "--pid", &pid]].concat());
    assert_eq!((done.code, done.errors.as_str()), (Some(0), ""), "{}", done.output);
    let report = json(&done.output);
    assert_eq!(report["url"], url);
    report
}

/// Handles a request, whose number on its connection is the first argument, counted from 1. Appends
/// the bytes to send, and returns whether the connection stays open.
type Wrong = fn(u64, &Parts<'_>, &mut Vec<u8>) -> bool;

/// Starts a server that completes the handshake and then handles requests with `does`. Returns the
/// URL of the server, which ends with the test's process.
fn fake(does: impl Fn(u64, &Parts<'_>, &mut Vec<u8>) -> bool + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("tcp://{}", listener.local_addr().expect("it listens"));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let does = does.clone();
            thread::spawn(move || serve(stream, does));
        }
    });
    url
}

/// Serves a connection until the client or the server ends it.
fn serve(mut stream: TcpStream, does: impl Fn(u64, &Parts<'_>, &mut Vec<u8>) -> bool) -> Option<()> {
    let (mut received, mut count) = (Vec::new(), 0);
    loop {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).ok().filter(|length| *length > 0)?;
        received.extend_from_slice(&chunk[..length]);
        let mut out = Vec::new();
        while let Some((kind, body, rest)) = package::split(&received) {
            match package::Kind::of(kind)? {
                package::Kind::Handshake => {
                    package::write(package::Kind::Handshake, &mut out, |out| out.extend(b"{\"code\":200}"))
                        .ok()?;
                }
                package::Kind::Data => {
                    count += 1;
                    if !does(count, &message::read(body).ok()?, &mut out) {
                        return None;
                    }
                }
                _ => {}
            }
            let read = received.len() - rest.len();
            received.drain(..read);
        }
        stream.write_all(&out).ok()?;
    }
}

fn answer(id: u64, body: &[u8], out: &mut Vec<u8>) {
    data(Kind::Response, id, Route::None, body, out);
}

fn push(body: &[u8], out: &mut Vec<u8>) {
    data(Kind::Push, 0, Route::Text(b"onChat"), body, out);
}

fn data(kind: Kind, id: u64, route: Route<'_>, body: &[u8], out: &mut Vec<u8>) {
    let written = package::write(package::Kind::Data, out, |out| {
        message::write_head(kind, id, route, out);
        out.extend_from_slice(body);
    });
    written.expect("it is short");
}
