//! Lines of the codec for the log.

use std::io;
use std::sync::{Arc, Mutex};

use super::rig::{Rig, Setup, at};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns what is logged meanwhile, as `LEVEL TEXT`, without lines that are not the codec's.
fn logged(act: impl FnOnce()) -> Vec<String> {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, act);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines = text.lines().filter_map(|line| line.trim_start().split_once(" the codec says text="));
    lines.map(|(level, text)| format!("{level} {text}")).collect()
}

/// The lines of one level share a limit with those of other tests, so no other test logs an error.
#[test]
fn each_line_has_its_level_and_no_client_can_fill_the_log() {
    let mut rig = Rig::established();
    let lines = logged(|| rig.receive(&["log debug a; log info b; log warn c", "log error d"]));
    assert_eq!(lines, ["DEBUG a", "INFO b", "WARN c", "ERROR d"]);
    assert_eq!((rig.closed(), rig.actions().len()), (None, 0));

    let lines = logged(|| {
        for _ in 0..100 {
            rig.receive(&["log error flood"; 100]);
        }
    });
    assert!(!lines.is_empty() && lines.len() < 5000, "{} lines", lines.len());
}

#[test]
fn a_tick_and_a_farewell_may_log() {
    let mut rig = Rig::new(Setup { ticks: &["timer 5", "log info tick"], ..Setup::default() });
    let lines = logged(|| {
        rig.machine.on_time(at(5));
        rig.farewell("do log warn bye");
    });
    assert_eq!(lines, ["INFO tick", "WARN bye"]);
}

#[test]
fn a_line_is_short_and_escaped_and_has_no_secret() {
    let mut rig =
        Rig::established_with(Setup { secret: Some("hunter2"), max_packet: 1000, ..Setup::default() });
    let long = format!("log info {}", "x".repeat(500));
    let lines = logged(|| rig.receive(&["log info the key is hunter2", "log warn \u{1b}[31mred", &long]));
    assert_eq!(lines[0], "INFO the key is {\"env\":\"SECRET\"}");
    assert_eq!(lines[1], "WARN \\u{1b}[31mred");
    assert_eq!(lines[2], format!("INFO {}", "x".repeat(256)));
}
