//! The PROXY protocol, versions 1 and 2, by which a load balancer reports a client's address.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use ppp::{PartialResult as _, v1, v2};
use tokio::io::AsyncReadExt as _;

use super::ByteStream;
use super::prefixed_stream::PrefixedStream;

/// The longest header of version 1, which is one line.
const MAX_LINE: usize = 107;

/// The error for a connection that does not begin with a header.
const NO_HEADER: &str = "a load balancer's connection must begin with a PROXY header";

/// The length in bytes of the fixed part of a version 2 header: the signature, the command, the
/// family, and the length of the rest.
const FIXED: usize = 16;

/// The longest addresses of version 2, in bytes: two paths of Unix sockets. The part of a header
/// that follows the addresses is skipped and takes no memory, so a load balancer may send as much
/// of it as the protocol allows (64 KiB).
const MAX_ADDRESSES: u16 = 216;

/// The offset of the byte with the version and the command in a version 2 header.
const VERSION_COMMAND: usize = 12;
/// The value of that byte for a connection that the load balancer opens on its own behalf.
const LOCAL: u8 = 0x20;

/// The error for a connection that ends within its header.
const ENDED: &str = "the connection ended in its PROXY header";

/// Returns whether an address is in one of the networks. An IPv4 address that comes over an IPv6
/// socket counts as IPv4.
pub fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Reads a PROXY header, version 1 or 2, and no byte after it. Returns the client's address, or
/// `None` if the header has none, such as on a connection that the load balancer opens on its own
/// behalf.
///
/// # Errors
/// Returns an error of kind [`io::ErrorKind::UnexpectedEof`] if the connection ends without a byte,
/// as health checks of load balancers do, and one of kind [`io::ErrorKind::InvalidData`] if the
/// header is invalid or incomplete.
pub(super) async fn read_header<S: ByteStream>(
    stream: &mut PrefixedStream<S>,
) -> io::Result<Option<SocketAddr>> {
    let client = read(stream).await?;
    stream.begin_client();
    Ok(client)
}

async fn read<S: ByteStream>(stream: &mut PrefixedStream<S>) -> io::Result<Option<SocketAddr>> {
    let mut header = Vec::with_capacity(FIXED + usize::from(MAX_ADDRESSES));
    loop {
        if stream.read_buf(&mut header).await? == 0 {
            return Err(match header.len() {
                0 => io::ErrorKind::UnexpectedEof.into(),
                _ => invalid(ENDED),
            });
        }
        let begin = header.len().min(v2::PROTOCOL_PREFIX.len());
        if header[..begin] == v2::PROTOCOL_PREFIX[..begin] {
            if header.len() < FIXED {
                continue;
            }
            return read_v2(stream, header).await;
        }
        // In an incomplete line the library takes a part that has not arrived, such as the last
        // port, for an invalid one.
        if header.starts_with(b"PROXY ") && header.len() < MAX_LINE && !header.contains(&b'\n') {
            continue;
        }
        let (length, client) = match v1::Header::try_from(&header[..]) {
            Ok(line) => (line.header.len(), client_v1(&line.addresses)),
            Err(error) if error.is_incomplete() && header.len() < MAX_LINE => continue,
            Err(_) => return Err(invalid(NO_HEADER)),
        };
        stream.unread(header.split_off(length));
        return Ok(client);
    }
}

/// Reads the rest of a version 2 header. `header` holds its fixed part at least.
async fn read_v2<S: ByteStream>(
    stream: &mut PrefixedStream<S>,
    mut header: Vec<u8>,
) -> io::Result<Option<SocketAddr>> {
    stream.unread(header.split_off(FIXED));
    let length = u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]);
    // If the load balancer opens a connection on its own behalf, the family and the addresses have
    // no meaning (section 2.2).
    let local = header[VERSION_COMMAND] == LOCAL;
    let kept = if local { 0 } else { length.min(MAX_ADDRESSES) };
    header.resize(FIXED + usize::from(kept), 0);
    stream.read_exact(&mut header[FIXED..]).await.map_err(ended)?;
    // The library gets the header without the part that is skipped.
    header[FIXED - 2..FIXED].copy_from_slice(&kept.to_be_bytes());
    let client = match v2::Header::try_from(&header[..]) {
        _ if local => None,
        Ok(header) => client_v2(&header.addresses),
        Err(_) => return Err(invalid(NO_HEADER)),
    };
    let rest = u64::from(length - kept);
    if rest > 0 && tokio::io::copy(&mut stream.take(rest), &mut tokio::io::sink()).await? < rest {
        return Err(invalid(ENDED));
    }
    Ok(client)
}

fn client_v1(addresses: &v1::Addresses) -> Option<SocketAddr> {
    match addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(tcp) => Some((tcp.source_address, tcp.source_port).into()),
        v1::Addresses::Tcp6(tcp) => Some((tcp.source_address, tcp.source_port).into()),
    }
}

fn client_v2(addresses: &v2::Addresses) -> Option<SocketAddr> {
    match addresses {
        v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    }
}

/// Converts an error of reading a part of a header.
fn ended(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { invalid(ENDED) } else { error }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
