//! The reader of the log, or of the standard output, has stopped reading.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use wireplug_tests::running::{PATIENCE, Running, Signal};

use super::{Served, resumed, stalled_pipe};
use crate::program::wireplug;

/// The number of clients whose log lines filled a pipe when the tasks of connections still wrote
/// the log themselves.
const CLIENTS: usize = 1200;

#[test]
fn of_the_log_stops_neither_clients_nor_the_end() {
    let (reader, stderr, filled) = stalled_pipe();
    let mut server = Served::start("stderr", Stdio::null(), stderr);
    let mut honest = server.client();
    for number in 0..CLIENTS {
        server.send_nonsense();
        honest.echo(&format!("{{\"number\":{number}}}"));
    }
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    // The lines that were still in the queue are lost.
    drop((reader, filled));
}

#[test]
fn of_the_output_stops_neither_clients_nor_the_end() {
    let (reader, stdout, filled) = stalled_pipe();
    let mut server = Served::start("stdout", stdout, Stdio::piped());
    let mut honest = server.client();
    for number in 0..20 {
        server.signal(Signal::USR1);
        honest.echo(&format!("{{\"number\":{number}}}"));
    }
    // The log is another stream, and still gets its lines.
    server.send_nonsense();
    server.logged("closed");
    let output = resumed((reader, filled));
    output.find(&[" serves the demo application"]);
    output.find(&["connections: 1 open, 1 accepted"]);
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    output.find(&["stopping"]);
    assert_eq!(output.find(&["log:"]), "log:         0 lines left out");
}

#[test]
fn does_not_hold_up_a_start_that_fails() {
    let (_reader, stderr, _) = stalled_pipe();
    let mut command = wireplug(["serve", "--listen", "quic://127.0.0.1:0"]);
    let mut server = Running::writing(&mut command, Stdio::null(), stderr);
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

/// Lines that do not fit into the queue are counted, and a line in their place reports the number.
/// The lines of this test have the largest possible length, because a configuration with many
/// mistakes is reloaded.
#[test]
fn gets_the_number_of_lines_that_were_left_out() {
    let (reader, stderr, filled) = stalled_pipe();
    let mut server = Served::configured("left-out", CONFIGURATION, Stdio::piped(), stderr);
    let mut honest = server.client();
    let mistakes: String = (0..30).map(|number| format!("mistake-{number} = {number}\n")).collect();
    fs::write(server.file(), mistakes).expect("it can be written");

    let end = Instant::now() + PATIENCE;
    let mut signals = 0;
    while {
        server.signal(Signal::USR1);
        server.output.find(&["log:"]) == "log:         0 lines left out"
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
    let line = log.find(&[" lines were left out"]);
    let count: u64 = line.split(' ').next().and_then(|count| count.parse().ok()).expect("a number");
    assert!(count > 0, "{line}");
    // The log works as before.
    server.send_nonsense();
    log.find(&["closed"]);
    honest.echo("{}");
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
}

/// A line has a bounded length, and tells that it was cut.
#[test]
fn lines_are_cut() {
    let mut server = Served::configured("cut", CONFIGURATION, Stdio::null(), Stdio::piped());
    server.client();
    fs::write(server.file(), format!("'{}' = 1\n", "x".repeat(100_000))).expect("it can be written");
    server.signal(Signal::HUP);
    let line = server.logged(" bytes left out");
    assert!(line.len() < 4096, "{} bytes", line.len());
}
