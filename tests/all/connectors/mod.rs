//! Connectors: each row of the contract in `docs/connectors.md` has a test that fails without it,
//! and each transport is tested with real sockets.

mod another_crate;
mod codecs;
mod contract;
mod guide;
mod limits;
mod memory;
mod outcomes;
mod pipe;
mod proxies;
mod registry;
pub(crate) mod rfc6455;
#[cfg(all(feature = "shm", target_os = "linux"))]
mod shm;
mod socketio;
pub(crate) mod tls;
mod turned_away;
pub(crate) mod udp;
mod unix;
mod websocket;

// The examples use the library as embedders do, and are run here.
#[path = "../../../runtime/wireplug/examples/connector.rs"]
#[allow(dead_code, reason = "its main function is not called here")]
pub(crate) mod netstring;

#[path = "../../../runtime/wireplug/examples/codec_overrides.rs"]
#[allow(dead_code, reason = "its main function is not called here")]
mod overrides;

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::{WebSocketStream, client_async};
use wireplug::session::CloseReason;
use wireplug::{App, CodecSource, Listener, RunningServer, Server, Session};
use wireplug_tests::{log, server, within};

pub(crate) use netstring::codec::Lines;

/// Returns the codec of the examples.
fn lines() -> CodecSource {
    CodecSource::native(Arc::new(Lines::default()))
}

/// Returns an application that echoes, and that kicks clients on request.
pub(crate) fn app() -> App {
    App::new().route("echo", |body: Bytes| async move { body }).route("kick", |session: Session| async move {
        session.kick("you asked for it");
    })
}

/// Returns [`app`], and a channel of the reasons why its sessions end.
fn app_and_ends() -> (App, mpsc::UnboundedReceiver<CloseReason>) {
    let (sender, ends) = mpsc::unbounded_channel();
    let app = app().on_closed(move |session, reason| {
        assert!(session.is_closed() && session.sessions().get(session.id()).is_none());
        let _ = sender.send(reason.clone());
    });
    (app, ends)
}

async fn serve(app: App, listener: impl Into<Listener>) -> RunningServer {
    try_serve(app, listener).await.expect("it starts")
}

async fn try_serve(app: App, listener: impl Into<Listener>) -> anyhow::Result<RunningServer> {
    let server = Server::new(app)
        .register_connector("netstring", netstring::factory())
        .default_codec("lines", lines())
        .config(server::setup().server)
        .compile(server::setup().compile)
        .listener(listener);
    Ok(server.start().await?)
}

/// Returns the part after `://` of the URL of the server's only listener.
fn address(server: &RunningServer) -> String {
    server.urls()[0].split_once("://").expect("a URL").1.to_owned()
}

/// Connects a bare socket to the server's only listener. Returns the socket and its address, for
/// which the log is searched from now on.
async fn socket(server: &RunningServer) -> (TcpStream, SocketAddr) {
    let address = address(server).parse().expect("a numeric address");
    let socket = log::connect(TcpSocket::new_v4().expect("a socket"), address).await;
    let peer = socket.local_addr().expect("an address");
    (socket, peer)
}

/// Connects a WebSocket client to the server's only listener.
async fn websocket(server: &RunningServer) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(address(server)).await.expect("it listens");
    within("an upgrade", client_async(&server.urls()[0], stream)).await.expect("it upgrades").0
}

/// Runs an external program to its end.
pub(crate) async fn run(mut command: Command) -> Output {
    let (tell, done) = oneshot::channel();
    // The thread does not belong to the runtime, because a test that fails would then wait for it
    // at its end.
    std::thread::spawn(move || tell.send(command.output()));
    within("a program", done).await.expect("no panic").expect("it is installed")
}

/// A client that speaks lines over any stream.
struct LineClient<S: AsyncRead + AsyncWrite>(BufStream<S>);

impl LineClient<TcpStream> {
    async fn connect(address: &str) -> Self {
        Self::over(within("a connection", TcpStream::connect(address)).await.expect("it listens"))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> LineClient<S> {
    fn over(stream: S) -> Self {
        Self(BufStream::new(stream))
    }

    async fn say(&mut self, lines: &str) {
        self.say_bytes(lines.as_bytes()).await;
    }

    async fn say_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("it reads");
        self.0.flush().await.expect("it reads");
    }

    /// Reads the next line, without its end. Returns an empty line at the end of the stream.
    async fn hear(&mut self) -> String {
        let mut line = String::new();
        within("a line", self.0.read_line(&mut line)).await.expect("it lives");
        line.trim_end_matches('\n').to_owned()
    }

    async fn hear_exactly(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        within("bytes", self.0.read_exact(&mut bytes)).await.expect("it lives");
        String::from_utf8(bytes).expect("text")
    }

    async fn ask(&mut self, line: &str) -> String {
        self.say(&format!("{line}\n")).await;
        self.hear().await
    }
}
