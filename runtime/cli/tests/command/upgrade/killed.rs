//! A process that is killed while sessions move takes only the sessions that it has.

use std::fs::File;
use std::io::{Read as _, Write as _};

use serde_json::json;
use tokio::task::spawn_blocking;
use wireplug_tests::client::Client;
use wireplug_tests::folder::Folder;
use wireplug_tests::raw::hello;
use wireplug_tests::running::{Finished, Running, Signal, finish, send};
use wireplug_tests::within;

use super::{DEMO, Successor, Upgradable};

/// So many that the move lasts longer than a signal takes.
const CLIENTS: usize = 400;

/// A server with clients, and an upgrade that has begun to move their sessions.
struct Moving {
    old: Upgradable,
    clients: Vec<Client>,
    upgrade: Running,
    new: Successor,
}

impl Moving {
    async fn begin(name: &str) -> Self {
        Self::begin_with(name, DEMO).await
    }

    async fn begin_with(name: &str, configuration: &str) -> Self {
        let old = Upgradable::start(name, configuration);
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let mut client = Client::open(&old.server.url(if number % 2 == 0 { "tcp" } else { "ws" })).await;
            client.handshake(None).await;
            clients.push(client);
        }
        let upgrade = Running::start(&mut old.command(&["upgrade"]));
        let line = old.server.logged("the sessions begin to move");
        let pid = line.split("pid=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let new = Successor(pid.and_then(|pid| pid.parse().ok()).expect("it says which"));
        Self { old, clients, upgrade, new }
    }

    /// Returns how many clients still have their sessions. All of them must be served.
    async fn served(&mut self) -> usize {
        let mut served = 0;
        for client in &mut self.clients {
            // A process that was killed closes its sockets at once.
            let answer = client.try_request("connector.entryHandler.echo", "1");
            served += usize::from(within("an answer or an end", answer).await.is_some());
        }
        served
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_process() {
    let mut moving = Moving::begin("upgrade-kill-new").await;
    send(moving.new.0 as u32, Signal::KILL);
    let code = moving.upgrade.exit_code();
    let served = moving.served().await;
    if code == Some(0) {
        // All had moved before the signal came.
        assert_eq!(served, 0);
        return;
    }
    let why = moving.upgrade.log.find(&["the new process ended while sessions moved"]);
    let lost = why.split("moved: ").nth(1).and_then(|rest| rest.split(' ').next());
    let lost: usize = lost.and_then(|lost| lost.parse().ok()).expect("it says how many");
    assert_eq!(served, CLIENTS - lost, "{why}");
    // The old process goes on with all that it had, and can be upgraded again.
    let mut late = Client::open(&moving.old.server.url("tcp")).await;
    late.handshake(None).await;
    let (new, report) = moving.old.upgrade();
    assert_eq!(report["moved"], json!(served + 1), "{report}");
    assert_eq!(moving.served().await, served);
    new.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_process() {
    let mut moving = Moving::begin("upgrade-kill-old").await;
    moving.old.server.kill();
    let line = moving.old.server.log.find(&["the old process", "ended"]);
    let served = moving.served().await;
    let came = if line.contains("before it gave all its sessions") {
        let came = line.split("sessions=").nth(1).and_then(|rest| rest.split_whitespace().next());
        came.and_then(|came| came.parse().ok()).expect("it says how many")
    } else if line.contains("this one serves alone") {
        // The signal came first.
        0
    } else {
        // All had moved before.
        CLIENTS
    };
    assert_eq!(served, came, "{line}");
    let mut late = Client::open(&moving.old.server.url("ws")).await;
    late.handshake(None).await;
    drop(moving.upgrade);
    moving.new.end();
}

/// A new process that hangs during the move is ended, and the old one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_that_hangs() {
    let mut moving = Moving::begin("upgrade-hang").await;
    send(moving.new.0 as u32, Signal::STOP);
    let code = moving.upgrade.exit_code();
    let new = std::mem::replace(&mut moving.new, Successor(0));
    if code == Some(0) {
        // All had moved before the signal came.
        send(new.0 as u32, Signal::CONT);
        assert_eq!(moving.served().await, CLIENTS);
        return new.end();
    }
    let why = moving.upgrade.log.find(&["did not answer while sessions moved, and was ended"]);
    let lost = why.split("ended: ").nth(1).and_then(|rest| rest.split(' ').next());
    let lost: usize = lost.and_then(|lost| lost.parse().ok()).expect("it says how many");
    assert!(!new.is_running());
    assert_eq!(moving.served().await, CLIENTS - lost, "{why}");
    let mut late = Client::open(&moving.old.server.url("ws")).await;
    late.handshake(None).await;
}

/// A listener that cannot be handed over has left its address to the new process, and takes it
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_without_sockets_comes_back() {
    let folder = Folder::new("upgrade-kill-pipe-at");
    let pipe = format!("[[listeners]]\nurl = 'pipe://{}'\ncodec = 'pomelo'", folder.text("pipe"));
    let mut moving = Moving::begin_with("upgrade-kill-pipe", &format!("{DEMO}\n{pipe}")).await;
    send(moving.new.0 as u32, Signal::KILL);
    if moving.upgrade.exit_code() == Some(0) {
        // All had moved before the signal came.
        return;
    }
    let [input, output] = [".in", ".out"].map(|end| format!("{}{end}", folder.text("pipe")));
    let greeted = spawn_blocking(move || {
        // Waits until the server has opened its end.
        let mut input = File::options().write(true).open(input).expect("it is a pipe");
        input.write_all(&hello()).expect("the server reads");
        let mut first = [0];
        File::open(output).expect("it is a pipe").read_exact(&mut first).expect("the server answers");
        first
    });
    assert_eq!(within("a handshake", greeted).await.expect("it does not panic"), hello()[..1]);
}

/// The reason of a process that was killed before it was ready is its end.
#[tokio::test(flavor = "multi_thread")]
async fn before_it_is_ready() {
    let old = Upgradable::start("upgrade-kill-early", DEMO);
    let Finished { code, errors, .. } = finish(old.command(&["upgrade"]).arg("/bin/false"));
    assert_eq!(code, Some(1));
    assert!(errors.contains("exit status: 1"), "{errors}");
}
