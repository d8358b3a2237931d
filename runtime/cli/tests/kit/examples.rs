//! The codecs of `guest-examples`: each is built, tested, checked and served as its README says,
//! and clients of others use it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Guide, guide};

pub(super) const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest-examples");
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers");

/// Runs the blocks of an example's README, which ends with its server running.
fn follow(example: &str, blocks: usize) -> Guide {
    let folder = Path::new(EXAMPLES).join(example);
    let readme = fs::read_to_string(folder.join("README.md")).expect("there is one");
    let mut guide = guide(&folder);
    guide.follow(&readme);
    assert_eq!(guide.blocks, blocks, "not all of the page was done");
    guide
}

/// Runs a script of `tests/peers` against the server, and returns its output.
fn talks(program: impl AsRef<Path>, script: &str, guide: &Guide, port: &str) -> String {
    let mut command = Command::new(program.as_ref());
    command.arg(Path::new(PEERS).join(script)).args(["127.0.0.1", guide.port(port)]);
    let output = command.output().expect("it can be started");
    let printed = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{script}: {} {printed}", output.status);
    printed
}

/// Returns the Python that has the packages of these clients.
fn python() -> PathBuf {
    let folder = std::env::var_os("WIREPLUG_PEERS_DIR").expect("`cargo xtask peers` sets it");
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder).join("venv/bin/python")
}

/// The page uses netcat as the client.
#[test]
fn json_lines() {
    follow("json-lines", 4);
    let source = fs::read_to_string(Path::new(EXAMPLES).join("json-lines/src/lib.rs")).expect("it is there");
    assert!(source.lines().count() < 50, "the smallest codec has under 50 lines");
}

#[test]
fn mqtt() {
    let guide = follow("mqtt", 4);
    let printed = talks(python(), "mqtt.py", &guide, "1883");
    for transport in ["tcp", "websockets"] {
        assert!(printed.contains(&format!(r#"{{"step": "done", "transport": "{transport}"}}"#)), "{printed}");
    }
}

#[test]
fn irc() {
    let guide = follow("irc", 4);
    let printed = talks("node", "irc.js", &guide, "6667");
    assert!(printed.lines().last().is_some_and(|line| line.contains(r#""step":"done""#)), "{printed}");
}

#[test]
fn msgpack() {
    let guide = follow("msgpack", 2);
    let printed = talks("node", "msgpack.js", &guide, "4010");
    assert!(printed.lines().last().is_some_and(|line| line.contains(r#""step":"done""#)), "{printed}");
}

/// The SDK for Python is plain Python, and has tests of its own.
#[test]
fn library_of_python() {
    let library = Path::new(EXAMPLES).join("../guest-sdk/python");
    let output = Command::new("python3")
        .args(["-m", "unittest"])
        .current_dir(library)
        .output()
        .expect("there is python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The SDK for C has tests that run on this machine.
#[test]
fn library_of_c() {
    let tests = Path::new(EXAMPLES).join("../guest-sdk/c/tests");
    let output = Command::new("sh").arg("run").current_dir(tests).output().expect("there is a shell");
    let printed = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{printed}");
    for test in ["cut.c", "ids.c", "stream.c"] {
        assert!(printed.contains(&format!("{test}: ok")), "{printed}");
    }
}

#[test]
fn library_of_go() {
    let sdk = Path::new(EXAMPLES).join("../guest-sdk/go");
    let mut go = Command::new("go");
    go.args(["test", "./..."]).current_dir(sdk);
    let output = go.output().expect("the toolchain of Go is installed");
    let printed = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{printed}");
    for package in ["wireplug", "wireplug/cut", "wireplug/ids", "wireplug/options"] {
        assert!(printed.contains(&format!("ok  \t{package}\t")), "{printed}");
    }
}

/// The page uses a client that needs only Python's standard library.
#[test]
fn telemetry() {
    follow("telemetry", 4);
}
