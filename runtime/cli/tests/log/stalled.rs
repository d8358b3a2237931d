//! A reader of the log, or of the output, that has stopped reading.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{BINARY, Honest, PATIENCE, Served, found, lines, resumed, stalled_pipe};

/// As many clients as filled a pipe with log lines, when they were still written by whoever had them.
const CLIENTS: usize = 1200;

#[test]
fn of_the_log_stops_neither_clients_nor_the_end() {
    let (reader, stderr, filled) = stalled_pipe();
    let mut server = Served::start("stderr", Stdio::null(), stderr);
    let mut honest = Honest::to(&mut server);
    for number in 0..CLIENTS {
        server.send_nonsense();
        honest.echo(&format!("{{\"number\":{number}}}"));
    }
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    // What was in the queue then is gone.
    drop((reader, filled));
}

#[test]
fn of_the_output_stops_neither_clients_nor_the_end() {
    let (reader, stdout, filled) = stalled_pipe();
    let mut server = Served::start("stdout", stdout, Stdio::piped());
    let log = lines(server.child.stderr.take().expect("it is piped"));
    let mut honest = Honest::to(&mut server);
    for number in 0..20 {
        server.signal(Signal::USR1);
        honest.echo(&format!("{{\"number\":{number}}}"));
    }
    // The log is another stream, and has its lines.
    server.send_nonsense();
    found(&log, "closed");
    let output = resumed((reader, filled));
    found(&output, " serves the demo application");
    found(&output, "connections: 1 open, 1 accepted");
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    found(&output, "stopping");
    assert_eq!(found(&output, "log:"), "log:         0 lines left out");
}

#[test]
fn does_not_hold_up_a_start_that_fails() {
    let (_reader, stderr, _) = stalled_pipe();
    let mut server = Served::spawn(
        Command::new(BINARY).args(["serve", "--listen", "quic://127.0.0.1:0"]),
        super::path("nowhere"),
        Stdio::null(),
        stderr,
    );
    assert_eq!(server.exit_code(), Some(1));
}

const CONFIGURATION: &str = "
app = 'demo'
[codecs.pomelo]
builtin = 'pomelo'
[[listeners]]
url = 'SOCKET'
codec = 'pomelo'
";

/// Lines that do not fit into the queue are counted, and reported where they are missing. Each line here is as long as
/// a line can be: a configuration with many mistakes is reloaded.
#[test]
fn is_told_how_many_lines_were_left_out() {
    let (reader, stderr, filled) = stalled_pipe();
    let (mut server, file) = Served::configured("left-out", CONFIGURATION, Stdio::piped(), stderr);
    let output = lines(server.child.stdout.take().expect("it is piped"));
    let mut honest = Honest::to(&mut server);
    let mistakes: String = (0..30).map(|number| format!("mistake-{number} = {number}\n")).collect();
    fs::write(&file, mistakes).expect("the directory of tests can be written");

    let end = Instant::now() + PATIENCE;
    let mut signals = 0;
    while {
        server.signal(Signal::USR1);
        found(&output, "log:") == "log:         0 lines left out"
    } {
        assert!(Instant::now() < end, "all of {signals} lines fit into the queue");
        for _ in 0..20 {
            server.signal(Signal::HUP);
            thread::sleep(Duration::from_millis(2));
            signals += 1;
        }
        honest.echo(&format!("{{\"signals\":{signals}}}"));
    }

    let log = resumed((reader, filled));
    let line = found(&log, " lines were left out");
    let count: u64 = line.split(' ').next().and_then(|count| count.parse().ok()).expect("a number");
    assert!(count > 0, "{line}");
    // All is as before.
    server.send_nonsense();
    found(&log, "closed");
    honest.echo("{}");
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    let _ = fs::remove_file(file);
}

/// A line has a bounded length, and says what it lacks.
#[test]
fn lines_are_cut() {
    let (mut server, file) = Served::configured("cut", CONFIGURATION, Stdio::null(), Stdio::piped());
    let log = lines(server.child.stderr.take().expect("it is piped"));
    Honest::to(&mut server);
    fs::write(&file, format!("'{}' = 1\n", "x".repeat(100_000)))
        .expect("the directory of tests can be written");
    server.signal(Signal::HUP);
    let line = found(&log, " bytes left out");
    assert!(line.len() < 4096, "{} bytes", line.len());
    let _ = fs::remove_file(file);
}
