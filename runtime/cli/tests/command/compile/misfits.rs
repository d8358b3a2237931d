//! Programs that are not compile workers, or not of this version. The server survives whatever they
//! do.

use std::time::{Duration, Instant};

use wireplug::config::CompileConfig;
use wireplug_tests::folder::Folder;
use wireplug_tests::running::wait_until;
use wireplug_tests::versions::POMELO;
use wireplug_wasm::{CompileError, Compiler, WorkerProgram};

use super::{SOON, children, load, refusal};
use crate::program::PROGRAM;

fn shell(script: &str) -> Compiler {
    Compiler::worker(WorkerProgram::new("/bin/sh", ["-c", script]))
}

fn limits() -> CompileConfig {
    CompileConfig { wall_time: Duration::from_secs(20), ..CompileConfig::default() }
}

/// Returns the error for a worker that runs this script.
fn said(script: &str) -> String {
    refusal(shell(script), &limits(), POMELO).to_string()
}

#[test]
fn one_that_is_not_there() {
    let error = refusal(Compiler::worker(WorkerProgram::new("/nowhere/w", [""; 0])), &limits(), POMELO);
    assert!(matches!(error, CompileError::Start { .. }), "{error:?}");
    assert!(error.to_string().starts_with("the compile worker /nowhere/w cannot be started: "), "{error}");
}

#[test]
fn one_of_another_version() {
    let error = said("echo wireplug-artifact 99.0.0 1; cat");
    assert!(
        error.contains("/bin/sh does not work: it is the program of wireplug 99.0.0; it must be"),
        "{error}"
    );
    // The worker checks the version too.
    let error = said(&format!("echo '{{\"version\":\"99.0.0\"}}' | {PROGRAM} compile-worker"));
    assert!(error.contains("and the server is wireplug 99.0.0"), "{error}");
}

#[test]
fn ones_that_give_no_artifact() {
    for script in ["true", "cat", "echo", "yes | head -c 100000", "head -c 1000 /dev/zero"] {
        let error = said(script);
        assert!(error.contains("it ends well and gives no compiled component"), "{script}: {error}");
    }
    // The server does not run code that this compiler has not made.
    let script = format!("echo wireplug-artifact {} 1; cat", env!("CARGO_PKG_VERSION"));
    let error = load(shell(&script), &limits(), POMELO).expect_err("it is no machine code");
    assert!(error.to_string().contains("its compiled code cannot be used"), "{error}");
}

#[test]
fn ones_that_fail() {
    let error = said("echo 'no luck\u{1b}[31m' >&2; exit 7");
    assert!(error.contains("exit status: 7: no luck\\u{1b}[31m"), "{error}");
    let error = said("echo why >&2; kill -SEGV $$");
    assert_eq!(error, "the compiler crashed on it, by signal 11: why");
    // Long output is cut.
    assert!(said("yes | head -c 1000000 >&2; exit 1").len() < 1000);
}

#[test]
fn ones_that_give_too_much() {
    let limits = CompileConfig { max_artifact: 1 << 20, ..limits() };
    let error = refusal(shell("head -c 3000000 /dev/zero"), &limits, POMELO);
    assert!(matches!(error, CompileError::Artifact(_)), "{error:?}");
}

#[test]
fn ones_that_do_not_end_are_killed_with_all_that_they_have_started() {
    let folder = Folder::new("compile-sleepers");
    let file = folder.path("pids");
    let script = format!("sleep 1000 & echo $! $$ > {}; exec 0<&- 1>&- 2>&-; wait", file.display());
    let limits = CompileConfig { wall_time: Duration::from_secs(1), ..limits() };
    let begun = Instant::now();
    let error = refusal(shell(&script), &limits, POMELO);
    assert!(matches!(error, CompileError::WallTime(_)), "{error:?}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let pids = std::fs::read_to_string(file).expect("the script has run");
    for pid in pids.split_whitespace().map(|pid| pid.parse().expect("a number")) {
        wait_until("its end", SOON, || !children::is_alive(pid));
    }
    let zombies = || children::of(std::process::id()).iter().any(|child| child.is_zombie);
    wait_until("all to be reaped", SOON, || !zombies());
}

/// A worker inherits only its three files from the server, and none of its environment.
#[test]
fn nothing_of_the_server_reaches_a_worker() {
    let error = said("echo $(env | cut -d= -f1 | grep -v -e PWD -e OLDPWD -e SHLVL -e _$) >&2; exit 1");
    assert!(error.ends_with("RAYON_NUM_THREADS; it must be the program of wireplug 0.1.0"), "{error}");
    // The worker has only the descriptors that every child of this process has.
    let open = ["-c", "echo $(ls /proc/self/fd)"];
    let plain = std::process::Command::new("/bin/sh").args(open).output().expect("there is a shell");
    let plain = String::from_utf8_lossy(&plain.stdout).trim().to_owned();
    let _server = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let error = said("echo $(ls /proc/self/fd) >&2; exit 1");
    assert!(error.contains(&format!("exit status: 1: {plain};")), "{error} is not {plain}");
}
