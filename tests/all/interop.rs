//! Clients of other projects, which `tests/peers/README.md` describes: of Pomelo and of Socket.IO,
//! and the Autobahn test suite. Their scripts check each answer themselves; these tests check that
//! the scripts did so.

mod autobahn;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use wireplug::app::Json;
use wireplug::config::ClientLimits;
use wireplug::session::Message;
use wireplug::{App, CodecSource, Listener, Server, Session};
use wireplug_tests::app::{self, demo};
use wireplug_tests::server::{self, Setup, TestServer, setup};
use wireplug_tests::within;

const NODE: &str = "node";

/// The interpreter of the virtual environment, within the clients' folder.
const PYTHON: &str = "venv/bin/python";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websocket() {
    plays(NODE, "websocket.js", "websocket").await;
    // The client's own protobuf cannot read characters of four bytes.
    play(NODE, "websocket.js", "websocket", Scenario { exact: false, ..Scenario::protobuf() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jsclient() {
    plays(NODE, "jsclient.js", "jsclient").await;
    play(NODE, "jsclient.js", "jsclient", Scenario::protobuf()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp() {
    plays(NODE, "tcp.js", "tcp").await;
}

/// A client that leaves says no goodbye over UDP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn udp() {
    plays(NODE, "udp.js", "udp").await;
}

/// Over each transport, and with an upgrade from polling to WebSocket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socketio() {
    for transports in ["polling", "websocket", "polling,websocket"] {
        let server = socketio_server(demo()).await;
        let steps = run_at(&server, "socketio.js", &[("PEER_TRANSPORTS", transports)]).await;
        let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().expect("a step")).collect();
        assert_eq!(
            names,
            ["ready", "echo", "emoji", "time", "unknown", "join", "push", "done"],
            "{transports}"
        );
        let stats = server.until("the client gone", |stats| stats.connections_open == 0).await;
        assert_eq!((stats.closes, stats.drops), ([("client-closed", 1)].into(), [].into()), "{transports}");
    }
}

/// Messages that are sent together arrive as one array. A client that is kicked gets the reason and
/// then the disconnect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socketio_thrown_out() {
    for transports in ["polling", "websocket", "polling,websocket"] {
        let app = demo()
            .route("three", |session: Session| async move {
                let push = |n: u8| Message::push("on", n.to_string());
                let _ = session.send_batch((1..4).map(push).collect());
            })
            .route("kick", |session: Session| async move { session.kick("too loud") });
        let server = socketio_server(app).await;
        let env = [("PEER_TRANSPORTS", transports), ("PEER_THROWN_OUT", "1")];
        let printed = run_at(&server, "socketio.js", &env).await;
        let pushes: Vec<_> = (1..4).map(|n| json!({ "route": "on", "body": n })).collect();
        let kick = json!({ "route": "onKick", "reason": "too loud", "body": { "reason": "too loud" } });
        assert_eq!(
            printed,
            [json!({ "heard": [pushes, kick], "reason": "io server disconnect" })],
            "{transports}"
        );
        let stats = server.until("the client gone", |stats| stats.connections_open == 0).await;
        assert_eq!((stats.closes, stats.drops), ([("kicked", 1)].into(), [].into()), "{transports}");
    }
}

/// The client sends each request once. It would retry a request without an acknowledgement, and the
/// response is the acknowledgement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socketio_acknowledgements() {
    for transports in ["polling", "websocket", "polling,websocket"] {
        let counted = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&counted);
        let app = demo().route("count", move |session: Session| {
            let known = session.client().attributes.clone();
            let auth = known.into_iter().find(|(name, _)| name == "auth").map(|(_, value)| value);
            let n = count.fetch_add(1, Ordering::Relaxed) + 1;
            async move { Json(json!({ "n": n, "auth": auth })) }
        });
        let server = socketio_server(app).await;
        let env = [("PEER_TRANSPORTS", transports), ("PEER_ACKS", "1")];
        let printed = run_at(&server, "socketio.js", &env).await;
        let response =
            |id: u64, n: u64| json!({ "id": id, "body": { "n": n, "auth": "{\"token\":\"tökén\"}" } });
        let expected = [
            json!({ "response": response(1, 1) }),
            json!({ "responses": [response(1, 2), response(2, 3), response(3, 4)] }),
            json!({}),
            json!({ "last": response(4, 9) }),
        ];
        assert_eq!(printed, expected, "{transports}");
        assert_eq!(counted.load(Ordering::Relaxed), 9, "{transports}");
        let stats = server.until("the client gone", |stats| stats.connections_open == 0).await;
        assert_eq!(stats.closes, [("client-closed", 2)].into(), "{transports}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socketio_origins() {
    for transports in ["polling", "websocket", "polling,websocket"] {
        let mut listener = Listener::at("socketio://127.0.0.1:0");
        listener.websocket.origins = vec!["https://example.org".to_owned()];
        let server = Server::new(demo())
            .compile(server::setup().compile)
            .listener(listener)
            .start()
            .await
            .expect("it starts");
        let address = server.urls()[0].split_once("://").expect("a URL").1.to_owned();
        for (origin, connected) in [("https://example.org", true), ("https://evil.org", false)] {
            let env = vec![("PEER_TRANSPORTS", transports), ("PEER_ORIGIN", origin)];
            let address = address.clone();
            let run = tokio::task::spawn_blocking(move || run(NODE, "socketio.js", &address, &env));
            let printed = within("socketio.js", run).await.expect("no panic");
            assert_eq!(printed, [json!({ "connected": connected })], "{transports} from {origin}");
        }
        server.shutdown().await;
    }
}

/// Starts a server with the codec that the Socket.IO connector names.
async fn socketio_server(app: App) -> TestServer {
    let setup = Setup { url: "socketio://127.0.0.1:0", ..setup() };
    server::serve(app, setup, [CodecSource::sio(json!({}))]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pypomelo() {
    plays(PYTHON, "tcp.py", "pypomelo").await;
}

/// Pomelo refuses clients that are too old with a code of its own, which this client knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_by_its_version() {
    let options = json!({ "checkClient": [{ "type": "js-websocket", "min": "0.1.0" }] });
    let server = server::pomelo(app::demo(), options).await;
    let address = server.address(0).to_owned();
    let run = tokio::task::spawn_blocking(move || start(NODE, "websocket.js", &address, &[]));
    let Output { status, stderr, .. } = within("websocket.js", run).await.expect("no panic");
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(!status.success() && stderr.contains("client version not fullfill"), "{status}\n{stderr}");
}

/// The steps that a client runs, and the server's options.
struct Scenario {
    /// The options of the codec.
    options: Value,
    /// The environment variables for the script.
    switches: &'static [(&'static str, &'static str)],
    dictionary: bool,
    heartbeat: Option<u64>,
    protobuf: bool,
    /// Whether text comes back unchanged, including emoji.
    exact: bool,
}

impl Scenario {
    fn dictionary() -> Self {
        Self {
            options: json!({}),
            switches: &[],
            dictionary: true,
            heartbeat: None,
            protobuf: false,
            exact: true,
        }
    }

    fn heartbeat() -> Self {
        Self {
            // The timeout is shorter than the scenario's 3.5 s, so a client that sends no
            // heartbeats would be closed.
            options: json!({ "heartbeat": 1, "timeout": 3, "dictionary": false }),
            switches: &[("PEER_HEARTBEAT", "1")],
            dictionary: false,
            heartbeat: Some(1),
            ..Self::dictionary()
        }
    }

    /// A scenario with protobuf and the dictionary. One route has a schema but no handler, so the
    /// client reads the failure as protobuf.
    fn protobuf() -> Self {
        let echo = json!({ "optional string text": 1, "optional uInt32 n": 2 });
        let chat = json!({ "required string from": 1, "required string text": 2 });
        let protos = json!({
            "client": {
                "connector.entryHandler.echo": echo,
                "connector.entryHandler.time": { "optional string zone": 1 },
                "connector.entryHandler.nope": { "optional uInt32 n": 1 },
                "chat.chatHandler.join": { "required string name": 1 },
                "chat.chatHandler.send": { "required string text": 1 },
            },
            "server": {
                "connector.entryHandler.echo": echo,
                "connector.entryHandler.time": { "required double time": 1 },
                "connector.entryHandler.nope": { "optional uInt32 code": 1, "required string name": 2 },
                "chat.chatHandler.join": { "repeated string members": 1 },
                "onChat": chat,
            },
        });
        Self {
            options: json!({ "protos": protos }),
            switches: &[("PEER_PROTOBUF", "1")],
            protobuf: true,
            ..Self::dictionary()
        }
    }
}

/// Runs the client's scenario twice: with a dictionary, and with heartbeats.
async fn plays(interpreter: &'static str, script: &'static str, name: &str) {
    play(interpreter, script, name, Scenario::dictionary()).await;
    play(interpreter, script, name, Scenario::heartbeat()).await;
}

async fn play(interpreter: &'static str, script: &'static str, name: &str, scenario: Scenario) {
    let Scenario { options, switches, dictionary, heartbeat, protobuf, exact } = scenario;
    // Over UDP, the server notices that the client has left by missing heartbeats or, without
    // heartbeats, by the idle timeout. No other client is silent for so long.
    let (url, idle_timeout, end) = match (name, heartbeat) {
        ("udp", None) => ("udp://127.0.0.1:0", Duration::from_secs(5), "idle-timeout"),
        ("udp", Some(_)) => ("udp://127.0.0.1:0", Duration::from_secs(300), "protocol"),
        _ => ("hybrid://127.0.0.1:0", Duration::from_secs(300), "client-closed"),
    };
    let setup = Setup { url, client: ClientLimits { idle_timeout, ..setup().client }, ..setup() };
    let server = server::serve(app::demo(), setup, [CodecSource::pomelo(options)]).await;
    let address = server.address(0).to_owned();
    let run = tokio::task::spawn_blocking(move || run(interpreter, script, &address, switches));
    let steps = within(script, run).await.expect("no panic");

    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().expect("a step has a name")).collect();
    let mut wanted = vec!["ready", "echo", "emoji", "time", "unknown", "join", "push"];
    wanted.extend(heartbeat.map(|_| "heartbeat"));
    wanted.push("done");
    assert_eq!(names, wanted);

    let ready = json!({
        "step": "ready", "client": name, "dict": dictionary, "heartbeat": heartbeat, "protos": protobuf,
    });
    assert_eq!(steps[0], ready);
    assert_eq!(steps[1]["body"], json!({ "text": "hello", "n": 1 }));
    assert_eq!(steps[2]["exact"], exact, "{}", steps[2]);
    assert!(steps[3]["body"]["time"].is_u64(), "{}", steps[3]);
    assert_eq!(steps[4]["body"], json!({ "code": 404 }));
    let member = steps[5]["body"]["members"][0].as_str().expect("a member has a name");
    assert!(member.starts_with(name), "{member}");
    assert_eq!(steps[6]["exact"], exact, "{}", steps[6]);
    assert_eq!(steps[6]["body"]["from"], member);
    if exact {
        assert_eq!(steps[2]["body"], json!({ "text": "smile 😀 é 漢" }));
        assert_eq!(steps[6]["body"]["text"], "hi 😀");
    }
    if heartbeat.is_some() {
        assert!(steps[7]["seen"].as_u64() >= Some(2), "{}", steps[7]);
    }

    let stats = server.until("the client gone", |stats| stats.connections_open == 0).await;
    assert_eq!((stats.closes, stats.drops), ([(end, 1)].into(), [].into()));
}

/// Runs a script with Node.js against a server's first listener.
async fn run_at(
    server: &TestServer,
    script: &'static str,
    env: &[(&'static str, &'static str)],
) -> Vec<Value> {
    let (address, env) = (server.address(0).to_owned(), env.to_vec());
    let run = tokio::task::spawn_blocking(move || run(NODE, script, &address, &env));
    within(script, run).await.expect("no panic")
}

/// Runs a script against a server, and returns the steps that it prints.
fn run(interpreter: &str, script: &str, address: &str, switches: &[(&str, &str)]) -> Vec<Value> {
    let Output { status, stdout, stderr } = start(interpreter, script, address, switches);
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{script}: {status}\n{stdout}{stderr}");
    stdout.lines().map(|line| serde_json::from_str(line).expect("a step is a line of JSON")).collect()
}

fn start(interpreter: &str, script: &str, address: &str, switches: &[(&str, &str)]) -> Output {
    let folder = folder();
    let modules = folder.join("node_modules");
    let (program, installed) = match interpreter {
        NODE => (PathBuf::from(NODE), modules.is_dir()),
        inside => (folder.join(inside), folder.join(inside).exists()),
    };
    let how = format!(
        "`cargo xtask peers` installs the clients and runs these tests; they were looked for in {}",
        folder.display()
    );
    assert!(installed, "{script} has no client: {how}");

    let (host, port) = address.split_once(':').expect("HOST:PORT");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script);
    let mut command = Command::new(program);
    command.arg(&script).args([host, port]).env("NODE_PATH", modules).stdin(Stdio::null());
    command.envs(switches.iter().copied());
    command.output().unwrap_or_else(|error| panic!("{interpreter}: {error}: {how}"))
}

/// Returns the folder in which the clients are installed: the one that `xtask` names, or else its
/// default.
fn folder() -> PathBuf {
    match std::env::var_os("WIREPLUG_PEERS_DIR") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers"),
    }
}
