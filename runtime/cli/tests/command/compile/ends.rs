//! `wireplug serve` gets signals and ends while it compiles, and leaves no process behind.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use wireplug_tests::folder::Folder;
use wireplug_tests::hostile::heavy::{nested, slowed};
use wireplug_tests::running::{Running, Signal, finish, send, wait_until};
use wireplug_tests::versions;
use wireplug_tests::versions::POMELO;

use super::{SLOW, SOON, children};
use crate::program::wireplug;

/// The documented limit for the end of a server, with a margin for a busy machine.
const BOUND: Duration = Duration::from_secs(7 + 3);

/// A folder with a codec, for one test.
struct Home(Folder);

impl Home {
    fn with(name: &str, wasm: &[u8]) -> Self {
        let home = Self(Folder::new(&format!("compile-{name}")));
        home.put(wasm);
        home
    }

    fn put(&self, wasm: &[u8]) {
        self.0.replace("pomelo.wasm", wasm);
    }

    fn codec(&self) -> PathBuf {
        self.0.path("pomelo.wasm")
    }

    /// Returns a command whose cache is in this folder.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = wireplug(arguments);
        command.env("XDG_CACHE_HOME", self.0.root());
        command
    }

    /// Starts a server with this codec.
    fn serve(&self) -> Running {
        let mut command = self.command(&["serve", "--listen", "tcp://127.0.0.1:0", "--codec"]);
        start(command.arg(self.codec()))
    }
}

fn start(command: &mut Command) -> Running {
    Running::writing(command, Stdio::piped(), Stdio::null())
}

/// Waits until a server listens.
fn until_it_listens(server: &Running) {
    server.output.find(&["SIGUSR1 prints the counts"]);
}

fn slow() -> Vec<u8> {
    slowed(POMELO, SLOW)
}

#[test]
fn a_start_that_compiles_ends_at_once() {
    for (name, signal) in [("TERM", Signal::TERM), ("INT", Signal::INT)] {
        let home = Home::with(&format!("start-{name}"), &slow());
        let mut server = home.serve();
        let worker = children::the_one_of(server.pid(), SOON);
        // Neither signal ends the server, although it has not started yet.
        for signal in [Signal::USR1, Signal::HUP] {
            server.signal(signal);
        }
        std::thread::sleep(Duration::from_millis(200));
        assert!(children::is_alive(server.pid()) && children::is_alive(worker));
        server.signal(signal);
        assert_eq!(server.exit_code_within(BOUND), Some(0), "{name}");
        wait_until("its worker to end", SOON, || !children::is_alive(worker));
    }
}

#[test]
fn a_start_that_waits_for_nats_ends_at_once() {
    let home = Home::with("nats", POMELO);
    let text = "[nats]\nservers = [\"nats://127.0.0.1:1\"]\n[services.chat]\n[codecs.pomelo]\nbuiltin = \"pomelo\"\n\
                [[listeners]]\nurl = \"tcp://127.0.0.1:0\"\ncodec = \"pomelo\"\n";
    home.0.write("w.toml", text);
    for (name, signal) in [("TERM", Signal::TERM), ("INT", Signal::INT)] {
        let mut server = start(&mut home.command(&["serve", &home.0.text("w.toml")]));
        std::thread::sleep(Duration::from_millis(600));
        server.signal(Signal::USR1);
        server.signal(signal);
        assert_eq!(server.exit_code_within(BOUND), Some(0), "{name}");
    }
}

#[test]
fn a_server_that_compiles_ends_in_time() {
    let home = Home::with("serving", &versions::pomelo(1));
    let mut server = home.serve();
    until_it_listens(&server);
    home.put(&slow());
    let worker = children::the_one_of(server.pid(), SOON);
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code_within(BOUND), Some(0));
    wait_until("its worker to end", SOON, || !children::is_alive(worker));
}

#[test]
fn a_server_that_is_killed_takes_its_worker_with_it() {
    let home = Home::with("killed", &slow());
    let mut server = home.serve();
    let worker = children::the_one_of(server.pid(), SOON);
    server.signal(Signal::KILL);
    assert_eq!(server.exit_code_within(BOUND), None);
    wait_until("its worker to end", SOON, || !children::is_alive(worker));
}

/// A worker is killed, as by a system that is out of memory. Only the load that used it fails.
#[test]
fn a_worker_that_is_killed_is_reaped() {
    let home = Home::with("worker", &versions::pomelo(1));
    let mut server = home.serve();
    until_it_listens(&server);
    home.put(&slow());
    let worker = children::the_one_of(server.pid(), SOON);
    send(worker, Signal::KILL);
    wait_until("it to be reaped", SOON, || children::of(server.pid()).is_empty());
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code_within(BOUND), Some(0));
}

/// Commands for authors compile in the same way.
#[test]
fn inspect_says_which_bound_a_component_meets() {
    let home = Home::with("inspect", &nested(12_000));
    let text = finish(home.command(&["codec", "inspect"]).arg(home.codec())).printed();
    assert!(text.contains("refused      ") && text.contains("`nesting` under [compile.bounds]"), "{text}");
}
