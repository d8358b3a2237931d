//! Rollouts over three nodes, of which each is killed and started again in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_nats::jetstream::{self, object_store};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use wireplug_tests::docker_registry::DockerRegistry;
use wireplug_tests::folder::Folder;
use wireplug_tests::hostile::Function::{Decode, Restore, Save};
use wireplug_tests::hostile::Guest;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::running::{Finished, finish};
use wireplug_tests::served::Served;
use wireplug_tests::{until, versions, within};

use super::serve;
use crate::program::wireplug;

const NODES: [&str; 3] = ["one", "two", "three"];

/// A line with which clients hit the fault of a bad version, and how many lines come before it.
const FATAL: &str = "?";
const BEFORE_FATAL: u64 = 1000;

/// The lines that a client sends before it connects anew.
const LINES: u64 = 25;

/// Returns a codec whose sessions can be handed over. It echoes lines.
fn version(name: &str) -> Guest {
    const SAVE: &str =
        "(call $three (call $alloc (i32.const 16)) (i32.const 0) (i32.const 4096) (i32.const 1))";
    Guest::new(name).with(Save, SAVE).with(Restore, "(call $honest-open)")
}

/// Returns a version that traps at the fatal line.
fn bad() -> Guest {
    let trap = "(if (i32.eq (i32.load8_u (local.get $packet)) (i32.const 63)) (then unreachable))
        (call $honest-decode (local.get $packet) (local.get $length))";
    version("bad").with(Decode, trap)
}

/// Three nodes, a service behind them that echoes, and a registry with the versions.
struct Fleet {
    nodes: Vec<Served>,
    nats: NatsServer,
    /// The reference of each version, by its name.
    versions: BTreeMap<&'static str, String>,
    registry: DockerRegistry,
    folder: Folder,
    _service: async_nats::Client,
}

impl Fleet {
    async fn start(name: &str) -> Self {
        let folder = Folder::new(name);
        let nats = NatsServer::with(&["-js", "-sd", &folder.text("jetstream")]);
        let service = nats.client().await;
        serve(&service, "wireplug.requests.a.>", |request| {
            (200, String::from_utf8_lossy(&request.payload).into_owned())
        })
        .await;
        let registry = DockerRegistry::start(&folder, "", "");
        let push = |name: &'static str, version: Guest| {
            let file = folder.write(&format!("{name}.wasm"), version.build());
            let mut push = wireplug(["codec", "push"]);
            let said = finish(push.arg(file).arg(registry.reference(name))).printed();
            (name, said.lines().next().expect("the reference by its digest").to_owned())
        };
        let versions = [push("old", version("old")), push("new", version("new")), push("bad", bad())].into();
        let nodes = NODES.map(|name| node(name, "127.0.0.1:0", &nats, &folder)).into();
        Self { nodes, nats, versions, registry, folder, _service: service }
    }

    /// Kills a node, and starts it again at the same address.
    fn restart(&mut self, number: usize) {
        let address = self.nodes[number].address().to_owned();
        self.nodes[number].kill();
        self.nodes[number] = node(NODES[number], &address, &self.nats, &self.folder);
    }

    fn control(&self, number: usize) -> String {
        format!("unix://{}", self.folder.text(&format!("{}.sock", NODES[number])))
    }

    /// Runs `wireplug rollout` on a node.
    fn rollout(&self, number: usize, arguments: &[&str]) -> Finished {
        let control = self.control(number);
        finish(wireplug(["rollout", "line"]).args(arguments).args(["--control", &control]))
    }

    /// Begins a rollout of a version on the first node, whose steps are held for this time.
    fn begin(&self, version: &str, hold: &str) {
        let file = &self.versions[version];
        let steps = ["--canary", "20%", "--then", "50%", "--then", "100%", "--hold", hold];
        let limits = ["--max-faults", "3", "--detach"];
        self.rollout(0, &[&[&**file][..], &steps, &limits].concat()).printed();
    }

    /// Puts a version into an object store. Returns its reference.
    async fn put(&self, version: &Guest) -> String {
        let context = jetstream::new(self.nats.client().await);
        let config = object_store::Config { bucket: "codecs".to_owned(), ..object_store::Config::default() };
        let store = context.create_object_store(config).await.expect("JetStream is on");
        store.put("line.wasm", &mut &*version.build()).await.expect("there is room");
        "nats://codecs/line.wasm".to_owned()
    }

    /// Returns the last rollout, as a node reports it.
    fn last(&self, number: usize) -> Value {
        serde_json::from_str(&self.rollout(number, &["--json"]).printed()).expect("it is JSON")
    }

    /// Waits until a rollout has this stage, or is at this step.
    async fn until(&self, what: &str, reached: impl Fn(&Value) -> bool) {
        until(what, || async { reached(&self.last(2)) }).await;
    }

    /// Returns the digest of the current version of each node.
    fn current(&self) -> Vec<String> {
        let current = |number| {
            let control = self.control(number);
            let mut command = wireplug(["codec", "list", "--json", "--control", &control]);
            let slots: Value = serde_json::from_str(&finish(&mut command).printed()).expect("it is JSON");
            let generations = slots[0]["generations"].as_array().expect("a list");
            let current = generations.iter().find(|it| it["role"] == "current").expect("one is current");
            current["sha256"].as_str().expect("it is a component").to_owned()
        };
        (0..NODES.len()).map(current).collect()
    }

    async fn until_current(&self, version: &Guest) {
        let wanted = versions::digest(&version.build()).to_string();
        let all = format!("all nodes to have {wanted}");
        until(&all, || async { self.current().iter().all(|current| *current == wanted) }).await;
    }
}

fn node(name: &str, address: &str, nats: &NatsServer, folder: &Folder) -> Served {
    let config = format!(
        r#"
[server]
max-connections = 200
[control]
listen = "unix://{socket}"
[nats]
servers = ["{nats}"]
node = "{name}"
[services.a]
timeout = "10s"
[codecs.line]
file = "{file}"
faults.rollback = 5
[[listeners]]
url = "tcp://{address}"
codec = "line"
"#,
        socket = folder.text(&format!("{name}.sock")),
        nats = nats.url(),
        file = folder.text("old.wasm"),
    );
    // It stays where it is, for a reload.
    let config = folder.write(&format!("{name}.toml"), config);
    Served::start(wireplug(["serve"]).arg(config))
}

/// Clients of one node. Each connects, sends some lines, expects them back, and begins anew.
struct Clients {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Counted>>,
}

/// What a client has seen.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    /// Lines that came back.
    echoed: u64,
    /// Fatal lines after which the connection ended.
    trapped: u64,
    /// Other lines after which the connection ended.
    lost: u64,
}

impl Clients {
    /// Starts clients. One line in [`BEFORE_FATAL`] is fatal if `is_hostile`.
    fn start(address: &str, is_hostile: bool) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = |_| {
            let (stop, sent, address) = (Arc::clone(&stop), Arc::clone(&sent), address.to_owned());
            tokio::spawn(async move {
                let mut counted = Counted::default();
                while !stop.load(Ordering::Relaxed) {
                    converse(&address, &sent, is_hostile, &mut counted).await;
                }
                counted
            })
        };
        let tasks = (0..8).map(client).collect();
        Self { stop, tasks }
    }

    /// Stops the clients, and returns what they have seen.
    async fn stop(self) -> Counted {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Counted::default();
        for task in self.tasks {
            let Counted { echoed, trapped, lost } = within("a client", task).await.expect("no panic");
            all = Counted {
                echoed: all.echoed + echoed,
                trapped: all.trapped + trapped,
                lost: all.lost + lost,
            };
        }
        all
    }
}

async fn converse(address: &str, sent: &AtomicU64, is_hostile: bool, counted: &mut Counted) {
    // The node may be down.
    let Ok(stream) = TcpStream::connect(address).await else { return tokio::task::yield_now().await };
    let mut stream = BufReader::new(stream);
    for _ in 0..LINES {
        let number = sent.fetch_add(1, Ordering::Relaxed);
        let is_fatal = is_hostile && number % (BEFORE_FATAL + 1) == BEFORE_FATAL;
        let line = if is_fatal { FATAL.to_owned() } else { format!("line {number}") };
        let mut back = String::new();
        let asked = async {
            stream.write_all(format!("{line}\n").as_bytes()).await?;
            stream.read_line(&mut back).await
        };
        match within("an answer", asked).await {
            Ok(count) if count > 0 => {
                assert_eq!(back.trim_end(), line, "no line is changed or exchanged");
                counted.echoed += 1;
            }
            Ok(_) | Err(_) => {
                match is_fatal {
                    true => counted.trapped += 1,
                    false => counted.lost += 1,
                }
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_version_becomes_current_everywhere_although_each_node_dies_in_between() {
    let mut fleet = Fleet::start("rollout-good").await;
    let clients: Vec<_> = fleet.nodes.iter().map(|node| Clients::start(node.address(), false)).collect();
    fleet.begin("new", "1s");
    let again = fleet.rollout(1, &[&fleet.versions["bad"]]);
    assert!(again.failed().1.contains("a rollout of line to"), "another one is refused");
    // The node that began it goes first.
    fleet.restart(0);
    for number in [1, 2] {
        fleet.until("the next step", |last| last["step"].as_u64() >= Some(number)).await;
        fleet.restart(number as usize);
    }
    fleet.until("the end", |last| last["stage"] == "done").await;
    fleet.until_current(&version("new")).await;
    // One that starts later has the new version too, although its file is the old one.
    fleet.restart(1);
    fleet.until_current(&version("new")).await;
    for clients in clients {
        let Counted { echoed, trapped, lost } = clients.stop().await;
        assert!(echoed > 0 && trapped == 0, "{echoed} {trapped}");
        // Each death costs each client the line that was under way. The kernel may accept further
        // connections for a process that is ending.
        assert!(lost < 100 && lost < echoed / 10, "{lost} of {echoed} lines were lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_traps_is_taken_back_everywhere() {
    let mut fleet = Fleet::start("rollout-bad").await;
    for number in 0..3 {
        fleet.restart(number);
    }
    let clients: Vec<_> = fleet.nodes.iter().map(|node| Clients::start(node.address(), true)).collect();
    // Longer than it takes until clients have hit the fault.
    fleet.begin("bad", "8s");
    fleet.until("the end", |last| last["stage"] == "taken-back").await;
    fleet.until_current(&version("old")).await;
    let last = fleet.last(0);
    assert!(
        last["reason"].as_str().is_some_and(|why| why.contains("fault") || why.contains("fail")),
        "{last}"
    );
    let mut trapped = 0;
    for clients in clients {
        let counted = clients.stop().await;
        assert!(counted.echoed > 0 && counted.lost == 0, "{counted:?}");
        trapped += counted.trapped;
    }
    assert!((1..100).contains(&trapped), "{trapped} sessions trapped");
    // A node that dies now comes back with the old version, and nobody tries the bad one again.
    fleet.restart(0);
    fleet.until_current(&version("old")).await;
    let (code, why) = fleet.rollout(1, &[&fleet.versions["old"]]).failed();
    assert!(why.contains("is the current version already"), "{code:?} {why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_taken_back_by_hand_and_watched() {
    let fleet = Fleet::start("rollout-by-hand").await;
    let (code, why) = fleet.rollout(0, &["--take-back"]).failed();
    assert!(code == Some(1) && why.contains("no rollout of line is running"), "{why}");
    assert!(fleet.rollout(0, &[]).printed().contains("there was no rollout of line"));
    fleet.begin("new", "1s");
    assert!(fleet.rollout(1, &[]).printed().contains("step 1 of 3, on 20% of the new sessions"));
    assert!(fleet.rollout(1, &["--take-back"]).printed().contains("has taken it back"));
    fleet.until_current(&version("old")).await;
    // A command that watches ends with the rollout.
    let watched = fleet.rollout(2, &[&fleet.versions["new"], "--canary", "50%", "--hold", "100ms"]).printed();
    assert!(
        watched.lines().last().is_some_and(|line| line.ends_with("done, current on all nodes")),
        "{watched}"
    );
    fleet.until_current(&version("new")).await;
    // A reload does not bring the version of the file back, whose keys are as before.
    let control = fleet.control(0);
    let reloaded = finish(&mut wireplug(["reload", "--control", &control])).printed();
    assert!(reloaded.contains("nothing differs"), "{reloaded}");
    fleet.until_current(&version("new")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_while_the_registry_is_away_catches_up() {
    let mut fleet = Fleet::start("rollout-away").await;
    fleet.begin("new", "100ms");
    fleet.until("the end", |last| last["stage"] == "done").await;
    fleet.registry.stop();
    fleet.restart(1);
    fleet.nodes[1].logged("a step of a rollout is tried again");
    assert_eq!(fleet.current()[1], versions::digest(&version("old").build()).to_string());
    fleet.registry.start_again();
    fleet.until_current(&version("new")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_in_an_object_store_becomes_current_everywhere() {
    let mut fleet = Fleet::start("rollout-objects").await;
    let reference = fleet.put(&version("new")).await;
    let watched = fleet.rollout(1, &[&reference, "--canary", "50%", "--hold", "100ms"]).printed();
    let last = watched.lines().last().unwrap_or_default();
    assert_eq!(last, format!("line: {reference}: done, current on all nodes"));
    fleet.until_current(&version("new")).await;
    // One that starts later has it too.
    fleet.restart(2);
    fleet.until_current(&version("new")).await;
    let (_, why) = fleet.rollout(0, &[&reference]).failed();
    assert!(why.contains("is the current version already"), "{why}");
}
