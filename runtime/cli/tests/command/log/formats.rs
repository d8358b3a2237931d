//! With `format = "json"`, a server writes nothing but JSON.

use std::fs;
use std::process::Stdio;

use serde_json::Value;
use wireplug_tests::running::{Finished, Lines, Signal, finish};

use super::Served;
use crate::program::wireplug;

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

/// Parses a line, and checks the keys that every line has.
#[track_caller]
fn object(line: &str) -> Value {
    let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    for key in ["timestamp", "level", "message", "target"] {
        assert!(object[key].is_string(), "{key}: {line}");
    }
    object
}

/// Returns the next line with this message. All lines before it must be JSON too.
#[track_caller]
fn next(lines: &Lines, message: &str) -> Value {
    loop {
        let object = object(&lines.line());
        if object["message"].as_str().is_some_and(|text| text.starts_with(message)) {
            return object;
        }
    }
}

#[test]
fn each_line_of_a_server_is_json() {
    let mut server = Served::configured("json", CONFIGURATION, Stdio::piped(), Stdio::piped());

    let started = next(&server.output, "the server has started");
    assert_eq!(started["listeners"][0], format!("unix://{}", server.folder.text("socket")));
    assert_eq!(started["pid"], server.pid());

    server.send_nonsense();
    assert_eq!(next(&server.log, "closed")["cause"], "framing");

    server.signal(Signal::USR1);
    let counts = next(&server.output, "counts");
    assert_eq!((&counts["connections"]["accepted"], &counts["closes"]["framing"]), (&1.into(), &1.into()));
    assert_eq!(counts["log"]["left_out"], 0);

    server.signal(Signal::HUP);
    next(&server.log, "reloaded: nothing differs");
    let broken = CONFIGURATION.replace("'json'", "7").replace("codec =", "codecs =") + "'mistake\u{7}' = 1\n";
    fs::write(server.file(), broken).expect("it can be written");
    server.signal(Signal::HUP);
    next(&server.log, "nothing is reloaded");
    let long = format!("'{}' = 1\n", "x".repeat(100_000));
    fs::write(server.file(), long).expect("it can be written");
    server.signal(Signal::HUP);
    let cut = next(&server.log, "nothing is reloaded");
    assert!(cut.to_string().contains(" bytes left out"), "{cut}");

    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    next(&server.output, "stopping");
    next(&server.output, "counts");
    server.output.rest().chain(server.log.rest()).for_each(|line| drop(object(&line)));
}

/// A server with a valid configuration file reports as JSON why it cannot start.
#[test]
fn so_is_why_a_server_does_not_start() {
    let first = Served::configured("taken", CONFIGURATION, Stdio::piped(), Stdio::null());
    first.output.find(&["the server has started"]);
    let fails = |file| {
        let done = finish(wireplug(["serve"]).arg(file).env("RUST_LOG", "inof"));
        let Finished { code, output, errors } = done;
        assert_eq!((code, &*output), (Some(1), ""));
        errors.lines().map(object).collect::<Vec<_>>()
    };
    let lines = fails(first.file());
    assert_eq!((&lines[0]["level"], &lines[1]["level"], lines.len()), (&"WARN".into(), &"ERROR".into(), 2));
    assert!(lines[0].to_string().contains("RUST_LOG"), "{lines:?}");
    assert!(lines[1].to_string().contains("cannot listen on unix://"), "{lines:?}");

    // Mistakes in the file itself are found before the log is started.
    let text = CONFIGURATION.replace("builtin = 'pomelo'", "file = 'nowhere.wasm'");
    let missing = first.folder.write("missing.toml", text.replace("SOCKET", "tcp://127.0.0.1:0"));
    let lines = fails(missing);
    assert_eq!((&lines[0]["level"], lines.len()), (&"ERROR".into(), 1));
    assert!(lines[0].to_string().contains("codecs.pomelo.file: there is no file "), "{lines:?}");
}
