//! Streams that a codec cuts itself, TLS in the middle of them, and requests to the client: with
//! real sockets.

mod codec;
mod requests;
mod tls;

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use wireplug::config::{ClientLimits, TlsConfig};
use wireplug::{App, CodecSource, Listener, RunningServer, Server};
use wireplug_tests::{log, server, within};

use self::codec::Digits;

fn digits() -> CodecSource {
    CodecSource::native(Arc::new(Digits::new()))
}

fn app() -> App {
    crate::connectors::app()
}

async fn serve(app: App, tls: Option<TlsConfig>, limits: ClientLimits) -> RunningServer {
    log::init();
    let mut listener = Listener::new("tcp://127.0.0.1:0", digits());
    (listener.tls, listener.limits) = (tls, limits);
    let server = Server::new(app).config(server::setup().server).listener(listener);
    within("the start", server.start()).await.expect("it starts")
}

async fn connect(server: &RunningServer) -> Client<TcpStream> {
    let address = server.urls()[0].replace("tcp://", "").parse().expect("a numeric address");
    let mut client = Client(log::connect(TcpSocket::new_v4().expect("a socket"), address).await);
    client.expect("+OK ready\r\n").await;
    client
}

/// A client over any stream.
struct Client<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("it lives");
        self.0.flush().await.expect("it lives");
    }

    /// Reads as many bytes as are expected, and compares them.
    async fn expect(&mut self, expected: &str) {
        let mut bytes = vec![0; expected.len()];
        within(expected, self.0.read_exact(&mut bytes)).await.expect("it lives");
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }

    /// Reads until the end of the stream.
    async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        within("the end", self.0.read_to_end(&mut bytes)).await.expect("it lives");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[tokio::test]
async fn packets_are_cut_wherever_reads_end() {
    let server = serve(app(), None, ClientLimits::default()).await;
    let mut client = connect(&server).await;
    let said = b"1 5 echo\nhello2 0 echo\n3 3 echo\na\nb";
    let heard = "1 5 200\nhello2 0 200\n3 3 200\na\nb";
    client.send(said).await;
    client.expect(heard).await;
    for byte in said {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    client.expect(heard).await;
    // More packets than one call cuts.
    let many: String = (0..700).map(|n| format!("{n} 1 echo\nx")).collect();
    client.send(many).await;
    client.expect(&(0..700).map(|n| format!("{n} 1 200\nx")).collect::<String>()).await;
}

#[tokio::test]
async fn a_packet_above_the_codecs_own_limit_ends_the_connection() {
    let server = serve(app(), None, ClientLimits::default()).await;
    for said in ["1 4000 echo\n", "1 5000 echo\n"] {
        let mut client = connect(&server).await;
        client.send(said).await;
        if said.contains("4000") {
            client.send(vec![b'x'; 4000]).await;
            client.expect(&format!("1 4000 200\n{}", "x".repeat(4000))).await;
        } else {
            assert_eq!(client.rest().await, "");
        }
    }
    let stats = server.shutdown().await;
    assert_eq!(stats.closes.get("framing"), Some(&1), "{stats}");
}

/// The codec does not cut what cannot become a packet, and says why.
#[tokio::test]
async fn a_stream_that_is_none_is_fatal_with_its_reason() {
    let server = serve(app(), None, ClientLimits::default()).await;
    let mut client = connect(&server).await;
    client.send(format!("1 0 echo\n{}", "x".repeat(64))).await;
    client.expect("1 0 200\n").await;
    assert_eq!(client.rest().await, "");
    let line = log::closing_line(client.0.local_addr().expect("an address")).await;
    assert!(line.contains("protocol: the head is too long"), "{line}");
}

/// Bytes that are passed to the codec again count against the client's rate.
#[tokio::test]
async fn a_client_that_drips_pays_for_each_call() {
    let limits = ClientLimits {
        bytes_per_second: 4096,
        over_rate: wireplug::config::OverRate::Close,
        ..ClientLimits::default()
    };
    let server = serve(app(), None, limits).await;
    let mut client = connect(&server).await;
    // A packet that the codec waits for as a whole costs only its bytes.
    client.send("1 3000 echo\n").await;
    for _ in 0..300 {
        client.send([b'x'; 10]).await;
        tokio::task::yield_now().await;
    }
    client.expect("1 3000 200\n").await;
    let server = server.shutdown().await;
    assert_eq!(server.closes.get("over-rate"), None, "{server}");
}
