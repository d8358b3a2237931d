//! A server that runs out of file descriptors warns before that, refuses new clients, continues to
//! serve its clients and operators, and accepts clients again when descriptors are free.

use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use wireplug_tests::blocking::Client;
use wireplug_tests::folder::Folder;
use wireplug_tests::process::{cpu_time_of, descriptors_of};
use wireplug_tests::running::finish;
use wireplug_tests::served::Served;

use super::program::{PROGRAM, wireplug};

/// The server's limit of descriptors. It needs about thirty itself, and keeps a quarter in reserve.
const DESCRIPTORS: u64 = 96;

/// Starts a server with this limit of descriptors, and with its control API at a socket in this
/// folder.
fn limited(limit: &str, folder: &Folder) -> Served {
    let script =
        format!("{limit} && exec \"$0\" serve --listen hybrid://127.0.0.1:0 --control unix://\"$1\"");
    let mut command = Command::new("sh");
    command.env_remove("RUST_LOG").args(["-c", &script, PROGRAM]).arg(folder.path("control"));
    Served::start(&mut command)
}

/// Lists the codecs, as an operator does.
fn list_codecs(server: &Served) {
    let control = server.control.as_ref().expect("it has a control API");
    let listed = finish(&mut wireplug(["codec", "list", "--control", control])).printed();
    assert!(listed.contains("pomelo"), "{listed}");
}

/// Connects a client to a server that has a place for it, or will have one soon.
fn next_client(server: &Served) -> Client<std::net::TcpStream> {
    loop {
        if let Some(client) = Client::try_connect(server.connect()) {
            return client;
        }
    }
}

#[test]
fn clients_leave_some_to_others() {
    let folder = Folder::new("descriptors-few");
    let server = limited(&format!("ulimit -n {DESCRIPTORS}"), &folder);
    let warning = server.logged("there are file descriptors for");
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

    let mut clients: Vec<_> = (0..fits).map(|_| Client::new(server.connect())).collect();
    for client in &mut clients {
        client.begin_handshake();
        client.end_handshake();
    }
    // Each further client is refused when its first bytes show that it is no WebSocket client,
    // which would get an answer. None is left waiting.
    for _ in 0..DESCRIPTORS {
        let mut client = Client::new(server.connect());
        client.begin_handshake();
        client.until_closed();
    }
    list_codecs(&server);
    for client in &mut clients {
        client.echo("{}");
    }
    assert!(server.log.so_far().all(|line| !line.contains("cannot accept")));

    drop(clients);
    // The places of clients that have left become free soon.
    next_client(&server).echo("{}");
}

#[test]
fn without_any_it_refuses_and_goes_on() {
    let folder = Folder::new("descriptors-none");
    let server = limited("true", &folder);
    let mut first = Client::connect(server.connect());
    first.echo("{}");
    // Lowers the limit to the descriptors in use, as if other code in the process had taken all
    // others.
    let pid = Pid::from_raw(server.pid().try_into().expect("a number")).expect("it is not zero");
    let limit = |current: u64| {
        let maximum =
            prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(current), maximum: Some(1024) })
                .expect("it is a child");
        maximum.maximum
    };
    limit(descriptors_of(server.pid()) as u64);

    let before = cpu_time_of(server.pid());
    // Some of these clients find a free descriptor. They send nothing, so they are closed by a
    // deadline.
    let mut crowd: Vec<_> = (0..50).map(|_| Client::new(server.connect())).collect();
    crowd.iter_mut().for_each(Client::until_closed);
    let line = server.logged("cannot accept");
    assert!(line.contains("Too many open files"), "{line}");
    list_codecs(&server);
    let begun = std::time::Instant::now();
    for number in 1..=20 {
        first.echo(&number.to_string());
        thread::sleep(Duration::from_millis(100));
    }
    // The server neither uses much CPU time nor fills the log.
    let spent = cpu_time_of(server.pid()) - before;
    assert!(spent < begun.elapsed(), "{spent:?} of CPU time");
    let more = server.log.so_far().filter(|line| line.contains("cannot accept")).count();
    assert!(more <= 2, "{more} more lines");

    limit(1024);
    next_client(&server).echo("{}");
    first.echo("{}");
}

#[test]
fn the_soft_limit_is_raised() {
    let folder = Folder::new("descriptors-soft");
    let server = limited("ulimit -Sn 100 && ulimit -Hn 1024", &folder);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("it runs");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("there is one");
    let numbers: Vec<_> = line.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
    assert_eq!(numbers, ["1024", "1024"], "{line}");
    server.log.find(&["there are file descriptors for", "limit=1024", "reserve=128"]);
}
