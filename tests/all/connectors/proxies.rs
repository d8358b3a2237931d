//! HAProxy and nginx in front of listeners: their health checks, and the addresses of the clients
//! behind them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::Command;

use wireplug::config::{AccessConfig, WebSocketConfig};
use wireplug::{App, Listener, RunningServer, Server};
use wireplug_tests::folder::Folder;
use wireplug_tests::log;
use wireplug_tests::raw::Raw;
use wireplug_tests::running::{PATIENCE, Running, wait_for};
use wireplug_tests::server::setup;

use super::websocket::UPGRADE;
use super::{address, lines};

/// The address from which clients connect to the proxies, which connect from 127.0.0.1.
const CLIENT: &str = "127.0.0.5";

/// Starts a server that logs the address of each client, with a listener for WebSocket and one for
/// TCP. The first trusts HTTP proxies on this machine, and the second expects PROXY headers.
async fn server() -> [RunningServer; 2] {
    log::init();
    let proxies = || vec!["127.0.0.1/32".parse().expect("a network")];
    let mut web = Listener::new("ws://127.0.0.1:0", lines());
    web.websocket =
        WebSocketConfig { trusted_proxies: proxies(), health: true, ..WebSocketConfig::default() };
    let mut tcp = Listener::new("tcp://127.0.0.1:0", lines());
    tcp.access = AccessConfig { proxies: proxies(), ..AccessConfig::default() };
    [start(web).await, start(tcp).await]
}

async fn start(listener: Listener) -> RunningServer {
    let app = App::new().route("who", |session: wireplug::Session| async move {
        bytes::Bytes::from(session.client().address.split(':').next().unwrap_or_default().to_owned())
    });
    let server = Server::new(app).config(setup().server).compile(setup().compile).listener(listener);
    server.start().await.expect("it starts")
}

/// Returns a port of 127.0.0.1 that nothing listens at.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound").port()
}

/// Connects to a proxy that has just been started.
async fn connect(port: u16) -> Raw {
    let url = format!("tcp://127.0.0.1:{port}");
    let _listens = wait_for("the proxy", PATIENCE, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    Raw::connect_from(CLIENT, &url).await
}

/// Checks that a client of a proxy for WebSocket has its own address.
async fn who_over_websocket(port: u16) {
    let mut client = connect(port).await;
    client.send(format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n").as_bytes()).await;
    assert_eq!(client.line().await, "HTTP/1.1 101 Switching Protocols\r");
    while client.line().await != "\r" {}
    client.send(&wireplug_tests::raw::frame(b"1 who")).await;
    let answer = format!("1 200 {CLIENT}");
    let mut frame = vec![0x81, answer.len() as u8];
    frame.extend(answer.as_bytes());
    client.expect(&frame).await;
}

/// Asks a proxy for WebSocket whether the server behind it is ready.
async fn is_ready(port: u16) {
    let mut client = connect(port).await;
    client.send(b"GET /readyz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await;
    assert_eq!(client.line().await, "HTTP/1.1 200 OK\r");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_in_front() {
    let [web, tcp] = server().await;
    let folder = Folder::new("haproxy");
    let (web_port, tcp_port, socket) = (free_port(), free_port(), folder.text("stats"));
    let config = format!(
        "global\n stats socket {socket} mode 600 level admin\n\
         defaults\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n timeout tunnel 60s\n\
         listen web\n mode http\n bind 127.0.0.1:{web_port}\n option forwardfor\n option httpchk GET /readyz\n \
         http-check expect status 200\n server one {} check inter 100ms\n\
         listen tcp\n mode tcp\n bind 127.0.0.1:{tcp_port}\n server one {} send-proxy-v2 check inter 100ms\n",
        address(&web),
        address(&tcp),
    );
    let file = folder.write("haproxy.cfg", config);
    let _haproxy = Running::start(Command::new("haproxy").arg("-db").arg("-f").arg(file));
    who_over_websocket(web_port).await;
    is_ready(web_port).await;
    let mut client = connect(tcp_port).await;
    client.send(b"1 who\n").await;
    assert_eq!(client.line().await, format!("1 200 {CLIENT}"));

    let status = || {
        let mut stats = UnixStream::connect(&socket).ok()?;
        stats.write_all(b"show stat -1 4 -1\n").ok()?;
        let mut text = String::new();
        stats.read_to_string(&mut text).ok()?;
        Some(text)
    };
    let is = |text: &str, proxy: &str, what: &str| {
        text.lines().any(|line| line.starts_with(&format!("{proxy},one,")) && line.contains(what))
    };
    wait_for("green checks", PATIENCE, || {
        status().filter(|text| is(text, "web", ",L7OK,") && is(text, "tcp", ",L4OK,"))
    });
    // No check and no other client of these tests is worth a line at the usual level.
    assert!(log::lines(&["INFO", "closed", &address(&web)]).is_empty());
    web.shutdown().await;
    wait_for("a red check", PATIENCE, || status().filter(|text| is(text, "web", ",DOWN,")));
    tcp.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_in_front() {
    let [web, _tcp] = server().await;
    let folder = Folder::new("nginx");
    let (port, root) = (free_port(), folder.root().display().to_string());
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {root}/{kind};\n"))
        .concat();
    let config = format!(
        "daemon off;\npid {root}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}\
         server {{\nlisten 127.0.0.1:{port};\nlocation / {{\nproxy_pass http://{};\nproxy_http_version 1.1;\n\
         proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection \"upgrade\";\n\
         proxy_set_header Host $host;\nproxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n}}\n\
         location = /readyz {{\nproxy_pass http://{};\n}}\n}}\n}}\n",
        address(&web),
        address(&web),
    );
    let file = folder.write("nginx.conf", config);
    let _nginx = Running::start(Command::new("nginx").arg("-p").arg(&root).arg("-c").arg(file));
    who_over_websocket(port).await;
    is_ready(port).await;
    web.shutdown().await;
}
