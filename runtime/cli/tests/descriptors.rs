//! A server that runs out of file descriptors: it says so before, refuses whom it cannot have, serves whom it has and
//! its operators, and accepts again when there are some.
#![cfg(target_os = "linux")]

mod served;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use self::served::{PROGRAM, Served, echo, shake_hands, until_closed};

/// Of the server. It needs some thirty itself, and keeps a quarter.
const DESCRIPTORS: u64 = 96;

/// A server with so many descriptors, and its control API's socket.
fn limited(limit: &str, name: &str) -> (Served, PathBuf) {
    let control = std::env::temp_dir().join(format!("wireplug-test-{}-{name}.sock", std::process::id()));
    let script =
        format!("{limit} && exec \"$0\" serve --listen hybrid://127.0.0.1:0 --control unix://\"$1\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, PROGRAM]).arg(&control);
    (Served::run(command), control)
}

/// An operator asks for the codecs.
fn list_codecs(control: &Path) {
    let mut command = Command::new(PROGRAM);
    let url = format!("unix://{}", control.display());
    let output = command.args(["codec", "list", "--control", &url]).output().expect("it can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("pomelo"));
}

#[test]
fn clients_leave_some_to_others() {
    let (server, control) = limited(&format!("ulimit -n {DESCRIPTORS}"), "few");
    let warning = server.until(&["there are file descriptors for"]);
    for words in ["`server.max-connections` is 10000", "limit=96", "LimitNOFILE=", "ulimit"] {
        assert!(warning.contains(words), "{warning}");
    }
    let fits: usize = warning
        .split("descriptors for ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .and_then(|number| number.parse().ok())
        .expect("it says how many");
    assert!((10..DESCRIPTORS as usize).contains(&fits), "{warning}");

    let mut clients: Vec<_> = (0..fits).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(shake_hands);
    // Nobody hangs, and nobody is let in who does not fit.
    for _ in 0..DESCRIPTORS {
        until_closed(&mut server.connect());
    }
    list_codecs(&control);
    for client in &mut clients {
        echo(client, 1);
    }
    assert!(server.log().iter().all(|line| !line.contains("cannot accept")));

    drop(clients);
    let mut next = loop {
        let mut next = server.connect();
        // The places of those who have left are free in a moment.
        if served::try_handshake(&mut next) {
            break next;
        }
    };
    echo(&mut next, 1);
}

#[test]
fn without_any_it_refuses_and_goes_on() {
    let (server, control) = limited("true", "none");
    let mut first = server.connect();
    shake_hands(&mut first);
    echo(&mut first, 1);
    // As if something else in the process had taken them all.
    let pid = Pid::from_raw(server.pid().try_into().expect("a number")).expect("it is not zero");
    let limit = |current: u64| {
        let maximum =
            prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(current), maximum: Some(1024) })
                .expect("it is a child");
        maximum.maximum
    };
    limit(server.descriptors());

    let before = server.cpu_time();
    // Those for whom there was a gap are silent for too long.
    let mut crowd: Vec<_> = (0..50).map(|_| server.connect()).collect();
    crowd.iter_mut().for_each(until_closed);
    let line = server.until(&["cannot accept"]);
    assert!(line.contains("Too many open files"), "{line}");
    list_codecs(&control);
    let begun = std::time::Instant::now();
    for id in 1..=20 {
        echo(&mut first, id);
        thread::sleep(Duration::from_millis(100));
    }
    // It neither burns time nor fills the log.
    let spent = server.cpu_time() - before;
    assert!(spent < begun.elapsed(), "{spent:?} of CPU time");
    let more = server.log().iter().filter(|line| line.contains("cannot accept")).count();
    assert!(more <= 2, "{more} more lines");

    limit(1024);
    let mut next = loop {
        let mut next = server.connect();
        if served::try_handshake(&mut next) {
            break next;
        }
    };
    echo(&mut next, 1);
    echo(&mut first, 21);
}

#[test]
fn the_soft_limit_is_raised() {
    let (server, _) = limited("ulimit -Sn 100 && ulimit -Hn 1024", "soft");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("it runs");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("there is one");
    let numbers: Vec<_> = line.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
    assert_eq!(numbers, ["1024", "1024"], "{line}");
    server.until(&["there are file descriptors for", "limit=1024", "reserve=128"]);
}
