//! Binds the addresses of listeners.
//!
//! A listener at `[::]` listens at all addresses of the machine, including those of IPv4, whatever
//! the system's default is. A listener with a host name listens at one of the addresses of that
//! name.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, UdpSocket, lookup_host};
use tracing::warn;

use super::HostPort;

/// The largest number of connections that the kernel queues until they are accepted. The kernel may
/// have a lower limit of its own.
const BACKLOG: u32 = 1024;

/// Listens on TCP.
///
/// # Errors
/// Returns an error if the name has no address, or none of its addresses can be bound.
pub(super) async fn tcp(address: &HostPort) -> io::Result<TcpListener> {
    first(address, tcp_at).await
}

/// Listens on TCP at one address.
///
/// # Errors
/// Returns an error if the address cannot be bound.
pub fn tcp_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Without this, a restarted server could not bind the address while connections of the previous
    // server linger.
    socket.set_reuseaddr(true)?;
    both_families(&SockRef::from(&socket), address)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Binds a UDP socket.
///
/// # Errors
/// Returns an error if the name has no address, or none of its addresses can be bound.
pub(super) async fn udp(address: &HostPort) -> io::Result<UdpSocket> {
    first(address, udp_at).await
}

fn udp_at(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::DGRAM,
        Some(socket2::Protocol::UDP),
    )?;
    both_families(&SockRef::from(&socket), address)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// Returns a client's address in its canonical form: a client that comes over IPv4 to a listener at
/// `[::]` has its IPv4 address.
pub(super) fn of_client(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Makes a socket that is bound to `[::]` accept IPv4 too.
fn both_families(socket: &SockRef<'_>, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() && address.ip().is_unspecified() { socket.set_only_v6(false) } else { Ok(()) }
}

/// Binds the first address of a host that can be bound. Logs a warning if the host has other
/// addresses, since nobody listens at those.
async fn first<L>(address: &HostPort, bind: impl Fn(SocketAddr) -> io::Result<L>) -> io::Result<L> {
    let mut addresses: Vec<_> = lookup_host(address.to_string()).await?.collect();
    addresses.dedup();
    let mut failed = None;
    for at in &addresses {
        match bind(*at) {
            Ok(bound) => {
                let others: Vec<_> =
                    addresses.iter().filter(|other| *other != at).map(SocketAddr::ip).collect();
                if !others.is_empty() {
                    let others = others.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
                    warn!(
                        "{} has several addresses: this listener is at {}, and nobody listens at {others}; \
                         add a listener with each address that clients use",
                        address.host,
                        at.ip()
                    );
                }
                return Ok(bound);
            }
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn every_address_of_the_machine_is_there_behind_the_unspecified_one_of_ipv6() {
        let any = HostPort { host: "[::]".to_owned(), port: 0 };
        let listener = match tcp(&any).await {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                eprintln!("left out: this machine has no IPv6");
                return;
            }
            listener => listener.expect("it can be bound"),
        };
        assert!(!SockRef::from(&listener).only_v6().expect("it is a socket of IPv6"));
        let port = listener.local_addr().expect("it is bound").port();
        TcpStream::connect(("127.0.0.1", port)).await.expect("IPv4 gets there");
        let (_, client) = listener.accept().await.expect("it is accepted");
        assert!(of_client(client).is_ipv4(), "{client}");
        // `config check` reports the same conflicts.
        for other in [format!("0.0.0.0:{port}"), format!("127.0.0.1:{port}")] {
            let error = tcp_at(other.parse().expect("an address")).expect_err("it is taken");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{other}");
        }

        let socket = udp(&any).await.expect("it can be bound");
        assert!(!SockRef::from(&socket).only_v6().expect("it is a socket of IPv6"));
    }

    #[tokio::test]
    async fn an_address_of_ipv6_is_only_that() {
        let Ok(listener) = tcp_at("[::1]:0".parse().expect("an address")) else {
            eprintln!("left out: this machine has no IPv6");
            return;
        };
        let port = listener.local_addr().expect("it is bound").port();
        tcp_at(SocketAddr::from(([127, 0, 0, 1], port))).expect("another listener can be there");
    }
}
