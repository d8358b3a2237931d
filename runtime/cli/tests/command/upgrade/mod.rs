//! `wireplug upgrade`: a new process takes over the sockets and the sessions of a server.

mod killed;
mod refused;
mod soak;
mod stays;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use wireplug_tests::client::Client;
use wireplug_tests::folder::Folder;
use wireplug_tests::raw::{Raw, request};
use wireplug_tests::running::{Finished, PATIENCE, Signal, finish, send, wait_for};
use wireplug_tests::served::Served;
use wireplug_tests::within;

use super::program::{PROGRAM, wireplug};

/// A process that has taken over. It is no child of the test, so it is ended by its number.
pub(super) struct Successor(pub(super) i32);

impl Successor {
    fn is_running(&self) -> bool {
        // A process that has ended stays in the list until its parent has noticed.
        fs::read_to_string(format!("/proc/{}/stat", self.0)).is_ok_and(|stat| !stat.contains(") Z "))
    }

    /// Ends the process in the usual way.
    #[track_caller]
    pub(super) fn end(self) {
        send(self.0 as u32, Signal::TERM);
        wait_for("the end of the new process", PATIENCE, || (!self.is_running()).then_some(()));
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if self.is_running() {
            send(self.0 as u32, Signal::KILL);
        }
    }
}

/// A server with a control API on a Unix socket, in a folder of its own.
pub(super) struct Upgradable {
    pub(super) server: Served,
    folder: Folder,
}

impl Upgradable {
    /// Starts a server with this configuration, to which the control API is added.
    pub(super) fn start(name: &str, configuration: &str) -> Self {
        let folder = Folder::new(name);
        let control = format!("[control]\nlisten = 'unix://{}'\n", folder.text("control.sock"));
        let file = folder.write("wireplug.toml", format!("{configuration}\n{control}"));
        let server = Served::start(wireplug(["serve"]).arg(file));
        Self { server, folder }
    }

    /// Replaces the configuration that the next process reads.
    pub(super) fn configure(&self, configuration: &str) {
        let control = format!("[control]\nlisten = 'unix://{}'\n", self.folder.text("control.sock"));
        self.folder.write("wireplug.toml", format!("{configuration}\n{control}"));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = wireplug(arguments);
        command.args(["--control", &format!("unix://{}", self.folder.text("control.sock"))]);
        command
    }

    /// Upgrades the server to the same program. Returns the new process, and the report.
    #[track_caller]
    pub(super) fn upgrade(&self) -> (Successor, Value) {
        let report = finish(&mut self.command(&["upgrade", "--json"])).result().expect("it is upgraded");
        let report: Value = serde_json::from_str(&report).expect("it is JSON");
        (Successor(report["pid"].as_i64().expect("a number") as i32), report)
    }

    /// Tries to upgrade the server to a program. Returns the error.
    #[track_caller]
    fn refused(&self, program: &[&str]) -> String {
        let Finished { code, errors, .. } = finish(self.command(&["upgrade"]).args(program));
        assert_eq!(code, Some(1), "{errors}");
        errors
    }

    /// Asks the control API, and returns the answer of a command as JSON.
    #[track_caller]
    fn ask(&self, arguments: &[&str]) -> Value {
        let answer = finish(self.command(arguments).arg("--json")).result().expect("it answers");
        serde_json::from_str(&answer).expect("it is JSON")
    }
}

pub(super) const DEMO: &str = "app = 'demo'
    [codecs.pomelo]
    builtin = 'pomelo'
    [[listeners]]
    url = 'hybrid://127.0.0.1:0'
    codec = 'pomelo'";

async fn join(client: &mut Client, name: &str) {
    let joined = client.call("chat.chatHandler.join", &json!({ "name": name })).await;
    assert_eq!(joined, json!({ "name": name }));
}

async fn say(client: &mut Client, text: &str) {
    client.request("chat.chatHandler.send", json!({ "text": text }).to_string()).await;
}

async fn hears(client: &mut Client, from: &str, text: &str) {
    let (route, body) = client.next_push().await;
    assert_eq!((&*route, body), ("onChat", json!({ "from": from, "text": text })));
}

/// Sessions over TCP and WebSocket keep their users, groups and half-read packets, and pushes go on
/// between them.
#[tokio::test(flavor = "multi_thread")]
async fn clients_go_on_as_if_nothing_had_happened() {
    let mut old = Upgradable::start("upgrade", DEMO);
    let mut ann = Client::open(&old.server.url("tcp")).await;
    ann.handshake(None).await;
    let mut bob = Client::open(&old.server.url("ws")).await;
    bob.handshake(None).await;
    join(&mut ann, "ann").await;
    join(&mut bob, "bob").await;
    // A request of which half has come.
    let mut half = Raw::pomelo(&old.server.url("tcp")).await;
    let whole = request(1, "connector.entryHandler.echo", "\"half\"");
    half.send(&whole[..10]).await;
    // An idle one.
    let mut idle = Client::open(&old.server.url("tcp")).await;
    idle.handshake(None).await;
    let before = old.ask(&["sessions"]);

    let (new, report) = old.upgrade();
    assert_eq!((&report["moved"], &report["stayed"]), (&json!(4), &json!({})), "{report}");
    assert_eq!(old.server.exit_code(), Some(0));

    half.send(&whole[10..]).await;
    let (kind, answer) = half.package().await;
    assert_eq!(kind, 4);
    assert!(answer.ends_with(b"\"half\""), "{answer:?}");
    say(&mut ann, "still here").await;
    hears(&mut ann, "ann", "still here").await;
    hears(&mut bob, "ann", "still here").await;
    say(&mut bob, "me too").await;
    hears(&mut ann, "bob", "me too").await;
    hears(&mut bob, "bob", "me too").await;
    assert_eq!(idle.call("connector.entryHandler.echo", &json!(1)).await, json!(1));

    // They have the same numbers, users and ages, and a new client gets another number.
    let ids = |list: &Value| {
        let sessions = list["sessions"].as_array().expect("a list").iter();
        sessions.map(|session| (session["id"].clone(), session["user"].clone())).collect::<Vec<_>>()
    };
    let after = old.ask(&["sessions"]);
    assert_eq!(ids(&before), ids(&after));
    let mut late = Client::open(&old.server.url("tcp")).await;
    late.handshake(None).await;
    join(&mut late, "late").await;
    assert_eq!(ids(&old.ask(&["sessions"])).len(), ids(&before).len() + 1);
    say(&mut late, "hello").await;
    hears(&mut ann, "late", "hello").await;

    // The new process can be upgraded too.
    let (third, report) = old.upgrade();
    assert_eq!(report["moved"], json!(5), "{report}");
    wait_for("the end of the second process", PATIENCE, || (!new.is_running()).then_some(()));
    hears(&mut bob, "late", "hello").await;
    say(&mut bob, "twice").await;
    hears(&mut ann, "bob", "twice").await;
    drop(new);
    third.end();
    ann.closed().await;
}

/// A server that was started by a symbolic link is upgraded to what the link leads to by then.
#[test]
fn a_symbolic_link_is_followed_anew() {
    let folder = Folder::new("upgrade-link");
    let [one, two] = ["one", "two"].map(|name| {
        let path = folder.path(name);
        fs::copy(PROGRAM, &path).expect("a file can be copied");
        path
    });
    let link = folder.path("wireplug");
    symlink(&one, &link).expect("a link can be made");
    let control = format!("unix://{}", folder.text("control.sock"));
    let mut old = Served::start(Command::new(&link).args([
        "serve",
        "--listen",
        "hybrid://127.0.0.1:0",
        "--control",
        &control,
    ]));
    fs::remove_file(&link).expect("it is there");
    symlink(&two, &link).expect("a link can be made");
    let report = finish(&mut wireplug(["upgrade", "--json", "--control", &control])).result();
    let report: Value = serde_json::from_str(&report.expect("it is upgraded")).expect("it is JSON");
    let new = Successor(report["pid"].as_i64().expect("a number") as i32);
    assert_eq!(fs::read_link(format!("/proc/{}/exe", new.0)).expect("it runs"), two);
    assert_eq!(old.exit_code(), Some(0));
    new.end();
}

/// Clients who come during upgrades are served by one process or the other.
#[tokio::test(flavor = "multi_thread")]
async fn new_clients_are_never_refused() {
    let mut old = Upgradable::start("upgrade-newcomers", DEMO);
    let stop = Arc::new(AtomicBool::new(false));
    let comers: Vec<_> = ["tcp", "ws"]
        .map(|scheme| {
            let (url, stop) = (old.server.url(scheme), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut served = 0;
                while !stop.load(Ordering::Relaxed) {
                    let mut client = Client::open(&url).await;
                    client.handshake(None).await;
                    assert_eq!(
                        client.call("connector.entryHandler.echo", &json!(served)).await,
                        json!(served)
                    );
                    served += 1;
                }
                served
            })
        })
        .into();
    let mut last: Option<Successor> = None;
    for _ in 0..3 {
        let (new, _) = tokio::task::block_in_place(|| old.upgrade());
        // Until the process before has ended, it may serve a client who came just then, and the
        // next upgrade is refused.
        match last.replace(new) {
            None => assert_eq!(old.server.exit_code(), Some(0)),
            Some(before) => {
                wait_for("the end of the process before", PATIENCE, || (!before.is_running()).then_some(()))
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    for comer in comers {
        assert!(within("a client", comer).await.expect("none is refused") > 3);
    }
    last.expect("there were upgrades").end();
}

/// A signal does the same as the command.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_upgrades_too() {
    let mut old = Upgradable::start("upgrade-signal", DEMO);
    let mut client = Client::open(&old.server.url("tcp")).await;
    client.handshake(None).await;
    old.server.signal(Signal::USR2);
    let line = old.server.logged("another process has taken over");
    let pid = line.split("pid=").nth(1).and_then(|rest| rest.split(' ').next()).expect("it says which");
    let new = Successor(pid.parse().expect("a number"));
    assert_eq!(old.server.exit_code(), Some(0));
    assert_eq!(client.call("connector.entryHandler.echo", &json!(1)).await, json!(1));
    new.end();
}

/// A server that sleeps at once moves its sessions without waking them.
#[tokio::test(flavor = "multi_thread")]
async fn sleeping_sessions_move_without_waking() {
    let configuration =
        DEMO.replace("builtin = 'pomelo'", "builtin = 'pomelo'\nlimits.sleep-after = '100ms'");
    let old = Upgradable::start("upgrade-asleep", &configuration);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::open(&old.server.url("tcp")).await;
        client.handshake(None).await;
        clients.push(client);
    }
    let asleep = |status: &Value, what: &str| {
        status[0]["codecs"][0]["generations"][0]["sleep"][what].as_u64().expect("a number")
    };
    wait_for("sleep", PATIENCE, || (asleep(&old.ask(&["status"]), "asleep") == 3).then_some(()));
    let (new, report) = old.upgrade();
    assert_eq!(report["moved"], json!(3), "{report}");
    let status = old.ask(&["status"]);
    assert_eq!([asleep(&status, "asleep"), asleep(&status, "woken-packet")], [3, 0], "{status}");
    for client in &mut clients {
        assert_eq!(client.call("connector.entryHandler.echo", &json!(2)).await, json!(2));
    }
    assert_eq!(asleep(&old.ask(&["status"]), "woken-packet"), 3);
    new.end();
}

/// How long a soak rests between two upgrades, at least.
const REST: Duration = Duration::from_millis(200);
