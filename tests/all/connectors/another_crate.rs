//! Connectors of another crate, for streams and messages in this process.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex,
};
use tokio::sync::mpsc;
use wireplug::config::ServerConfig;
use wireplug::connector::Connector;
use wireplug::{CodecSource, Listener, Server};
use wireplug_connectors::{
    BoxError, ByteStream, CloseCode, Incoming, ListenOptions, MessageSocket, Opened, Socket, SocketKinds,
    Traffic,
};
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::raw::{hello, package, request, response};
use wireplug_tests::{server, within};

/// A connector that hands out the sockets that it gets from a channel.
struct Handed {
    kinds: SocketKinds,
    sockets: mpsc::Receiver<Socket>,
}

impl Connector for Handed {
    fn url(&self) -> String {
        "handed://here".to_owned()
    }

    fn kinds(&self) -> SocketKinds {
        self.kinds
    }

    fn start<'a>(&'a mut self, _: &'a ListenOptions) -> BoxFuture<'a, Result<(), BoxError>> {
        async { Ok(()) }.boxed()
    }

    fn stop(&mut self) {
        self.sockets.close();
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let Some(socket) = self.sockets.recv().await else { std::future::pending().await };
            let attributes = vec![("from".to_owned(), "a test".to_owned())];
            let opened =
                Opened { transport: "handed", client: None, attributes, meter: None, starttls: None, socket };
            let open = async { Ok(opened) }.boxed();
            Ok(Incoming { address: String::new(), behind_proxy: false, open, turn_away: None })
        }
        .boxed()
    }
}

fn handed(stream: bool) -> (mpsc::Sender<Socket>, Handed) {
    let (give, sockets) = mpsc::channel(1);
    (give, Handed { kinds: SocketKinds { stream, messages: !stream }, sockets })
}

async fn read(stream: &mut DuplexStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    within("bytes", stream.read_exact(&mut bytes)).await.expect("the server lives");
    bytes
}

#[tokio::test]
async fn a_stream_of_another_crate() {
    let (give, connector) = handed(true);
    let listener = Listener::over(connector, CodecSource::pomelo(json!({ "dictionary": false })));
    let server = Server::new(app::demo())
        .config(server::setup().server)
        .listener(listener)
        .start()
        .await
        .expect("it starts");
    assert_eq!(server.urls(), ["handed://here"]);
    // The buffer is smaller than a packet, so every write is split.
    let (mut client, socket) = duplex(7);
    assert!(give.send(Socket::Stream(Box::new(socket))).await.is_ok());
    client.write_all(&hello()).await.expect("it reads");
    let greeting = read(&mut client, 25).await;
    assert!(greeting.ends_with(b"\"sys\":{}}"), "{greeting:?}");
    client.write_all(&package(2, "")).await.expect("it reads");
    for n in 0..10 {
        client.write_all(&request(n + 1, ECHO, format!("[{n}]"))).await.expect("it reads");
        let answer = response(n + 1, format!("[{n}]"));
        assert_eq!(read(&mut client, answer.len()).await, answer);
    }
    let session = server.sessions().get(wireplug::session::SessionId(1)).expect("the only one");
    assert_eq!(session.client().transport, "handed");
    assert_eq!(session.client().attributes, [("from".to_owned(), "a test".to_owned())]);
    drop(client);
    assert_eq!(server.shutdown().await.connections_open, 0);
}

/// A message socket over two channels. It accepts one message at a time, and passes the message on
/// when it is flushed.
struct Channels {
    receive: mpsc::Receiver<Bytes>,
    send: mpsc::UnboundedSender<Vec<u8>>,
    taken: VecDeque<Bytes>,
    traffic: Traffic,
}

impl MessageSocket for Channels {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let received = self.receive.poll_recv(cx);
        if let Poll::Ready(Some(message)) = &received {
            self.traffic.read += message.len() as u64;
        }
        received.map(Ok)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.taken.is_empty() { Poll::Ready(Ok(())) } else { self.poll_flush(cx) }
    }

    fn send(&mut self, message: Bytes, text: bool) -> io::Result<()> {
        assert!(!text && self.taken.is_empty(), "not asked whether it is ready");
        self.taken.push_back(message);
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        for message in self.taken.drain(..) {
            self.traffic.written += message.len() as u64;
            self.send.send(message.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        Poll::Ready(Ok(()))
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }

    fn poll_close(&mut self, code: CloseCode, reason: &str, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let goodbye = format!("{} {reason}", code.0).into_bytes();
        Poll::Ready(self.send.send(goodbye).map_err(|_| io::ErrorKind::BrokenPipe.into()))
    }
}

#[tokio::test]
async fn messages_of_another_crate() {
    let (give, connector) = handed(false);
    let listener = Listener::over(connector, CodecSource::pomelo(json!({ "dictionary": false })));
    let server = Server::new(app::demo())
        .config(server::setup().server)
        .listener(listener)
        .start()
        .await
        .expect("it starts");
    let (say, receive) = mpsc::channel(8);
    let (send, mut hear) = mpsc::unbounded_channel();
    let socket = Channels { receive, send, taken: VecDeque::new(), traffic: Traffic::default() };
    assert!(give.send(Socket::Messages(Box::new(socket))).await.is_ok());

    let said = [hello(), package(2, ""), [request(1, ECHO, "[1]"), request(2, ECHO, "[2]")].concat()];
    let [hello, ack, requests] = said.map(Bytes::from);
    say.send(hello).await.expect("it listens");
    assert!(within("a greeting", hear.recv()).await.expect("one").ends_with(b"\"sys\":{}}"));
    say.send(ack).await.expect("it listens");
    say.send(requests).await.expect("it listens");
    for n in 1..3 {
        let answer = within("an answer", hear.recv()).await.expect("one");
        assert_eq!(answer, response(n, format!("[{n}]")), "one packet a message");
    }
    let stats = server.shutdown().await;
    assert_eq!(stats.closes, [("shutdown", 1)].into());
    assert!(hear.recv().await.expect("a kick").starts_with(&[5]));
    assert_eq!(hear.recv().await.expect("a goodbye"), b"1012 shutdown");
}

/// A socket that panics when it is read.
struct Panics(DuplexStream);

impl AsyncRead for Panics {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        panic!("a connector's fault")
    }
}

impl AsyncWrite for Panics {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl ByteStream for Panics {}

/// A panic in a connection's task ends only that connection. The end is counted, and the
/// connection's place becomes free.
#[tokio::test]
async fn a_panic_in_a_connection_ends_it_alone() {
    let (give, connector) = handed(true);
    let listener = Listener::over(connector, CodecSource::pomelo(json!({ "dictionary": false })));
    let places = ServerConfig { max_connections: 1, ..ServerConfig::default() };
    let server = Server::new(app::demo()).config(places).listener(listener).start().await.expect("it starts");
    for count in 1..4 {
        let (mut client, socket) = duplex(1024);
        assert!(give.send(Socket::Stream(Box::new(Panics(socket)))).await.is_ok());
        assert_eq!(within("its end", client.read(&mut [0])).await.expect("an end"), 0);
        let counted = async {
            while server.stats().closes != [("internal", count)].into() {
                tokio::task::yield_now().await;
            }
        };
        within("its count", counted).await;
        assert_eq!(server.stats().connections_open, 0);
    }
}
