//! A client's address, as a load balancer in front of it tells: the PROXY protocol, versions 1 and 2.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use ppp::{HeaderResult, PartialResult as _, v1, v2};
use tokio::io::AsyncReadExt as _;

use super::ByteStream;
use super::rewind::Rewind;

/// The longest PROXY header that is taken, in bytes: version 1 has at most 107, and version 2 needs 52 and
/// its extensions.
const MAX_HEADER: usize = 2048;

/// The longest header of version 1, which is one line.
const MAX_LINE: usize = 107;

/// Whether an address is in one of the networks. An IPv4 address that comes over an IPv6 socket counts as
/// IPv4.
pub(crate) fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Reads a PROXY header, version 1 or 2, and nothing behind it. None: the load balancer speaks for itself.
pub(super) async fn read_header<S: ByteStream>(stream: &mut Rewind<S>) -> io::Result<Option<String>> {
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
