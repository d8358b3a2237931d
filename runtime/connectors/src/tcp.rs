//! TCP, and the layers of a connection over it.
//!
//! From below: the socket; a load balancer's PROXY header; TLS, where the URL asks for it; the
//! [`Protocol`] that is spoken. [`open`] puts them together.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};

use super::dead_peers::DeadPeers;
use super::prefixed_stream::PrefixedStream;
use super::proxy::{self, contains};
use super::tls::{Tls, Watch};
use super::{
    BoxError, Connector, HostPort, Incoming, Layers, ListenOptions, Opened, Protocol, RateLimits, RateMeter,
    SocketKinds, bind,
};
use crate::config::WebSocketConfig;
use crate::running_time::RunningTime;

/// What the kernel takes of what a client's own window has no room for yet, in bytes. By itself it
/// takes megabytes, tells of room only when it has sent a third of them, and so lets a client that
/// reads slowly look as one that does not read.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 << 10;

/// TCP: `tcp://` speaks packets at once, `ws://` WebSocket, `hybrid://` either; `tls://`, `wss://`
/// and `hybrid+tls://` do so over TLS.
pub struct Tcp {
    protocol: Protocol,
    encrypted: bool,
    address: HostPort,
    listener: Option<TcpListener>,
    /// Takes over the files of TLS when they change.
    _watch: Option<Watch>,
    /// What holds for each of its connections.
    terms: Terms,
}

/// What holds for each connection of a listener.
#[derive(Clone)]
struct Terms {
    protocol: Protocol,
    proxies: Arc<[IpNet]>,
    first_byte_timeout: Duration,
    max_message: usize,
    rate: RateLimits,
    websocket: Arc<WebSocketConfig>,
    tls: Option<Tls>,
    dead_peers: DeadPeers,
    time: RunningTime,
}

impl Tcp {
    /// Will listen at an address; port 0 takes a free one.
    pub fn new(protocol: Protocol, address: HostPort) -> Self {
        let options = ListenOptions::default();
        let terms = Terms::new(protocol, &options);
        Self { protocol, encrypted: false, address, listener: None, _watch: None, terms }
    }

    /// Has it encrypt its connections. Its listener must have settings for that:
    /// `Listener::tls`.
    pub fn encrypted(mut self) -> Self {
        self.encrypted = true;
        self
    }

    /// Accepts from a listener that is bound, such as one that another process has handed over.
    ///
    /// # Errors
    /// Where the listener does not know its address.
    pub fn over(protocol: Protocol, listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?.into();
        Ok(Self { listener: Some(listener), ..Self::new(protocol, address) })
    }
}

impl Connector for Tcp {
    fn url(&self) -> String {
        let scheme = match (self.protocol, self.encrypted) {
            (Protocol::Stream, false) => "tcp",
            (Protocol::Stream, true) => "tls",
            (Protocol::WebSocket, false) => "ws",
            (Protocol::WebSocket, true) => "wss",
            (Protocol::Hybrid, false) => "hybrid",
            (Protocol::Hybrid, true) => "hybrid+tls",
        };
        format!("{scheme}://{}", self.address)
    }

    fn kinds(&self) -> SocketKinds {
        self.protocol.kinds()
    }

    fn layers(&self) -> Layers {
        Layers { tls: self.encrypted, websocket: self.protocol != Protocol::Stream }
    }

    fn start<'a>(&'a mut self, options: &'a ListenOptions) -> BoxFuture<'a, Result<(), BoxError>> {
        async {
            self.terms = Terms::new(self.protocol, options);
            if self.listener.is_none() {
                let listener = bind::tcp(&self.address).await?;
                self.address = listener.local_addr().context("it does not know its address")?.into();
                self.listener = Some(listener);
            }
            if let Some(files) = options.tls.as_ref().filter(|_| self.encrypted) {
                let (tls, watch) =
                    Tls::start(files, self.protocol.alpn(), self.url(), &options.certificates)?;
                (self.terms.tls, self._watch) = (Some(tls), Some(watch));
            }
            Ok(())
        }
        .boxed()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let listener = self.listener.as_ref().ok_or(io::ErrorKind::NotConnected)?;
            let (stream, address) = listener.accept().await?;
            Ok(incoming(stream, address, self.terms.clone()))
        }
        .boxed()
    }

    fn stop(&mut self) {
        (self.listener, self._watch) = (None, None);
    }
}

impl Terms {
    fn new(protocol: Protocol, options: &ListenOptions) -> Self {
        Self {
            protocol,
            proxies: options.proxies.as_slice().into(),
            first_byte_timeout: options.first_byte_timeout,
            max_message: options.max_message,
            rate: options.rate,
            websocket: Arc::new(options.websocket.clone()),
            tls: None,
            dead_peers: DeadPeers::of(options),
            time: options.time.clone(),
        }
    }
}

fn incoming(stream: TcpStream, address: SocketAddr, terms: Terms) -> Incoming {
    // Nagle's algorithm off: the runtime gathers small packets itself, and knows better when all is
    // there. Fails only for a client that is gone already, which its first read will tell.
    let _ = stream.set_nodelay(true);
    terms.dead_peers.watch(&stream);
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
    let address = bind::of_client(address);
    let behind_proxy = contains(&terms.proxies, address.ip());
    let open = open(stream, behind_proxy, terms).boxed();
    Incoming { address: address.to_string(), behind_proxy, open }
}

/// A connection's layers, from the socket up to the protocol.
async fn open(stream: TcpStream, behind_proxy: bool, terms: Terms) -> io::Result<Opened> {
    let Terms { protocol, first_byte_timeout, max_message, rate, websocket, tls, time, .. } = terms;
    let meter = RateMeter::new(&rate);
    let mut stream = PrefixedStream::metered(stream, meter.clone());
    if tls.is_some() || protocol.listens_first() {
        stream.first_byte(first_byte_timeout, &time).await?;
    }
    let client = if behind_proxy { proxy::read_header(&mut stream).await? } else { None };
    if behind_proxy && tls.is_none() && protocol.listens_first() {
        // What came first was the load balancer's.
        stream.first_byte(first_byte_timeout, &time).await?;
    }
    let Some(tls) = tls else {
        let opened = protocol.open(stream, "tcp", max_message, &websocket).await?;
        return Ok(Opened { client, ..opened });
    };
    let (stream, mut attributes) = tls.accept(stream, first_byte_timeout, &time).await?;
    let opened = protocol.open(PrefixedStream::above(stream, meter), "tcp", max_message, &websocket).await?;
    attributes.extend(opened.attributes);
    Ok(Opened { client, attributes, ..opened })
}
