//! What the connectors over TCP have in common: to accept, and to learn the client's address from a load
//! balancer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use ppp::{HeaderResult, PartialResult as _, v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::BindOptions;
use super::rewind::Rewind;

/// The longest PROXY header that is taken, in bytes: version 1 has at most 107, and version 2 needs 52 and
/// its extensions.
const MAX_HEADER: usize = 2048;

/// The longest header of version 1, which is one line.
const MAX_LINE: usize = 107;

/// What the kernel takes of what a client's own window has no room for yet, in bytes. By itself it takes
/// megabytes, tells of room only when it has sent a third of them, and so lets a client that reads slowly
/// look as one that does not read.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 << 10;

/// A TCP listener.
pub(super) struct Acceptor {
    listener: TcpListener,
    address: SocketAddr,
    proxies: Arc<[IpNet]>,
    first_byte: Duration,
}

/// A connection from which nothing was read yet.
pub(super) struct Accepted {
    stream: TcpStream,
    first_byte: Duration,
    /// It begins with a PROXY header.
    pub(super) behind_proxy: bool,
    /// The address of the other end: the client's, or a load balancer's.
    pub(super) address: String,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, options: &BindOptions) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            proxies: options.proxies.as_slice().into(),
            first_byte: options.first_byte_timeout,
        })
    }

    /// The address that was really bound.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        let (stream, address) = self.listener.accept().await?;
        // Nagle's algorithm off: the runtime gathers small packets itself, and knows better when all is
        // there. Fails only for a client that is gone already, which its first read will tell.
        let _ = stream.set_nodelay(true);
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
        let behind_proxy = contains(&self.proxies, address.ip());
        Ok(Accepted { stream, behind_proxy, first_byte: self.first_byte, address: address.to_string() })
    }
}

impl Accepted {
    /// The stream from its first byte of protocol on, and the client's address if a load balancer tells it.
    pub(super) async fn begin(self) -> io::Result<(Rewind, Option<String>)> {
        let mut stream = Rewind::new(self.stream);
        if !self.behind_proxy {
            return Ok((stream, None));
        }
        let client = read_proxy_header(&mut stream).await?;
        Ok((stream, client))
    }

    /// Waits for the client's first byte: where there is nothing to do before it.
    pub(super) async fn first_byte(&self) -> io::Result<()> {
        if self.first_byte.is_zero() {
            return Ok(());
        }
        // `readable` may be told of readiness that is not there; a peek knows.
        let peeked = timeout(self.first_byte, self.stream.peek(&mut [0])).await;
        peeked.map_err(|_| io::ErrorKind::TimedOut)?.map(|_| ())
    }
}

/// Whether an address is in one of the networks. An IPv4 address that comes over an IPv6 socket counts as
/// IPv4.
pub(crate) fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Reads a PROXY header, version 1 or 2, and nothing behind it. None: the load balancer speaks for itself.
async fn read_proxy_header(stream: &mut Rewind) -> io::Result<Option<String>> {
    let mut header = Vec::with_capacity(128);
    loop {
        if stream.read_buf(&mut header).await? == 0 {
            return Err(invalid("the connection ended in its PROXY header"));
        }
        let parsed = HeaderResult::parse(&header);
        // In the middle of a line the library takes what has not come yet, as the last port, for what is
        // wrong.
        let in_line = header.starts_with(b"PROXY ") && header.len() < MAX_LINE && !header.contains(&b'\n');
        if in_line || parsed.is_incomplete() {
            if header.len() > MAX_HEADER {
                return Err(invalid("the PROXY header is too long"));
            }
            continue;
        }
        let (length, client) = match &parsed {
            HeaderResult::V1(Ok(header)) => (header.header.len(), client_v1(&header.addresses)),
            HeaderResult::V2(Ok(header)) => (header.len(), client_v2(header)),
            _ => return Err(invalid("a load balancer's connection must begin with a PROXY header")),
        };
        let client = client.map(|client| client.to_string());
        stream.unread(header.split_off(length));
        return Ok(client);
    }
}

fn client_v1(addresses: &v1::Addresses) -> Option<SocketAddr> {
    match addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(tcp) => Some((tcp.source_address, tcp.source_port).into()),
        v1::Addresses::Tcp6(tcp) => Some((tcp.source_address, tcp.source_port).into()),
    }
}

fn client_v2(header: &v2::Header<'_>) -> Option<SocketAddr> {
    match (header.command, header.addresses) {
        (v2::Command::Local, _) => None,
        (v2::Command::Proxy, v2::Addresses::IPv4(ip)) => Some((ip.source_address, ip.source_port).into()),
        (v2::Command::Proxy, v2::Addresses::IPv6(ip)) => Some((ip.source_address, ip.source_port).into()),
        (v2::Command::Proxy, v2::Addresses::Unix(_) | v2::Addresses::Unspecified) => None,
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
