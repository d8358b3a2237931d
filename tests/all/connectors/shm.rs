//! Shared memory. The client is the example, and runs in a process of its own; so does the server
//! in tests that kill it.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::json;
use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use wireplug::{CodecSource, Listener, Session};
use wireplug_connectors::shm::{Client, connect};
use wireplug_tests::{raw, within};

use super::{app, app_and_ends, lines, serve, try_serve};

#[path = "../../../runtime/wireplug/examples/shm_client.rs"]
#[allow(dead_code, reason = "its main function is not called here")]
mod shm_client;

/// The environment variable that gives the name of the listener to the processes below.
const NAME: &str = "WIREPLUG_SHM_NAME";

/// Returns a name that no other run of these tests uses.
fn name(test: &str) -> String {
    format!("test-{}-{test}", std::process::id())
}

fn listener(name: &str) -> Listener {
    Listener::new(&format!("shm://{name}"), lines())
}

async fn ask(client: &mut Client, message: &str) -> String {
    client.send(message.to_owned()).await.expect("it listens");
    hear(client).await.expect("an answer")
}

async fn hear(client: &mut Client) -> Option<String> {
    let message = within("a message", client.receive()).await.expect("it lives");
    message.map(|message| String::from_utf8(message.into()).expect("text"))
}

/// A process that runs one of the tests below that are otherwise ignored.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: UnboundedReceiver<String>,
}

impl Process {
    fn start(role: &str, name: &str) -> Self {
        let mut command = Command::new(env::current_exe().expect("a running program has a path"));
        command.args(["--exact", &format!("connectors::shm::{role}"), "--include-ignored", "--nocapture"]);
        command.env(NAME, name);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a running program can be run");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (tell, lines) = unbounded_channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The output of the test runner is in the same stream, and may stand at the
                // beginning of a line.
                let line = line.split_once(" ... ").map_or(&*line, |(_, line)| line);
                if !line.is_empty() && !line.starts_with("running ") && tell.send(line.to_owned()).is_err() {
                    break;
                }
            }
        });
        Self { input: child.stdin.take(), child, lines }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().expect("it is open"), "{line}").expect("it reads");
    }

    async fn hear(&mut self) -> String {
        within("a line", self.lines.recv()).await.expect("it goes on")
    }

    /// Returns the shared memory that the process has mapped.
    fn memory(&self) -> BTreeSet<PathBuf> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.child.id())).expect("it lives");
        let paths = maps.lines().filter_map(|line| line.split_once('/'));
        let paths = paths.map(|(_, path)| Path::new("/").join(path));
        paths.filter(|path| path.starts_with("/dev/shm")).collect()
    }

    fn catches(&self, signal: u32) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it lives");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a line for each");
        let caught = u64::from_str_radix(caught.trim(), 16).expect("a mask");
        caught >> (signal - 1) & 1 == 1
    }

    /// Kills the process by SIGKILL, so that it cannot clean up.
    fn kill(&mut self) {
        self.child.kill().expect("it lives");
        self.child.wait().expect("it is this process's child");
    }

    async fn end(mut self) -> bool {
        drop(self.input.take());
        let ended = spawn_blocking(move || self.child.wait().expect("it is this process's child"));
        within("its end", ended).await.expect("no panic").success()
    }
}

#[tokio::test]
#[ignore = "a process of its own, for the tests below"]
async fn client_process() {
    let Ok(name) = env::var(NAME) else { return };
    shm_client::run(&name).await.expect("a server");
}

/// Prints how each of its sessions ends, and runs until the end of its input.
#[tokio::test]
#[ignore = "a process of its own, for the tests below"]
async fn server_process() {
    let Ok(name) = env::var(NAME) else { return };
    let (app, mut ends) = app_and_ends();
    let server = serve(app, listener(&name)).await;
    println!("listens");
    tokio::spawn(async move {
        while let Some(end) = ends.recv().await {
            println!("end: {}", end.cause());
        }
    });
    let end = || std::io::stdin().lines().for_each(drop);
    spawn_blocking(end).await.expect("no panic");
    server.shutdown().await;
}

#[tokio::test]
async fn a_client_in_another_process() {
    let name = name("client");
    let (app, mut ends) = app_and_ends();
    let app = app.route("who", |session: Session| async move {
        let client = session.client();
        let of = |name: &str| client.attributes.iter().find(|(found, _)| found == name).map(|found| &found.1);
        Bytes::from(format!(
            "{} {:?} {:?}",
            client.transport,
            client.address,
            of("pid").expect("it is known")
        ))
    });
    let server = serve(app, listener(&name)).await;
    assert_eq!(server.urls(), [format!("shm://{name}")]);

    let mut client = Process::start("client_process", &name);
    client.say("1 echo hello");
    client.say("2 who");
    assert_eq!(client.hear().await, "1 200 hello");
    // The library can install handlers for SIGINT, SIGQUIT, SIGABRT and SIGTERM. These signals
    // belong to the application.
    assert_eq!([2, 3, 6, 15].map(|signal| client.catches(signal)), [false; 4]);
    assert_eq!(client.hear().await, format!("2 200 shm \"\" \"{}\"", client.child.id()));
    assert!(client.end().await);
    assert_eq!(within("its end", ends.recv()).await.expect("one").cause(), "client-closed");

    let mut client = Process::start("client_process", &name);
    client.say("- kick");
    assert_eq!(client.hear().await, "bye you asked for it");
    assert!(client.end().await);
    assert_eq!(within("its end", ends.recv()).await.expect("one").cause(), "kicked");
    server.shutdown().await;
}

/// A codec in a sandbox, with binary messages.
#[tokio::test]
async fn pomelo() {
    let name = name("pomelo");
    let listener = Listener::new(&format!("shm://{name}"), CodecSource::pomelo(json!({})));
    let server = serve(app(), listener).await;
    let mut client = connect(&name).await.expect("it listens");
    client.send(raw::hello()).await.expect("it reads");
    let welcome = within("an answer", client.receive()).await.expect("it lives").expect("an answer");
    assert!(welcome.starts_with(&[raw::HANDSHAKE]) && welcome.ends_with(b"}"), "{welcome:?}");
    client.send(raw::package(raw::ACK, "")).await.expect("it reads");
    client.send(raw::request(1, "echo", r#"{"a":1}"#)).await.expect("it reads");
    let answer = within("an answer", client.receive()).await.expect("it lives").expect("an answer");
    assert_eq!(answer, raw::response(1, r#"{"a":1}"#));
    client.close().await.expect("it lives");
    server.shutdown().await;
}

/// The server notices the client's end at once, and frees everything that belonged to the client.
#[tokio::test]
async fn a_client_that_is_killed() {
    let name = name("killed-client");
    let mut server = Process::start("server_process", &name);
    assert_eq!(server.hear().await, "listens");
    let (before, files) = (server.memory(), files(&name));
    let mut client = Process::start("client_process", &name);
    client.say("1 echo hello");
    assert_eq!(client.hear().await, "1 200 hello");
    let memory: Vec<_> = client.memory().into_iter().collect();
    assert!(memory.len() >= 4 && memory.iter().all(|path| path.exists()), "{memory:?}");

    client.kill();
    assert_eq!(server.hear().await, "end: socket-error");
    within("its memory is freed", gone(&memory)).await;
    let freed = async {
        while (server.memory(), self::files(&name)) != (before.clone(), files.clone()) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    within("all is freed", freed).await;
    let mut client = Process::start("client_process", &name);
    client.say("1 echo again");
    assert_eq!(client.hear().await, "1 200 again");
    assert!(client.end().await && server.end().await);
    assert!(self::files(&name).is_empty(), "nothing is left: {:?}", self::files(&name));
}

/// The clients notice the server's end at once. The next server gets its name and frees everything
/// that belonged to it.
#[tokio::test]
async fn a_server_that_is_killed() {
    let name = name("killed-server");
    let mut server = Process::start("server_process", &name);
    assert_eq!(server.hear().await, "listens");
    let mut client = connect(&name).await.expect("it listens");
    assert_eq!(ask(&mut client, "1 echo hello").await, "1 200 hello");
    let memory: Vec<_> = server.memory().into_iter().collect();
    server.kill();
    let end = within("the server's end", client.receive()).await.expect_err("it said no goodbye");
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    assert!(client.send("2 echo hello").await.is_err());
    let refused = connect(&name).await.err().expect("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    drop(client);

    let mut server = Process::start("server_process", &name);
    assert_eq!(server.hear().await, "listens");
    within("its memory is freed", gone(&memory)).await;
    let mut client = connect(&name).await.expect("it listens");
    assert_eq!(ask(&mut client, "1 echo again").await, "1 200 again");
    client.close().await.expect("it lives");
    assert_eq!(server.hear().await, "end: client-closed");
    assert!(server.end().await);
}

/// Many clients connect at once. Some close their connection and some only drop it. No client is
/// refused, and nothing of them remains.
#[tokio::test]
async fn many_clients_come_and_go() {
    const CLIENTS: usize = 40;
    let name = name("many");
    let mut server = Process::start("server_process", &name);
    assert_eq!(server.hear().await, "listens");
    let before = (server.memory(), files(&name));
    let clients = (0..CLIENTS).map(|n| {
        let name = name.clone();
        async move {
            let mut client = connect(&name).await.expect("it listens");
            assert_eq!(ask(&mut client, &format!("{n} echo a")).await, format!("{n} 200 a"));
            client
        }
    });
    let clients = within("all of them", join_all(clients)).await;
    assert!(server.memory().len() >= 4 * CLIENTS, "they are there together");
    for (n, client) in clients.into_iter().enumerate() {
        if n % 2 == 0 {
            client.close().await.expect("it lives");
        }
    }
    for _ in 0..CLIENTS {
        assert_eq!(server.hear().await, "end: client-closed");
    }
    let freed = async {
        while (server.memory(), files(&name)) != before {
            sleep(Duration::from_millis(10)).await;
        }
    };
    within("all is freed", freed).await;
    assert!(server.end().await);
}

async fn gone(memory: &[PathBuf]) {
    while memory.iter().any(|path| path.exists()) {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Returns the files of a listener that iceoryx2 keeps in addition to shared memory.
fn files(name: &str) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new("/dev/shm").join(format!("wireplug-shm-{}", uid())).join(name)];
    while let Some(folder) = folders.pop() {
        // A folder that has been removed meanwhile has no files.
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    found
}

fn uid() -> u32 {
    fs::metadata("/proc/self").expect("it is there").uid()
}

#[tokio::test]
async fn a_name_is_one_listeners() {
    let name = name("one");
    let refused = connect(&name).await.err().expect("nobody listens").to_string();
    assert_eq!(refused, format!("nobody listens at shm://{name}"));
    let server = serve(app(), listener(&name)).await;
    let refused = try_serve(app(), listener(&name)).await.err().expect("it is taken");
    assert_eq!(
        format!("{refused:#}"),
        format!("cannot listen on shm://{name}: another server listens there")
    );
    // The refused listener has not taken the name from the first one.
    let mut client = connect(&name).await.expect("it listens");
    assert_eq!(ask(&mut client, "1 echo a").await, "1 200 a");
    server.shutdown().await;
    assert_eq!(hear(&mut client).await.as_deref(), Some("bye the server stops"));
    assert_eq!(hear(&mut client).await, None);
    serve(app(), listener(&name)).await.shutdown().await;
}

#[tokio::test]
async fn what_is_no_name_is_refused() {
    for wrong in ["a/b", "a b", "..", "../etc", &"x".repeat(65)] {
        let refused = try_serve(app(), listener(wrong)).await.err().expect("no name");
        let refused = format!("{refused:#}");
        assert!(refused.contains("the name must be 1 to 64 letters, digits"), "{refused}");
        let refused = connect(wrong).await.err().expect("no name");
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
    let refused = try_serve(app(), listener("x").options(json!({ "mode": "660" }))).await.err();
    assert!(format!("{:#}", refused.expect("there are none")).contains("unknown field `mode`"));
}

/// More bytes than the memory holds, in both directions. The ends wait for each other, and nothing
/// is lost.
#[tokio::test]
async fn long_messages_and_many() {
    let name = name("long");
    let server = serve(app(), listener(&name)).await;
    let mut client = connect(&name).await.expect("it listens");
    // Lengths around the size of a slot, and the largest packet.
    for length in [0, 8_180, 8_181, 8_182, 16_372, (64 << 10) - 7] {
        let body = "x".repeat(length);
        assert_eq!(ask(&mut client, &format!("1 echo {body}")).await, format!("1 200 {body}"));
    }
    let long = "x".repeat(60_000);
    for n in 0..40 {
        client.send(format!("{n} echo {long}")).await.expect("it reads");
        if n >= 5 {
            assert_eq!(hear(&mut client).await, Some(format!("{} 200 {long}", n - 5)));
        }
    }
    for n in 35..40 {
        assert_eq!(hear(&mut client).await, Some(format!("{n} 200 {long}")));
    }
    let refused = client.send(vec![b'x'; client.max_message() + 1]).await.expect_err("too long");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert_eq!(ask(&mut client, "1 echo on").await, "1 200 on", "it goes on");
    server.shutdown().await;
}

/// A client that connects and sends nothing delays no other client and is closed; so is a client
/// that takes no answers.
#[tokio::test]
async fn slow_clients_are_held_to_the_deadlines() {
    let name = name("slow");
    let (app, mut ends) = app_and_ends();
    let mut listener = listener(&name);
    listener.limits.handshake_timeout = Duration::from_millis(300);
    listener.limits.write_timeout = Duration::from_millis(300);
    let server = serve(app, listener).await;
    let address = format!("\0wireplug-shm/{}/{name}", uid());
    let silent = UnixStream::connect(address).await.expect("it listens");
    let mut client = connect(&name).await.expect("it listens");
    assert_eq!(ask(&mut client, "1 echo a").await, "1 200 a");
    let closed = async {
        while silent.ready(tokio::io::Interest::READABLE).await.is_ok() {
            match silent.try_read(&mut [0; 512]) {
                Ok(0) => break,
                Err(error) if error.kind() != ErrorKind::WouldBlock => break,
                _ => {}
            }
        }
    };
    within("it is let go", closed).await;

    let body = "x".repeat(60_000);
    let many = async { while client.send(format!("1 echo {body}")).await.is_ok() {} };
    within("it is let go", many).await;
    assert_eq!(within("its end", ends.recv()).await.expect("one").cause(), "write-timeout");
    server.shutdown().await;
}
