//! A client that is gone without a word, as a machine without its network is: the server notices it by the deadline for
//! writing, and not by the kernel's own, which is a quarter of an hour.
//!
//! Server and client are in two network namespaces. Where none can be made, `cargo xtask test` leaves the test out and
//! says so; what the kernel is told is tested in `connector::dead_peers`.
#![cfg(target_os = "linux")]

mod served;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use self::served::{PROGRAM, Served};

/// Has the test go on inside of a namespace.
const INSIDE: &str = "WIREPLUG_TEST_PEER";

const HERE: &str = "10.77.0.1";
const THERE: &str = "10.77.0.2";

/// Heartbeats that are no sooner than the deadline.
const CONFIG: &str = r#"
app = "demo"

[codecs.pomelo]
builtin = "pomelo"
options.heartbeat = 600

[[listeners]]
url = "hybrid://10.77.0.1:0"
codec = "pomelo"
limits.write-timeout = "1s"
limits.idle-timeout = "10m"
"#;

#[test]
fn is_noticed_by_the_deadline_for_writing() {
    let works = |unshare: &[&str]| {
        let script = "unshare -n sleep 5 & peer=$!; sleep 0.5; ip link add here type veth peer name there && \
                      ip link set there netns $peer && nsenter -t $peer -n ip link set there up; \
                      works=$?; kill $peer; exit $works";
        let mut command = Command::new(unshare[0]);
        command.args(&unshare[1..]).args(["sh", "-c", script]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let ways: [&[&str]; 2] = [&["unshare", "-n"], &["unshare", "-Urn"]];
    let unshare = ways.into_iter().find(|way| works(way));
    let unshare =
        unshare.expect("network namespaces can be made: with unshare, ip, and the right to use them");
    let test = std::env::current_exe().expect("a running program has a path");
    let script = format!(
        "set -e
        ip link set lo up
        unshare -n sleep 600 & peer=$!
        trap 'kill $peer' EXIT
        until [ \"$(readlink /proc/$peer/ns/net)\" != \"$(readlink /proc/$$/ns/net)\" ]; do sleep 0.1; done
        ip link add here type veth peer name there
        ip link set there netns $peer
        ip addr add {HERE}/24 dev here
        ip link set here up
        nsenter -t $peer -n ip addr add {THERE}/24 dev there
        nsenter -t $peer -n ip link set there up
        {INSIDE}=$peer \"$0\" --exact inside --ignored --nocapture"
    );
    let mut command = Command::new(unshare[0]);
    let output =
        command.args(&unshare[1..]).args(["sh", "-c", &script]).arg(test).output().expect("it has run");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "it runs inside of a namespace, by the test above"]
fn inside() {
    let Ok(peer) = std::env::var(INSIDE) else {
        eprintln!("left out: it runs inside of a namespace only");
        return;
    };
    let there = |program: &Path| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &peer, "-n"]).arg(program);
        command
    };
    let server = Served::configured(CONFIG);
    // Each has joined when it has printed the answer.
    let joins = |mut command: Command, scheme: &str, name: &str| {
        let url = format!("{scheme}://{}", server.address());
        let hello = format!("{{\"name\":\"{name}\"}}");
        command.args(["call", &url, "chat.chatHandler.join", &hello, "--listen"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it can be run");
        let mut printed = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut answer = String::new();
        printed.read_line(&mut answer).expect("it answers");
        assert!(answer.contains(name), "{answer}");
        (child, printed)
    };
    let program = Path::new(PROGRAM);
    let mut gone = [joins(there(program), "tcp", "ann"), joins(there(program), "ws", "eve")];
    let (mut stays, mut hears) = joins(Command::new(program), "tcp", "bob");

    let mut vanish = there(Path::new("ip"));
    let vanished = vanish.args(["route", "add", "blackhole", &format!("{HERE}/32")]).status();
    assert!(vanished.is_ok_and(|status| status.success()));
    let url = format!("tcp://{}", server.address());
    let mut says = Command::new(program);
    says.args(["call", &url, "chat.chatHandler.join", "{\"name\":\"joe\"}"]);
    says.args(["--then", "chat.chatHandler.send", "{\"text\":\"hi\"}"]);
    assert!(says.output().is_ok_and(|output| output.status.success()));
    let mut push = String::new();
    hears.read_line(&mut push).expect("it listens");
    assert!(push.contains("joe"), "{push}");

    // The kernel's own limit is far above this patience.
    let ends: Vec<_> = (0..gone.len()).map(|_| server.until(&["closed", THERE])).collect();
    assert!(ends.iter().all(|line| line.contains("unreachable")), "{ends:?}");
    // Who is there stays.
    assert!(stays.try_wait().expect("it is a child").is_none());
    for child in gone.iter_mut().map(|(child, _)| child).chain([&mut stays]) {
        let _ = child.kill();
        let _ = child.wait();
    }
}
