//! With `format = "json"` there is nothing but JSON.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::Receiver;

use rustix::process::Signal;
use serde_json::Value;

use super::{BINARY, Served, found, lines, path};

const CONFIGURATION: &str = "
app = 'demo'
[log]
format = 'json'
[codecs.pomelo]
builtin = 'pomelo'
[[listeners]]
url = 'SOCKET'
codec = 'pomelo'
";

/// The object in a line, which has what each line has.
#[track_caller]
fn object(line: &str) -> Value {
    let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    for key in ["timestamp", "level", "message", "target"] {
        assert!(object[key].is_string(), "{key}: {line}");
    }
    object
}

/// The next line with this message. All before it are JSON too.
#[track_caller]
fn next(lines: &Receiver<String>, message: &str) -> Value {
    loop {
        let line = lines.recv_timeout(super::PATIENCE).unwrap_or_else(|_| panic!("no {message:?}"));
        let object = object(&line);
        if object["message"].as_str().is_some_and(|text| text.starts_with(message)) {
            return object;
        }
    }
}

#[test]
fn each_line_of_a_server_is_json() {
    let (mut server, file) = Served::configured("json", CONFIGURATION, Stdio::piped(), Stdio::piped());
    let output = lines(server.child.stdout.take().expect("it is piped"));
    let log = lines(server.child.stderr.take().expect("it is piped"));

    let started = next(&output, "the server has started");
    assert_eq!(started["listeners"][0], format!("unix://{}", server.socket.display()));
    assert_eq!(started["pid"], server.child.id());

    server.send_nonsense();
    assert_eq!(next(&log, "closed")["cause"], "framing");

    server.signal(Signal::USR1);
    let counts = next(&output, "counts");
    assert_eq!((&counts["connections"]["accepted"], &counts["closes"]["framing"]), (&1.into(), &1.into()));
    assert_eq!(counts["log"]["left_out"], 0);

    server.signal(Signal::HUP);
    next(&log, "reloaded: nothing has changed");
    let broken = CONFIGURATION.replace("'json'", "7").replace("codec =", "codecs =") + "'mistake\u{7}' = 1\n";
    fs::write(&file, broken).expect("the directory of tests can be written");
    server.signal(Signal::HUP);
    next(&log, "nothing is reloaded");
    let long = format!("'{}' = 1\n", "x".repeat(100_000));
    fs::write(&file, long).expect("the directory of tests can be written");
    server.signal(Signal::HUP);
    let cut = next(&log, "nothing is reloaded");
    assert!(cut.to_string().contains(" bytes left out"), "{cut}");

    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    next(&output, "stopping");
    next(&output, "counts");
    let rest = output.iter().chain(log.iter());
    rest.for_each(|line| drop(object(&line)));
    let _ = fs::remove_file(file);
}

/// A server that does not start, with a configuration that can be read.
#[test]
fn so_is_why_a_server_does_not_start() {
    let (mut first, taken) = Served::configured("taken", CONFIGURATION, Stdio::piped(), Stdio::null());
    let output = lines(first.child.stdout.take().expect("it is piped"));
    found(&output, "the server has started");
    let fails = |file| {
        let output = Command::new(BINARY).arg("serve").arg(file).env("RUST_LOG", "inof").output();
        let Output { status, stdout, stderr } = output.expect("the binary is there");
        assert_eq!((status.code(), &*stdout), (Some(1), &b""[..]));
        String::from_utf8(stderr).expect("it is text").lines().map(object).collect::<Vec<_>>()
    };
    let lines = fails(&taken);
    assert_eq!((&lines[0]["level"], &lines[1]["level"], lines.len()), (&"WARN".into(), &"ERROR".into(), 2));
    assert!(lines[0].to_string().contains("RUST_LOG"), "{lines:?}");
    assert!(lines[1].to_string().contains("cannot listen on unix://"), "{lines:?}");

    // Mistakes in the file itself are found before the log is started.
    let missing = path("missing.toml");
    let text = CONFIGURATION.replace("builtin = 'pomelo'", "file = 'nowhere.wasm'");
    fs::write(&missing, text.replace("SOCKET", "tcp://127.0.0.1:0"))
        .expect("the directory of tests can be written");
    let lines = fails(&missing);
    assert_eq!((&lines[0]["level"], lines.len()), (&"ERROR".into(), 1));
    assert!(lines[0].to_string().contains("codecs.pomelo.file: there is no file "), "{lines:?}");
    for file in [taken, missing] {
        let _ = fs::remove_file(file);
    }
}
