//! TCP, and the layers of a connection over it.
//!
//! From the bottom up, the layers are the socket, a load balancer's PROXY header, TLS if the URL's
//! scheme requires it, and the [`Protocol`] that the client speaks. [`open`] puts them together.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ipnet::IpNet;
use tokio::net::TcpStream;

use super::dead_peers::DeadPeers;
use super::handover::{from_state, invalid};
use super::prefixed_stream::PrefixedStream;
use super::proxy::{self, contains};
use super::socket_buffers::SocketBuffers;
use super::tls::{Tls, Watch};
use super::turn_away::TurnAway;
use super::upgrade::HttpRules;
use super::{
    BoxError, Connector, HandedSocket, HostPort, Incoming, Layers, ListenOptions, Opened, Protocol,
    RateLimits, RateMeter, Secured, SocketKinds, StartTls, bind, inherited,
};
use crate::bind::TcpListeners;
use crate::config::TlsConfig;
use crate::running_time::RunningTime;

/// The name of the transport of a client that speaks the codec's protocol directly.
const TRANSPORT: &str = "tcp";

/// How many unsent bytes the kernel holds for a client before the socket stops being writable. By
/// default the kernel holds megabytes, and the socket becomes writable again only when a third of
/// them has been sent. A client that reads slowly would then look like a client that does not read.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 << 10;

/// The connector for TCP. Clients of `tcp://` speak the codec's protocol directly, clients of
/// `ws://` speak WebSocket, and clients of `hybrid://` speak either. `tls://`, `wss://` and
/// `hybrid+tls://` are the same over TLS.
pub struct Tcp {
    protocol: Protocol,
    encrypted: bool,
    address: HostPort,
    listener: Option<TcpListeners>,
    /// The files of TLS. The watch reloads them when they change.
    files: Option<(TlsConfig, Watch)>,
    /// The settings for each connection.
    terms: Terms,
}

/// The settings of a listener that apply to each of its connections.
#[derive(Clone)]
struct Terms {
    protocol: Protocol,
    proxies: Arc<[IpNet]>,
    first_byte_timeout: Duration,
    max_message: usize,
    rate: RateLimits,
    http: Arc<HttpRules>,
    tls: Option<Tls>,
    /// TLS to which a client can switch later.
    starttls: Option<Tls>,
    dead_peers: DeadPeers,
    buffers: SocketBuffers,
    time: RunningTime,
}

impl Tcp {
    /// Creates a connector that will listen at an address. Port 0 selects a free port.
    pub fn new(protocol: Protocol, address: HostPort) -> Self {
        let options = ListenOptions::default();
        let terms = Terms::new(protocol, &options);
        Self { protocol, encrypted: false, address, listener: None, files: None, terms }
    }

    /// Makes the connector encrypt its connections. Its listener must then have settings for TLS
    /// (`Listener::tls`).
    pub fn encrypted(mut self) -> Self {
        self.encrypted = true;
        self
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
        Layers {
            tls: self.encrypted,
            starttls: !self.encrypted && self.protocol == Protocol::Stream,
            websocket: self.protocol != Protocol::Stream,
        }
    }

    fn start<'a>(&'a mut self, options: &'a ListenOptions) -> BoxFuture<'a, Result<(), BoxError>> {
        async {
            let listener = match self.listener.take() {
                Some(inherited) => inherited,
                None => TcpListeners::bind(&self.address).await?,
            };
            self.address = listener.address(&self.address).context("it does not know its address")?;
            self.listener = Some(listener);
            self.update(options)
        }
        .boxed()
    }

    fn update(&mut self, options: &ListenOptions) -> Result<(), BoxError> {
        let mut terms = Terms::new(self.protocol, options);
        if self.files.as_ref().map(|(files, _)| files) == options.tls.as_ref() {
            (terms.tls, terms.starttls) = (self.terms.tls.take(), self.terms.starttls.take());
        } else {
            self.files = match &options.tls {
                Some(files) => {
                    let (tls, watch) =
                        Tls::start(files, self.protocol.alpn(), self.url(), &options.certificates)?;
                    *(if self.encrypted { &mut terms.tls } else { &mut terms.starttls }) = Some(tls);
                    Some((files.clone(), watch))
                }
                None => {
                    options.certificates.set(&self.url(), Vec::new());
                    None
                }
            };
        }
        self.terms = terms;
        Ok(())
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let listener = self.listener.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            let (stream, address) = listener.accept().await?;
            Ok(incoming(stream, address, self.terms.clone()))
        }
        .boxed()
    }

    fn stop(&mut self) {
        (self.listener, self.files) = (None, None);
    }

    fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.listener.as_ref().map_or(Ok(Vec::new()), TcpListeners::duplicates)
    }

    fn is_for(&self, socket: BorrowedFd<'_>) -> bool {
        inherited::is_tcp_at(socket, &self.address)
    }

    fn inherit(&mut self, sockets: Vec<OwnedFd>) -> Result<(), BoxError> {
        self.listener = Some(TcpListeners::inherit(sockets)?);
        Ok(())
    }

    fn adopt(&mut self, mut client: HandedSocket) -> io::Result<Opened> {
        adopt(client.take_descriptor()?, &client.state, &self.terms)
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
            http: Arc::new(HttpRules::new(options)),
            tls: None,
            starttls: None,
            dead_peers: DeadPeers::of(options),
            buffers: SocketBuffers::of(options),
            time: options.time.clone(),
        }
    }

    /// Applies the settings of the kernel to a connection, except for those of `dead_peers`.
    fn set(&self, stream: &TcpStream) {
        // Turns off Nagle's algorithm: the runtime gathers small packets itself, and knows when no
        // more will follow. The call fails only if the client has already gone, and the first read
        // reports that.
        let _ = stream.set_nodelay(true);
        self.buffers.set(stream);
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
    }
}

fn incoming(stream: TcpStream, address: SocketAddr, terms: Terms) -> Incoming {
    terms.set(&stream);
    terms.dead_peers.watch(&stream);
    let address = bind::of_client(address);
    let sends_header = contains(&terms.proxies, address.ip());
    let behind_proxy = sends_header || terms.http.trusts(address.ip());
    let turn_away = TurnAway::default();
    let answers = terms.protocol.listens_first().then(|| turn_away.clone());
    let open = open(stream, address, sends_header, turn_away, terms).boxed();
    Incoming { address: address.to_string(), behind_proxy, open, turn_away: answers }
}

/// Runs the layers of a connection, from the socket up to the protocol.
async fn open(
    stream: TcpStream,
    address: SocketAddr,
    sends_header: bool,
    turn_away: TurnAway,
    terms: Terms,
) -> io::Result<Opened> {
    let Terms { protocol, first_byte_timeout, max_message, rate, http, tls, starttls, time, .. } = terms;
    let meter = RateMeter::new(&rate);
    let mut stream = PrefixedStream::metered(stream, meter.clone());
    if tls.is_some() || protocol.listens_first() {
        stream.first_byte(first_byte_timeout, &time).await?;
    }
    let client = if sends_header { proxy::read_header(&mut stream).await? } else { None };
    // The address that HTTP proxies are known by.
    let peer = client.unwrap_or(address);
    if sends_header && tls.is_none() && protocol.listens_first() {
        // The first byte came from the load balancer, so the client's own is still to come.
        stream.first_byte(first_byte_timeout, &time).await?;
    }
    let Some(tls) = tls else {
        let mut opened = protocol.open(stream, TRANSPORT, max_message, &http, peer, &turn_away).await?;
        opened.starttls = starttls.map(|tls| start_tls(tls, first_byte_timeout, time));
        if opened.starttls.is_some() {
            opened.attributes.push((StartTls::ATTRIBUTE.to_owned(), "offered".to_owned()));
        }
        return Ok(Opened { client: opened.client.or(client.map(|client| client.to_string())), ..opened });
    };
    let (stream, mut attributes) = tls.accept(stream, first_byte_timeout, &time).await?;
    let stream = PrefixedStream::above(stream, meter);
    let opened = protocol.open(stream, TRANSPORT, max_message, &http, peer, &turn_away).await?;
    attributes.extend(opened.attributes);
    let client = opened.client.or(client.map(|client| client.to_string()));
    Ok(Opened { client, attributes, ..opened })
}

/// Continues with a client of another process, above all layers.
fn adopt(socket: OwnedFd, state: &[u8], terms: &Terms) -> io::Result<Opened> {
    if terms.tls.is_some() {
        return Err(invalid("the client speaks no TLS, and this listener only TLS"));
    }
    let client = from_state(state)?;
    let stream = TcpStream::from_std(socket.into())?;
    terms.set(&stream);
    terms.dead_peers.watch_anew(&stream);
    let meter = RateMeter::new(&terms.rate);
    let mut opened =
        terms.protocol.resume(stream, TRANSPORT, client, meter, terms.max_message, &terms.http)?;
    // A client that has switched to TLS does not leave its process.
    let starttls = terms.starttls.clone();
    opened.starttls = starttls.map(|tls| start_tls(tls, terms.first_byte_timeout, terms.time.clone()));
    Ok(opened)
}

/// Returns the switch to TLS. The layer below counts the bytes of the client.
fn start_tls(tls: Tls, first_byte_timeout: Duration, time: RunningTime) -> StartTls {
    StartTls::new(move |stream, early| async move {
        let mut stream = PrefixedStream::new(stream);
        stream.unread(early);
        let (stream, attributes) = tls.accept(stream, first_byte_timeout, &time).await?;
        Ok(Secured { stream: Box::new(stream), attributes })
    })
}
