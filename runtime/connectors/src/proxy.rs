//! A client's address, as a load balancer in front of it tells: the PROXY protocol, versions 1 and
//! 2.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use ppp::{PartialResult as _, v1, v2};
use tokio::io::AsyncReadExt as _;

use super::ByteStream;
use super::prefixed_stream::PrefixedStream;

/// The longest header of version 1, which is one line.
const MAX_LINE: usize = 107;

/// The error for a connection that begins otherwise.
const NO_HEADER: &str = "a load balancer's connection must begin with a PROXY header";

/// What a header of version 2 begins with: the signature, the command, the family and how long the
/// rest is.
const FIXED: usize = 16;

/// The longest addresses of version 2, two paths of Unix sockets. What a header has behind them is
/// skipped, and takes no memory: so a load balancer may send as much of it as the protocol allows,
/// 64 KiB.
const MAX_ADDRESSES: u16 = 216;

/// Where version 2 has its version and its command, and both for a connection of the load
/// balancer's own.
const VERSION_COMMAND: usize = 12;
const LOCAL: u8 = 0x20;

/// What is said of a connection that ends too early.
const ENDED: &str = "the connection ended in its PROXY header";

/// Whether an address is in one of the networks. An IPv4 address that comes over an IPv6 socket
/// counts as IPv4.
pub fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Reads a PROXY header, version 1 or 2, and nothing behind it. None: the load balancer speaks for
/// itself.
///
/// # Errors
/// Returns [`io::ErrorKind::UnexpectedEof`] where the connection ends without a byte, as a load
/// balancer's that looks whether somebody is here.
pub(super) async fn read_header<S: ByteStream>(stream: &mut PrefixedStream<S>) -> io::Result<Option<String>> {
    let client = read(stream).await?;
    stream.begin_client();
    Ok(client)
}

async fn read<S: ByteStream>(stream: &mut PrefixedStream<S>) -> io::Result<Option<String>> {
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
        // In the middle of a line the library takes what has not come yet, as the last port, for
        // what is wrong.
        if header.starts_with(b"PROXY ") && header.len() < MAX_LINE && !header.contains(&b'\n') {
            continue;
        }
        let (length, client) = match v1::Header::try_from(&header[..]) {
            Ok(line) => (line.header.len(), client_v1(&line.addresses)),
            Err(error) if error.is_incomplete() && header.len() < MAX_LINE => continue,
            Err(_) => return Err(invalid(NO_HEADER)),
        };
        let client = client.map(|client| client.to_string());
        stream.unread(header.split_off(length));
        return Ok(client);
    }
}

/// Reads the rest of a header of version 2, of which at least the fixed part has come.
async fn read_v2<S: ByteStream>(
    stream: &mut PrefixedStream<S>,
    mut header: Vec<u8>,
) -> io::Result<Option<String>> {
    stream.unread(header.split_off(FIXED));
    let length = u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]);
    // On a connection of the load balancer's own neither the family nor the block means anything
    // (section 2.2).
    let local = header[VERSION_COMMAND] == LOCAL;
    let kept = if local { 0 } else { length.min(MAX_ADDRESSES) };
    header.resize(FIXED + usize::from(kept), 0);
    stream.read_exact(&mut header[FIXED..]).await.map_err(ended)?;
    // The library is given the header without what is skipped.
    header[FIXED - 2..FIXED].copy_from_slice(&kept.to_be_bytes());
    let client = match v2::Header::try_from(&header[..]) {
        _ if local => None,
        Ok(header) => client_v2(&header.addresses).map(|client| client.to_string()),
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

/// What it means that a part of a header cannot be read.
fn ended(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { invalid(ENDED) } else { error }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
