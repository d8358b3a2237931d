//! A configuration that is applied to a running server.

use std::path::Path;

use wireplug::config::Effect;
use wireplug::{App, Config, ReloadReport, RunningServer, Server};
use wireplug_connectors::memory;
use wireplug_tests::folder::Folder;
use wireplug_tests::raw::{Raw, hello, request, response};
use wireplug_tests::server::{self, setup};
use wireplug_tests::versions::POMELO as POMELO_COMPONENT;
use wireplug_tests::{log, within};

use serde_json::json;

const URL: &str = "tcp://127.0.0.1:0";

const POMELO: &str = "[codecs.pomelo]\nbuiltin = 'pomelo'\n";

/// Returns a configuration with one listener, and these keys of it.
fn listener(keys: &str) -> String {
    format!(
        "[server]\nmax-connections = 300\n{POMELO}[[listeners]]\nurl = '{URL}'\ncodec = 'pomelo'\n{keys}\n"
    )
}

fn parse(text: &str) -> Config {
    Config::parse(text, Path::new("wireplug.toml")).expect("it is valid")
}

async fn start(text: &str) -> RunningServer {
    log::init();
    let app = App::new().route("echo", |body: bytes::Bytes| async move { body });
    let server = Server::new(app).compile(setup().compile).configured(&parse(text), Path::new(""));
    server.expect("it is valid").start().await.expect("it starts")
}

async fn reload(server: &RunningServer, text: &str) -> ReloadReport {
    server.reload(&parse(text), Path::new("")).await.expect("it is applied")
}

/// Returns the keys of the changes with this effect.
fn keys(report: &ReloadReport, effect: Effect) -> Vec<&str> {
    report.changes.iter().filter(|change| change.effect == effect).map(|change| &*change.key).collect()
}

async fn answers(client: &mut Raw) {
    client.send(&request(1, "echo", "x")).await;
    assert_eq!(client.package().await.1, response(1, "x")[4..]);
}

async fn is_closed(client: &mut Raw) {
    assert_eq!(within("the end", client.try_package()).await, None);
}

/// Returns whether a client from this address gets a session.
async fn admits(server: &RunningServer, source: &str) -> bool {
    let mut client = Raw::connect_from(source, &server.urls()[0]).await;
    client.send(&hello()).await;
    client.try_package().await.is_some()
}

#[tokio::test]
async fn new_limits_hold_for_clients_that_are_connected() {
    let server = start(&listener("")).await;
    let mut clients = [Raw::pomelo(&server.urls()[0]).await, Raw::pomelo(&server.urls()[0]).await];
    for client in &mut clients {
        answers(client).await;
    }
    let closes = "limits.packets-per-second = 1\nlimits.over-rate = 'close'";
    let report = reload(&server, &listener(closes)).await;
    let changed = ["listeners[0].limits.over-rate", "listeners[0].limits.packets-per-second"];
    assert_eq!(keys(&report, Effect::AtOnce), changed);
    assert!(report.changes.iter().all(|change| change.connections == 2), "{report:?}");
    let [flooding, quiet] = &mut clients;
    flooding.send(&[request(1, "echo", ""), request(2, "echo", ""), request(3, "echo", "")].concat()).await;
    while flooding.try_package().await.is_some() {}
    answers(quiet).await;

    // A deadline that has passed already.
    reload(&server, &listener("limits.idle-timeout = '1ms'")).await;
    is_closed(quiet).await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_client_that_is_denied_goes_and_the_others_stay() {
    let server = start(&listener("")).await;
    let url = &server.urls()[0];
    let mut honest = Raw::pomelo(url).await;
    let mut attacker = Raw::connect_from("127.0.0.2", url).await.shake_hands().await;
    answers(&mut attacker).await;
    let denied = listener("access.deny = ['127.0.0.2/31']\naccess.max-per-address = 1");
    let before = server.preview(&parse(&denied), Path::new("")).await.expect("it is valid");
    let report = reload(&server, &denied).await;
    assert_eq!(before, report);
    assert_eq!(keys(&report, Effect::NewConnections), ["listeners[0].access.max-per-address"]);
    let [deny, _] = &report.changes[..] else { panic!("two keys differ: {report:?}") };
    assert_eq!((&*deny.key, deny.connections), ("listeners[0].access.deny", 1));
    is_closed(&mut attacker).await;
    assert!(!admits(&server, "127.0.0.3").await);
    // The honest client was counted although there was no limit for its address.
    assert!(!admits(&server, "127.0.0.1").await);
    answers(&mut honest).await;

    reload(&server, &listener("")).await;
    assert!(admits(&server, "127.0.0.2").await && admits(&server, "127.0.0.1").await);
    assert_eq!(server.shutdown().await.closes["denied"], 2);
}

#[tokio::test]
async fn listeners_come_and_go() {
    let other = "[[listeners]]\nurl = 'ws://127.0.0.1:0'\ncodec = 'second'\n";
    let second = "[codecs.second]\nbuiltin = 'pomelo'\n";
    let server = start(&listener("")).await;
    let mut first = Raw::pomelo(&server.urls()[0]).await;
    let both = format!("{second}{}{other}", listener(""));
    let report = reload(&server, &both).await;
    assert_eq!(keys(&report, Effect::AtOnce), ["codecs.second", "listeners[1]"]);
    let [tcp, ws] = &server.urls()[..] else { panic!("there are two") };
    assert!(ws.starts_with("ws://127.0.0.1:") && server.slot("second").is_some());
    drop(Raw::upgraded(&ws.replace("ws://", "tcp://")).await);

    // The first one goes, with its codec. Its client stays, and so does the codec while it does.
    let last = format!("[server]\nmax-connections = 300\n{second}{other}");
    let report = reload(&server, &last).await;
    assert_eq!(keys(&report, Effect::AtOnce), ["codecs.pomelo", "listeners[0]"]);
    assert_eq!(server.urls(), std::slice::from_ref(ws));
    answers(&mut first).await;
    assert!(server.slot("pomelo").is_some());
    let address = tcp.strip_prefix("tcp://").expect("its scheme");
    within("the listener's end", async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    first.finish().await;
    drop(first);
    within("the end of its session", async {
        while server.slot("pomelo").is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Its name is free again.
    reload(&server, &both).await;
    assert_eq!(server.urls().len(), 2);
    answers(&mut Raw::pomelo(&server.urls()[0]).await).await;
    server.shutdown().await;
}

#[tokio::test]
async fn all_of_it_or_nothing() {
    let server = start(&listener("")).await;
    let mut client = Raw::pomelo(&server.urls()[0]).await;
    let taken = server.urls()[0].clone();
    let limits = "limits.idle-timeout = '1ms'";
    let quicker = format!("{POMELO}options.heartbeat = 9\n");
    let text = format!(
        "{}[[listeners]]\nurl = 'memory://new'\ncodec = 'pomelo'\n[[listeners]]\nurl = '{taken}'\ncodec = 'pomelo'\n",
        listener(limits).replace(POMELO, &quicker)
    );
    let refused = server.reload(&parse(&text), Path::new("")).await.expect_err("the port is taken");
    assert!(refused.to_string().contains(&format!("cannot listen on {taken}")), "{refused}");
    let status = server.slots()[0].status();
    assert_eq!((status.current, server.urls()), (1, vec![taken]));
    answers(&mut client).await;
    assert!(memory::connect("new").await.is_err());

    // A codec that is refused keeps the listeners as they are.
    let bad = listener(limits).replace(POMELO, &format!("{POMELO}options.heartbeat = 'x'\n"));
    let refused = server.reload(&parse(&bad), Path::new("")).await.expect_err("the codec refuses it");
    assert_eq!(refused.to_string(), "the codec pomelo cannot be replaced");
    answers(&mut client).await;
    // The same configuration without what was wrong is still applied.
    let report = reload(&server, &listener(limits)).await;
    assert_eq!(keys(&report, Effect::AtOnce), ["listeners[0].limits.idle-timeout"]);
    is_closed(&mut client).await;
    server.shutdown().await;
}

/// An operator who must block an attacker cannot wait until somebody mends a codec.
#[tokio::test]
async fn a_file_that_broke_stands_in_the_way_of_nothing_else() {
    let folder = Folder::new("reload-broken");
    let path = folder.path("pomelo.wasm");
    std::fs::write(&path, POMELO_COMPONENT).expect("room on the disk");
    let codec = format!("[codecs.pomelo]\nfile = '{}'\nswap.watch = false\n", path.display());
    let with = |keys: &str| listener(keys).replace(POMELO, &codec);
    let server = start(&with("")).await;
    let mut client = Raw::pomelo(&server.urls()[0]).await;
    std::fs::write(&path, b"no component").expect("room on the disk");
    let report = reload(&server, &with("access.deny = ['127.0.0.1/32']")).await;
    let [(kept, why)] = &report.kept[..] else { panic!("one codec stays: {report:?}") };
    assert_eq!(kept, "pomelo");
    assert!(why.contains("it is not a WebAssembly file"), "{why}");
    is_closed(&mut client).await;

    // A change of the codec itself is refused, and with it everything else.
    let text = with("").replace("swap.watch", "options.heartbeat = 9\nswap.watch");
    let refused = server.reload(&parse(&text), Path::new("")).await.expect_err("the file is broken");
    assert_eq!(refused.to_string(), "the codec pomelo cannot be replaced");
    assert!(!admits(&server, "127.0.0.1").await);
    server.shutdown().await;
}

/// Socket.IO has a bound of its own: three HTTP connections for each session.
#[tokio::test]
async fn more_connections_are_more_for_socketio_too() {
    let text = |max: u32| {
        format!(
            "[server]\nmax-connections = {max}\n[[listeners]]\nurl = 'socketio://127.0.0.1:0'\n\
             limits.first-byte-timeout = '0s'\n"
        )
    };
    let server = start(&text(1)).await;
    let url = &server.urls()[0].replace("socketio", "tcp");
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(Raw::connect(url).await);
    }
    let probe = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n";
    let mut refused = Raw::connect(url).await;
    assert_eq!(refused.rest().await, b"");
    reload(&server, &text(2)).await;
    let mut admitted = Raw::connect(url).await;
    admitted.send(probe).await;
    admitted.expect(b"HTTP/1.1 404 ").await;
    drop((open, admitted));
    server.shutdown().await;
}

#[tokio::test]
async fn settings_of_the_server_apply_and_the_others_are_named() {
    let server = start(&listener("")).await;
    let mut client = Raw::pomelo(&server.urls()[0]).await;
    let text = listener("").replace("max-connections = 300", "max-connections = 1\nmax-awake = 5");
    for _ in 0..2 {
        let report = reload(&server, &text).await;
        assert_eq!(keys(&report, Effect::Restart), ["server.max-awake"]);
        assert!(!admits(&server, "127.0.0.1").await);
        answers(&mut client).await;
    }
    reload(&server, &listener("")).await;
    assert!(admits(&server, "127.0.0.1").await);
    server.shutdown().await;

    let by_code = server::pomelo(App::new(), json!({})).await;
    let refused = by_code.reload(&parse(&listener("")), Path::new("")).await.expect_err("no configuration");
    assert!(refused.to_string().contains("was not created from a configuration"));
    by_code.shutdown().await;
}
