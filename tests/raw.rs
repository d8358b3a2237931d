//! Bare sockets, and Pomelo packages byte by byte, for data that a well-behaved client would not
//! send.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::{log, within};

/// The type of a handshake package.
pub const HANDSHAKE: u8 = 1;
/// The type of a package that acknowledges the handshake.
pub const ACK: u8 = 2;
/// The type of a heartbeat package.
pub const HEARTBEAT: u8 = 3;
/// The type of a package with a message.
pub const DATA: u8 = 4;
/// The type of a package that kicks a client.
pub const KICK: u8 = 5;

/// The request that opens a WebSocket.
pub const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Returns a client's frame with a binary message. Its mask changes nothing.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("short");
    let head = if length < 126 {
        vec![0x82, 0x80 | length as u8]
    } else {
        [&[0x82, 0x80 | 126][..], &length.to_be_bytes()].concat()
    };
    [&head, &[0; 4][..], message].concat()
}

/// Returns a package.
pub fn package(kind: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut package = u32::try_from(body.len()).expect("short").to_be_bytes().to_vec();
    package[0] = kind;
    package.extend_from_slice(body);
    package
}

/// Returns an empty handshake.
pub fn hello() -> Vec<u8> {
    package(HANDSHAKE, r#"{"sys":{}}"#)
}

/// Returns a request whose route is text.
pub fn request(id: u64, route: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut data = vec![0];
    varint(id, &mut data);
    data.push(route.len() as u8);
    data.extend_from_slice(route.as_bytes());
    data.extend_from_slice(body.as_ref());
    package(DATA, data)
}

/// Returns a notification whose route is text.
pub fn notification(route: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut data = vec![2, route.len() as u8];
    data.extend_from_slice(route.as_bytes());
    data.extend_from_slice(body.as_ref());
    package(DATA, data)
}

/// Returns a response.
pub fn response(id: u64, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut data = vec![4];
    varint(id, &mut data);
    data.extend_from_slice(body.as_ref());
    package(DATA, data)
}

fn varint(mut id: u64, out: &mut Vec<u8>) {
    while id >= 0x80 {
        out.push(id as u8 | 0x80);
        id >>= 7;
    }
    out.push(id as u8);
}

/// Decodes hexadecimal digits.
pub fn hex(digits: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).expect("a hexadecimal digit") as u8;
    digits.as_bytes().chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}

/// A TCP connection on which a test sees each byte.
pub struct Raw(TcpStream);

impl Raw {
    /// Connects to `tcp://HOST:PORT`.
    pub async fn connect(url: &str) -> Self {
        Self::connect_by(TcpSocket::new_v4().expect("a socket"), url).await
    }

    /// Connects from an address of this machine. All addresses in 127.0.0.0/8 are its own.
    pub async fn connect_from(source: &str, url: &str) -> Self {
        let source: IpAddr = source.parse().expect("an address");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((source, 0).into()).expect("an address of this machine");
        Self::connect_by(socket, url).await
    }

    /// Connects with a socket that is already set up.
    pub async fn connect_by(socket: TcpSocket, url: &str) -> Self {
        let server = address(url).parse().expect("a numeric address");
        let stream = log::connect(socket, server).await;
        stream.set_nodelay(true).expect("the socket is open");
        Self(stream)
    }

    /// Connects and completes the handshake. The server must speak Pomelo without heartbeats.
    pub async fn pomelo(url: &str) -> Self {
        Self::connect(url).await.shake_hands().await
    }

    /// Completes the handshake. The server must speak Pomelo without heartbeats.
    pub async fn shake_hands(mut self) -> Self {
        self.send(&hello()).await;
        let (kind, body) = self.package().await;
        assert_eq!(kind, HANDSHAKE);
        assert!(body.starts_with(br#"{"code":200"#), "{}", String::from_utf8_lossy(&body));
        self.send(&package(ACK, "")).await;
        self
    }

    /// Connects to `tcp://HOST:PORT`, where the server must also speak WebSocket, and upgrades. All
    /// further bytes are frames.
    pub async fn upgraded(url: &str) -> Self {
        let mut raw = Self::connect(url).await;
        raw.send(UPGRADE).await;
        assert_eq!(raw.line().await, "HTTP/1.1 101 Switching Protocols\r");
        while raw.line().await != "\r" {}
        raw
    }

    /// Returns the client's own address, which the log contains.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("the socket is open")
    }

    /// Sends bytes. It is no error if the server has closed already, because its earlier answers
    /// show what happened.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = within("room for bytes", self.0.write_all(bytes)).await;
    }

    /// Reads exactly these bytes.
    pub async fn expect(&mut self, wanted: &[u8]) {
        let got = self.bytes(wanted.len()).await;
        assert_eq!(got, wanted, "{:?} is not {:?}", text(&got), text(wanted));
    }

    /// Reads this many bytes.
    pub async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut got = vec![0; count];
        let read = within("bytes from the server", self.0.read_exact(&mut got)).await;
        read.expect("as many bytes as were wanted");
        got
    }

    /// Reads a line, without its end.
    pub async fn line(&mut self) -> String {
        match self.read_line().await {
            (line, None) => line,
            (line, Some(error)) => panic!("{error} after {line:?}"),
        }
    }

    /// Reads a line, without its end. Returns `None` if the server has closed.
    pub async fn try_line(&mut self) -> Option<String> {
        let (line, error) = self.read_line().await;
        error.is_none().then_some(line)
    }

    async fn read_line(&mut self) -> (String, Option<std::io::Error>) {
        let mut line = Vec::new();
        loop {
            match within("a line from the server", self.0.read_u8()).await {
                Ok(b'\n') => return (text(&line), None),
                Ok(byte) => line.push(byte),
                Err(error) => return (text(&line), Some(error)),
            }
        }
    }

    /// Reads a package. Returns its type and its body.
    pub async fn package(&mut self) -> (u8, Vec<u8>) {
        self.try_package().await.expect("a whole package")
    }

    /// Reads a package. Returns `None` if the server has closed.
    pub async fn try_package(&mut self) -> Option<(u8, Vec<u8>)> {
        let read = async {
            let mut head = [0; 4];
            self.0.read_exact(&mut head).await?;
            let mut body = vec![0; u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize];
            self.0.read_exact(&mut body).await?;
            std::io::Result::Ok((head[0], body))
        };
        within("a package from the server", read).await.ok()
    }

    /// Reads everything until the server closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset counts as an end.
        let _ = within("the server to close", self.0.read_to_end(&mut rest)).await;
        rest
    }

    /// Closes the sending direction. The connection can still be read.
    pub async fn finish(&mut self) {
        self.0.shutdown().await.expect("the socket is open");
    }

    /// Wraps a connected socket.
    pub fn from_stream(stream: TcpStream) -> Self {
        Self(stream)
    }

    /// Returns the socket.
    pub fn into_stream(self) -> TcpStream {
        self.0
    }
}

/// A WebSocket connection on which a test sees each message.
pub struct RawWebSocket(WebSocketStream<TcpStream>);

impl RawWebSocket {
    /// Connects to `ws://HOST:PORT`.
    pub async fn connect(url: &str) -> Self {
        Self::upgrade(Raw::connect(&url.replacen("ws://", "tcp://", 1)).await, url).await
    }

    /// Upgrades a connection to WebSocket, by a request or one for a URL.
    pub async fn upgrade(raw: Raw, request: impl IntoClientRequest + Unpin) -> Self {
        let upgraded =
            within("the upgrade", tokio_tungstenite::client_async(request, raw.into_stream())).await;
        Self(upgraded.expect("the server speaks WebSocket").0)
    }

    /// Connects and completes the handshake. The server must speak Pomelo without heartbeats.
    pub async fn pomelo(url: &str) -> Self {
        let mut socket = Self::connect(url).await;
        socket.send(Message::binary(hello())).await;
        let answer = socket.message().await.expect("an answer to the handshake");
        assert_eq!(answer[0], HANDSHAKE);
        socket.send(Message::binary(package(ACK, ""))).await;
        socket
    }

    /// Returns the client's own address, which the log contains.
    pub fn address(&self) -> SocketAddr {
        self.0.get_ref().local_addr().expect("the socket is open")
    }

    /// Sends a message. It is no error if the server has closed already.
    pub async fn send(&mut self, message: Message) {
        let _ = within("room for a message", self.0.send(message)).await;
    }

    /// Reads a binary message. Returns `None` if the server has closed.
    pub async fn message(&mut self) -> Option<Bytes> {
        match within("a message from the server", self.0.next()).await {
            Some(Ok(Message::Binary(bytes))) => Some(bytes),
            Some(Ok(Message::Close(_)) | Err(_)) | None => None,
            Some(Ok(other)) => panic!("{other:?} is no binary message"),
        }
    }

    /// Reads the server's close frame. Returns its code and its reason.
    pub async fn close_frame(&mut self) -> (u16, String) {
        match within("a close frame from the server", self.0.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("{other:?} is no close frame with a code"),
        }
    }

    /// Returns the socket.
    pub fn into_stream(self) -> WebSocketStream<TcpStream> {
        self.0
    }
}

fn address(url: &str) -> &str {
    url.split_once("://").expect("a URL of the form SCHEME://HOST:PORT").1
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
