//! A process that is killed while sessions move takes only the sessions that it has.

use serde_json::json;
use wireplug_tests::client::Client;
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
        let old = Upgradable::start(name, DEMO);
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

/// The reason of a process that was killed before it was ready is its end.
#[tokio::test(flavor = "multi_thread")]
async fn before_it_is_ready() {
    let old = Upgradable::start("upgrade-kill-early", DEMO);
    let Finished { code, errors, .. } = finish(old.command(&["upgrade"]).arg("/bin/false"));
    assert_eq!(code, Some(1));
    assert!(errors.contains("exit status: 1"), "{errors}");
}
