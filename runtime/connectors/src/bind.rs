//! Binds the addresses of listeners.
//!
//! A listener at `[::]` listens at all addresses of the machine, including those of IPv4, whatever
//! the system's default is. A listener with a host name listens at all addresses of that name that
//! the machine has; over UDP it listens at one of them.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::task::Poll;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, lookup_host};
use tracing::warn;

use super::{BoxError, HostPort, inherited};

/// The largest number of connections that the kernel queues until they are accepted. The kernel may
/// have a lower limit of its own.
const BACKLOG: u32 = 1024;

/// How often a free port is selected anew, because another address of the name has it in use.
const TRIES: usize = 16;

/// The sockets of a listener on TCP: one for each address of its host.
#[derive(Debug)]
pub(super) struct TcpListeners {
    /// At least one.
    sockets: Vec<TcpListener>,
    /// The socket that is asked first. The next one is asked first after each client, so that no
    /// address starves another one.
    first: usize,
}

impl TcpListeners {
    /// Listens at all addresses of a host that this machine has. Logs a warning for those that it
    /// does not have. With port 0, all addresses get the same free port.
    ///
    /// # Errors
    /// Returns an error if the name has no address of this machine, or if one of its addresses
    /// cannot be bound.
    pub(super) async fn bind(address: &HostPort) -> io::Result<Self> {
        Self::bind_all(address, &resolve(address).await?)
    }

    fn bind_all(address: &HostPort, addresses: &[SocketAddr]) -> io::Result<Self> {
        let mut bound = Self::try_bind(address, addresses);
        for _ in 1..TRIES {
            match &bound {
                Err(error) if address.port == 0 && error.kind() == io::ErrorKind::AddrInUse => {
                    bound = Self::try_bind(address, addresses);
                }
                _ => break,
            }
        }
        bound
    }

    fn try_bind(address: &HostPort, addresses: &[SocketAddr]) -> io::Result<Self> {
        let mut sockets: Vec<TcpListener> = Vec::new();
        let mut absent = None;
        for at in addresses {
            let port =
                sockets.first().map_or(Ok(at.port()), |first| first.local_addr().map(|at| at.port()))?;
            match tcp_at(SocketAddr::new(at.ip(), port)) {
                Ok(socket) => sockets.push(socket),
                // Host files often have addresses of IPv6 on machines without IPv6.
                Err(error) if is_absent(&error) && addresses.len() > 1 => {
                    let (host, ip) = (&address.host, at.ip());
                    warn!(%host, %ip, %error, "this machine does not have one of the host's addresses");
                    absent = Some(error);
                }
                Err(error) => return Err(with_address(at.ip(), addresses, error)),
            }
        }
        if sockets.is_empty() {
            return Err(absent.unwrap_or_else(no_address));
        }
        Ok(Self { sockets, first: 0 })
    }

    /// Returns the address at which clients connect: the host as it was configured, if that is
    /// several addresses, with the port that was bound.
    ///
    /// # Errors
    /// Returns an error if the system does not report the address of a socket.
    pub(super) fn address(&self, configured: &HostPort) -> io::Result<HostPort> {
        let bound = self.sockets[0].local_addr()?;
        Ok(match self.sockets.len() {
            1 => bound.into(),
            _ => HostPort { host: configured.host.clone(), port: bound.port() },
        })
    }

    /// Listens on the sockets of another process.
    ///
    /// # Errors
    /// Returns an error if there is none, or if one is not a socket that listens on TCP.
    pub(super) fn inherit(sockets: Vec<OwnedFd>) -> Result<Self, BoxError> {
        if sockets.is_empty() {
            return Err("no socket was handed over".into());
        }
        let sockets = sockets.into_iter().map(inherited::tcp).collect::<io::Result<_>>()?;
        Ok(Self { sockets, first: 0 })
    }

    /// Returns duplicates of the sockets, for another process.
    ///
    /// # Errors
    /// Returns an error if the process has no descriptor left.
    pub(super) fn duplicates(&self) -> io::Result<Vec<OwnedFd>> {
        self.sockets.iter().map(|socket| socket.as_fd().try_clone_to_owned()).collect()
    }

    /// Returns the next client, whichever address it connects to.
    ///
    /// # Errors
    /// Returns the system's error.
    pub(super) async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| {
            let count = self.sockets.len();
            for index in (self.first..self.first + count).map(|index| index % count) {
                if let Poll::Ready(accepted) = self.sockets[index].poll_accept(cx) {
                    self.first = (index + 1) % count;
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Returns whether an address cannot be bound because the machine does not have it.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
}

/// Adds an address to an error, if the host has several.
fn with_address(ip: IpAddr, addresses: &[SocketAddr], error: io::Error) -> io::Error {
    if addresses.len() == 1 { error } else { io::Error::new(error.kind(), format!("{ip}: {error}")) }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

/// Returns the addresses of a host, each once.
async fn resolve(address: &HostPort) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for at in lookup_host(address.to_string()).await? {
        if !addresses.contains(&at) {
            addresses.push(at);
        }
    }
    Ok(addresses)
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
    let addresses = resolve(address).await?;
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
    Err(failed.unwrap_or_else(no_address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_address_of_the_machine_is_there_behind_the_unspecified_one_of_ipv6() {
        let any = HostPort { host: "[::]".to_owned(), port: 0 };
        let mut listener = match TcpListeners::bind(&any).await {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                eprintln!("left out: this machine has no IPv6");
                return;
            }
            listener => listener.expect("it can be bound"),
        };
        assert!(!SockRef::from(&listener.sockets[0]).only_v6().expect("it is a socket of IPv6"));
        let port = listener.address(&any).expect("it is bound").port;
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
    async fn a_host_with_several_addresses_is_there_at_each() {
        let host = HostPort { host: "several.example".to_owned(), port: 0 };
        let at = |ip: [u8; 4]| SocketAddr::from((ip, 0));
        // The second one is of a network that is for documentation, so nobody has it.
        let addresses = [at([127, 0, 0, 1]), at([203, 0, 113, 1]), at([127, 0, 0, 2])];
        let mut listener = TcpListeners::bind_all(&host, &addresses).expect("two can be bound");
        let bound = listener.address(&host).expect("it is bound");
        assert_eq!(bound.host, host.host);
        let mut clients = Vec::new();
        for ip in ["127.0.0.1", "127.0.0.2", "127.0.0.1"] {
            clients.push(TcpStream::connect((ip, bound.port)).await.expect("it listens there"));
            let (_, client) = listener.accept().await.expect("it is accepted");
            assert_eq!(client, clients.last().unwrap().local_addr().unwrap());
        }

        // One address that is in use is an error that names the address. It comes first, because
        // another program may have the port at the other one.
        let taken = tcp_at(at([127, 0, 0, 3])).expect("it can be bound");
        let port = taken.local_addr().expect("it is bound").port();
        let host = HostPort { port, ..host };
        let addresses = [[127, 0, 0, 3], [127, 0, 0, 1]].map(|ip| SocketAddr::from((ip, port)));
        let error = TcpListeners::bind_all(&host, &addresses).expect_err("one is taken");
        assert!(error.to_string().starts_with("127.0.0.3: "), "{error}");
        // If none of them is the machine's, nobody could connect.
        let error = TcpListeners::bind_all(&host, &[at([203, 0, 113, 1]), at([203, 0, 113, 2])]);
        assert_eq!(error.expect_err("nobody has them").kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[tokio::test]
    async fn an_address_of_ipv6_is_only_that() {
        let bind = || tcp_at("[::1]:0".parse().expect("an address"));
        if bind().is_err() {
            eprintln!("left out: this machine has no IPv6");
            return;
        }
        // Another program may have one of the ports there.
        let is_free = (0..TRIES).any(|_| {
            let listener = bind().expect("it can be bound");
            let port = listener.local_addr().expect("it is bound").port();
            tcp_at(SocketAddr::from(([127, 0, 0, 1], port))).is_ok()
        });
        assert!(is_free, "another listener can be there");
    }
}
