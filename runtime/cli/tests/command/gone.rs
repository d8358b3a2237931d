//! A client vanishes without closing its connection, like a machine that loses its network. The
//! server notices this by its deadline for writing, and not by the kernel's own limit of a quarter
//! of an hour.
//!
//! Server and client are in two network namespaces. If none can be created, `cargo xtask test`
//! skips the test and reports that. The module `dead_peers` of `wireplug-connectors` tests the
//! socket options.

use std::process::{Command, Stdio};

use wireplug_tests::running::{Running, finish};
use wireplug_tests::served::Served;

use super::program::{PROGRAM, wireplug};

/// The environment variable that tells the test that it runs inside a namespace.
const INSIDE: &str = "WIREPLUG_TEST_PEER";

const HERE: &str = "10.77.0.1";
const THERE: &str = "10.77.0.2";

/// A configuration whose heartbeats come later than the deadline.
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
        {INSIDE}=$peer \"$0\" --exact gone::inside --ignored --nocapture"
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
    let peer = std::env::var(INSIDE).expect("it runs inside of a namespace, by the test above");
    let there = |program: &str| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &peer, "-n"]).arg(program);
        command
    };
    let server = Served::configured(&mut wireplug(["serve"]), "gone", CONFIG);
    // A client has joined when it has printed the answer.
    let joins = |mut command: Command, scheme: &str, name: &str| {
        let hello = format!("{{\"name\":\"{name}\"}}");
        command.args(["call", &server.url(scheme), "chat.chatHandler.join", &hello, "--listen"]);
        let client = Running::writing(&mut command, Stdio::piped(), Stdio::inherit());
        let answer = client.line();
        assert!(answer.contains(name), "{answer}");
        client
    };
    let _gone = [joins(there(PROGRAM), "tcp", "ann"), joins(there(PROGRAM), "ws", "eve")];
    let mut stays = joins(Command::new(PROGRAM), "tcp", "bob");

    let mut vanish = there("ip");
    let vanished = vanish.args(["route", "add", "blackhole", &format!("{HERE}/32")]).status();
    assert!(vanished.is_ok_and(|status| status.success()));
    let mut says = wireplug(["call", &server.url("tcp"), "chat.chatHandler.join", "{\"name\":\"joe\"}"]);
    finish(says.args(["--then", "chat.chatHandler.send", "{\"text\":\"hi\"}"])).printed();
    let push = stays.line();
    assert!(push.contains("joe"), "{push}");

    // The kernel's own limit is far longer than the test waits.
    let ends = [(); 2].map(|()| server.log.find(&["closed", THERE]));
    assert!(ends.iter().all(|line| line.contains("unreachable")), "{ends:?}");
    // The client that is still there stays connected.
    assert!(stays.is_running());
}
