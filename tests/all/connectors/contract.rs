//! The contract of every connector: how it starts and stops, which sockets it hands out, and that
//! data which is sent together goes out together.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use serde_json::Map;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex,
};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use wireplug::connector::{Connector, Connectors};
use wireplug::session::Message;
use wireplug::{CodecSource, Listener, Session};
use wireplug_connectors::{BoxError, ByteStream, Incoming, ListenOptions, Opened, Socket, SocketKinds};
use wireplug_core::codec::{
    Codec, CodecError, CodecSession, Description, Encoded, Events, Instant, Messages, Peer,
};
use wireplug_core::framing::Packets;
use wireplug_tests::within;

use super::netstring::{self, codec::Lines};
use super::{LineClient, address, app, lines, serve, try_serve};

fn create(url: &str) -> Box<dyn Connector> {
    let connectors = Connectors::new().register("netstring", netstring::factory());
    connectors.create(url, &Map::new()).expect("it is one")
}

async fn started(url: &str) -> Box<dyn Connector> {
    let mut connector = create(url);
    within("it to listen", connector.start(&ListenOptions::default())).await.expect("it listens");
    connector
}

/// URLs of the connectors whose addresses are ports.
const PORTS: [&str; 4] =
    ["tcp://127.0.0.1:0", "ws://127.0.0.1:0", "hybrid://127.0.0.1:0", "netstring://127.0.0.1:0"];

// === start ===

#[tokio::test]
async fn a_failed_start_names_the_address() {
    for url in PORTS {
        let first = started(url).await;
        let taken = first.url();
        let error = try_serve(app(), Listener::new(&taken, lines())).await.err().expect("it is taken");
        let error = format!("{error:#}");
        assert!(error.starts_with(&format!("cannot listen on {taken}: ")), "{error}");
        assert!(error.contains("in use"), "{error}");
    }
}

// === a stream of sockets ===

#[tokio::test]
async fn an_accept_that_is_dropped_loses_nobody() {
    let mut connector = started("tcp://127.0.0.1:0").await;
    let address = connector.url().replace("tcp://", "");
    assert!(connector.accept().now_or_never().is_none(), "nobody is there");
    let (mut a, mut b) = (
        TcpStream::connect(&address).await.expect("it listens"),
        TcpStream::connect(&address).await.expect("it listens"),
    );
    for client in [&mut a, &mut b] {
        let incoming = within("a client", connector.accept()).await.expect("one");
        assert_eq!(incoming.address, client.local_addr().expect("one").to_string());
        let Opened { socket: Socket::Stream(mut socket), .. } = incoming.open.await.expect("it opens") else {
            panic!("TCP is a stream")
        };
        client.write_all(b"hello").await.expect("it lives");
        let mut heard = [0; 5];
        within("bytes", socket.read_exact(&mut heard)).await.expect("it lives");
        assert_eq!(&heard, b"hello");
    }
}

// === stop ===

/// A stopped connector accepts no clients and has freed its address. It may be stopped again, and
/// its open sockets continue to work.
#[tokio::test]
async fn stop_frees_the_address_and_leaves_live_sockets() {
    let mut connector = started("tcp://127.0.0.1:0").await;
    let url = connector.url();
    let address = url.replace("tcp://", "");
    let mut client = TcpStream::connect(&address).await.expect("it listens");
    let incoming = within("a client", connector.accept()).await.expect("one");
    let Socket::Stream(mut socket) = incoming.open.await.expect("it opens").socket else {
        panic!("TCP is a stream")
    };

    connector.stop();
    assert!(TcpStream::connect(&address).await.is_err(), "nobody listens");
    connector.stop();
    let other = started(&url).await;
    connector.stop();
    TcpStream::connect(&address).await.expect("the other listens");
    drop(other);

    client.write_all(b"still").await.expect("it lives");
    let mut heard = [0; 5];
    within("bytes", socket.read_exact(&mut heard)).await.expect("it lives");
    socket.write_all(b"here").await.expect("it lives");
    let mut heard = [0; 4];
    within("bytes", client.read_exact(&mut heard)).await.expect("it lives");
}

#[tokio::test]
async fn a_server_that_stops_drains_and_frees_its_addresses() {
    for url in PORTS {
        let server = serve(app(), Listener::new(url, lines())).await;
        let bound = server.urls()[0].clone();
        let _client = TcpStream::connect(address(&server)).await.expect("it listens");
        let stats = within("the end", server.shutdown()).await;
        assert_eq!(stats.connections_open, 0);
        serve(app(), Listener::new(&bound, lines())).await.shutdown().await;
    }
}

// === disconnect ===

#[tokio::test]
async fn who_is_thrown_out_hears_why_from_the_codec() {
    let server = serve(app(), Listener::at("netstring://127.0.0.1:0")).await;
    let mut client = LineClient::connect(&address(&server)).await;
    // The request before it is answered first.
    client.say("12:1 echo first,6:- kick,").await;
    let farewell = "bye you asked for it";
    let heard = format!("11:1 200 first,{}:{farewell},", farewell.len());
    assert_eq!(client.hear_exactly(heard.len()).await, heard);
    assert_eq!(client.hear().await, "", "and the connection ends");
    assert_eq!(server.shutdown().await.closes, [("kicked", 1)].into());
}

// === data that is sent together ===

/// A connector with one socket that reports each write.
struct OneSocket(Option<Box<Counted>>);

struct Counted {
    stream: DuplexStream,
    writes: mpsc::UnboundedSender<String>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let _ = self.writes.send(String::from_utf8_lossy(bytes).into_owned());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl ByteStream for Counted {}

impl Connector for OneSocket {
    fn url(&self) -> String {
        "one://socket".to_owned()
    }

    fn kinds(&self) -> SocketKinds {
        SocketKinds { stream: true, messages: false }
    }

    fn start<'a>(
        &'a mut self,
        _: &'a ListenOptions,
    ) -> futures_util::future::BoxFuture<'a, Result<(), BoxError>> {
        async { Ok(()) }.boxed()
    }

    fn accept(&mut self) -> futures_util::future::BoxFuture<'_, io::Result<Incoming>> {
        async {
            let Some(socket) = self.0.take() else { std::future::pending().await };
            let socket = Socket::Stream(socket);
            let opened = Opened {
                transport: "one",
                client: None,
                attributes: Vec::new(),
                meter: None,
                starttls: None,
                socket,
            };
            let open = async { Ok(opened) }.boxed();
            Ok(Incoming { address: String::new(), behind_proxy: false, open, turn_away: None })
        }
        .boxed()
    }

    fn stop(&mut self) {
        self.0 = None;
    }
}

/// Sends `- three` as a client, and returns each write of the server.
async fn writes(codec: CodecSource) -> Vec<String> {
    let app = app().route("three", |session: Session| async move {
        let push = |n| Message::push("on", Bytes::from(format!("\"{n}\"")));
        let _ = session.send_batch((1..4).map(push).collect());
    });
    let (mut client, stream) = duplex(1024);
    let (writes, mut written) = mpsc::unbounded_channel();
    let server =
        serve(app, Listener::over(OneSocket(Some(Box::new(Counted { stream, writes }))), codec)).await;
    client.write_all(b"- three\n").await.expect("it reads");
    let first = within("a write", written.recv()).await.expect("one");
    drop(client);
    server.shutdown().await;
    let rest = std::iter::from_fn(|| written.try_recv().ok());
    [first].into_iter().chain(rest).filter(|write| !write.starts_with("bye")).collect()
}

#[tokio::test]
async fn a_batch_is_one_write_on_a_stream() {
    assert_eq!(writes(lines()).await, ["- on \"1\"\n- on \"2\"\n- on \"3\"\n"]);
}

/// The codec of lines, except that a batch becomes one array.
struct Coalescing {
    lines: Lines,
    description: Description,
    batches: Arc<Mutex<Vec<usize>>>,
}

struct CoalescingSession {
    lines: Box<dyn CodecSession>,
    batches: Arc<Mutex<Vec<usize>>>,
}

impl Codec for Coalescing {
    fn description(&self) -> &Description {
        &self.description
    }

    fn open(&self, peer: Peer, now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        let batches = Arc::clone(&self.batches);
        Ok(Box::new(CoalescingSession { lines: self.lines.open(peer, now)?, batches }))
    }
}

impl CodecSession for CoalescingSession {
    fn decode(
        &mut self,
        packets: &Arc<Packets>,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.lines.decode(packets, now, events)
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        _: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        self.batches.lock().expect("no panic").push(messages.len());
        let bodies: Vec<_> = messages.iter().map(|message| String::from_utf8_lossy(message.body)).collect();
        let last = messages.len() as u32 - 1;
        encoded.push(last, format!("[{}]", bodies.join(",")).as_bytes());
        Ok(())
    }
}

#[tokio::test]
async fn a_batch_is_one_packet_where_the_codec_coalesces() {
    let (lines, batches) = (Lines::default(), Arc::default());
    let description = Description { coalesces: true, ..lines.description().clone() };
    let codec = Coalescing { lines, description, batches: Arc::clone(&batches) };
    assert_eq!(writes(CodecSource::native(Arc::new(codec))).await, ["[\"1\",\"2\",\"3\"]\n"]);
    assert_eq!(*batches.lock().expect("no panic"), [3]);
}
