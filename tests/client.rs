//! A Pomelo client over TCP or WebSocket.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use wireplug_pomelo::client::{Client as Protocol, Incoming};

use crate::raw::{Raw, RawWebSocket};
use crate::within;

/// A Pomelo client. Every wait has a time limit, after which the test fails.
pub struct Client {
    link: Link,
    protocol: Protocol,
    pushes: VecDeque<(String, Vec<u8>)>,
    responses: HashMap<u64, Vec<u8>>,
    /// The other messages, in order.
    other: VecDeque<Incoming>,
}

enum Link {
    Tcp(TcpStream),
    WebSocket(Box<WebSocketStream<TcpStream>>),
}

impl Client {
    /// Connects to `tcp://HOST:PORT` or `ws://HOST:PORT`, and completes the handshake.
    pub async fn connect(url: &str) -> Self {
        let mut client = Self::open(url).await;
        match client.handshake(None).await {
            Incoming::Ready { .. } => client,
            other => panic!("{other:?} in answer to the handshake"),
        }
    }

    /// Connects without sending anything.
    pub async fn open(url: &str) -> Self {
        let link = if url.starts_with("ws://") {
            Link::WebSocket(Box::new(RawWebSocket::connect(url).await.into_stream()))
        } else {
            Link::Tcp(Raw::connect(url).await.into_stream())
        };
        Self {
            link,
            protocol: Protocol::new(),
            pushes: VecDeque::new(),
            responses: HashMap::new(),
            other: VecDeque::new(),
        }
    }

    /// Performs the handshake. Returns [`Incoming::Ready`] or [`Incoming::Refused`].
    pub async fn handshake(&mut self, user: Option<&Value>) -> Incoming {
        let mut out = Vec::new();
        self.protocol.connect(user, &mut out);
        self.send(&out).await;
        self.next().await
    }

    /// Sends a request and returns the body of its response.
    pub async fn request(&mut self, route: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
        let id = self.ask(route, body).await;
        self.response(id).await
    }

    /// Does what [`Client::request`] does, and returns `None` if the connection ends instead.
    pub async fn try_request(&mut self, route: &str, body: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let id = self.ask(route, body).await;
        self.try_response(id).await
    }

    /// Does what [`Client::request`] does, with JSON bodies.
    pub async fn call(&mut self, route: &str, body: &Value) -> Value {
        let body = self.request(route, body.to_string()).await;
        serde_json::from_slice(&body).expect("responses are JSON")
    }

    /// Sends a request and returns its id.
    pub async fn ask(&mut self, route: &str, body: impl AsRef<[u8]>) -> u64 {
        let mut out = Vec::new();
        let id = self.protocol.request(route, body.as_ref(), &mut out).expect("the connection is ready");
        self.send(&out).await;
        id
    }

    /// Waits for the response to the request with this id, and returns its body.
    pub async fn response(&mut self, id: u64) -> Vec<u8> {
        let body = self.try_response(id).await;
        body.unwrap_or_else(|| panic!("the server closed before it answered request {id}"))
    }

    async fn try_response(&mut self, id: u64) -> Option<Vec<u8>> {
        loop {
            if let Some(body) = self.responses.remove(&id) {
                return Some(body);
            }
            if !self.receive().await {
                return None;
            }
        }
    }

    /// Sends a notification.
    pub async fn notify(&mut self, route: &str, body: impl AsRef<[u8]>) {
        let mut out = Vec::new();
        self.protocol.notify(route, body.as_ref(), &mut out).expect("the connection is ready");
        self.send(&out).await;
    }

    /// Waits for the next push. Returns its route and its body.
    pub async fn next_push(&mut self) -> (String, Value) {
        loop {
            if let Some((route, body)) = self.pushes.pop_front() {
                return (route, serde_json::from_slice(&body).expect("pushes are JSON"));
            }
            assert!(self.receive().await, "the server closed before it pushed");
        }
    }

    /// Returns the bodies of the pushes that have come so far.
    pub fn take_pushes(&mut self) -> Vec<Vec<u8>> {
        self.pushes.drain(..).map(|(_, body)| body).collect()
    }

    /// Waits for the next push. Returns its body, which need not be JSON.
    pub async fn next_push_body(&mut self) -> Vec<u8> {
        loop {
            if let Some((_, body)) = self.pushes.pop_front() {
                return body;
            }
            assert!(self.receive().await, "the server closed before it pushed");
        }
    }

    /// Waits for the next message that is neither a response nor a push.
    pub async fn next(&mut self) -> Incoming {
        loop {
            if let Some(other) = self.other.pop_front() {
                return other;
            }
            assert!(self.receive().await, "the server closed, and something else was wanted");
        }
    }

    /// Waits for a kick with this reason and for the end of the connection.
    pub async fn kicked(&mut self, reason: &str) {
        while self.receive().await {}
        let kick = Incoming::Kick { reason: Some(reason.to_owned()) };
        assert_eq!(self.other.pop_back(), Some(kick));
    }

    /// Waits until the server has closed. Messages that came before that are kept.
    pub async fn closed(&mut self) {
        while self.receive().await {}
    }

    /// Sends packages as they are.
    pub async fn send(&mut self, packages: &[u8]) {
        let sent = async {
            match &mut self.link {
                Link::Tcp(stream) => stream.write_all(packages).await.map_err(anyhow::Error::from),
                Link::WebSocket(socket) => {
                    for package in split(packages) {
                        socket.feed(Message::binary(package.to_vec())).await?;
                    }
                    Ok(socket.flush().await?)
                }
            }
        };
        // It is no error if the server has closed, because its earlier messages show what happened.
        let _ = within("room for packages", sent).await;
    }

    /// Reads once. Returns false if the server has closed.
    async fn receive(&mut self) -> bool {
        let received = within("something from the server", self.link.receive()).await;
        let Some(bytes) = received else {
            return false;
        };
        let (mut out, mut incoming) = (Vec::new(), Vec::new());
        self.protocol.receive(&bytes, &mut out, &mut incoming).expect("the server speaks Pomelo");
        self.send(&out).await;
        for incoming in incoming {
            match incoming {
                Incoming::Response { id, body, .. } => {
                    self.responses.insert(id, body);
                }
                Incoming::Push { route, body } => self.pushes.push_back((route, body)),
                other => self.other.push_back(other),
            }
        }
        true
    }
}

impl Link {
    async fn receive(&mut self) -> Option<Bytes> {
        match self {
            Link::Tcp(stream) => {
                let mut bytes = Vec::with_capacity(64 << 10);
                // A reset counts as an end.
                let count = stream.read_buf(&mut bytes).await.unwrap_or(0);
                (count > 0).then(|| bytes.into())
            }
            Link::WebSocket(socket) => match socket.next().await {
                Some(Ok(Message::Binary(bytes))) => Some(bytes),
                Some(Ok(Message::Close(_)) | Err(_)) | None => None,
                Some(Ok(other)) => panic!("{other:?} is no binary message"),
            },
        }
    }
}

/// Splits bytes into packages.
fn split(mut packages: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let head = packages.first_chunk::<4>()?;
        let length = 4 + u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        let (package, rest) = packages.split_at(length);
        packages = rest;
        Some(package)
    })
}
