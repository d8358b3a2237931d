//! Listening sockets that another process has bound: an older process of this server, or a service
//! manager such as systemd.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockRef, Type};
use tokio::net::{TcpListener, UdpSocket, UnixListener};

use super::handover::invalid;
use super::{BoxError, HostPort};

/// Returns whether a socket listens on TCP at a host and a port. `false` if the port is 0.
pub fn is_tcp_at(socket: BorrowedFd<'_>, address: &HostPort) -> bool {
    is_tcp(socket) && is_bound_to(socket, address)
}

/// Returns whether a socket of UDP is bound to a host and a port. `false` if the port is 0.
pub(super) fn is_udp_at(socket: BorrowedFd<'_>, address: &HostPort) -> bool {
    is_udp(socket) && is_bound_to(socket, address)
}

/// Returns whether a socket of the file system listens at a path.
pub(super) fn is_unix_at(socket: BorrowedFd<'_>, path: &Path) -> bool {
    is_unix(socket) && unix_path(socket).is_some_and(|bound| is_same(&bound, path))
}

/// Takes over a socket that listens on TCP.
///
/// # Errors
/// Returns an error if it is another socket.
pub fn tcp(socket: OwnedFd) -> io::Result<TcpListener> {
    let socket = checked(socket, is_tcp, "a socket that listens on TCP")?;
    TcpListener::from_std(socket.into())
}

/// Takes over a bound socket of UDP.
pub(super) fn udp(socket: OwnedFd) -> io::Result<UdpSocket> {
    let socket = checked(socket, is_udp, "a socket of UDP")?;
    UdpSocket::from_std(socket.into())
}

/// Takes over a Unix domain socket that listens at this path.
pub(super) fn unix(socket: OwnedFd, path: &Path) -> io::Result<UnixListener> {
    let socket = checked(socket, is_unix, "a Unix domain socket that listens")?;
    if let Some(bound) = unix_path(socket.as_fd()).filter(|bound| !is_same(bound, path)) {
        return Err(invalid(format!("the socket that was handed over is bound to {}", bound.display())));
    }
    UnixListener::from_std(socket.into())
}

/// Returns the only socket of a connector that has one.
pub(super) fn only(sockets: Vec<OwnedFd>) -> Result<OwnedFd, BoxError> {
    let [socket] = <[OwnedFd; 1]>::try_from(sockets)
        .map_err(|sockets| format!("it listens on one socket, and {} were handed over", sockets.len()))?;
    Ok(socket)
}

/// Checks a socket, and makes it non-blocking, which that of a service manager may not be.
fn checked(socket: OwnedFd, is: fn(BorrowedFd<'_>) -> bool, wanted: &str) -> io::Result<OwnedFd> {
    if !is(socket.as_fd()) {
        return Err(invalid(format!("what was handed over is not {wanted}")));
    }
    SockRef::from(&socket).set_nonblocking(true)?;
    Ok(socket)
}

fn is_tcp(socket: BorrowedFd<'_>) -> bool {
    address_of(socket).is_some() && is_stream_that_listens(socket)
}

fn is_udp(socket: BorrowedFd<'_>) -> bool {
    address_of(socket).is_some() && SockRef::from(&socket).r#type().is_ok_and(|kind| kind == Type::DGRAM)
}

fn is_unix(socket: BorrowedFd<'_>) -> bool {
    let socket_ref = SockRef::from(&socket);
    let local = socket_ref.local_addr();
    local.is_ok_and(|local| local.domain() == Domain::UNIX) && is_stream_that_listens(socket)
}

fn is_stream_that_listens(socket: BorrowedFd<'_>) -> bool {
    let socket = SockRef::from(&socket);
    socket.r#type().is_ok_and(|kind| kind == Type::STREAM) && socket.is_listener().unwrap_or(false)
}

/// Returns the IP address and port to which a socket is bound.
fn address_of(socket: BorrowedFd<'_>) -> Option<SocketAddr> {
    SockRef::from(&socket).local_addr().ok()?.as_socket()
}

fn unix_path(socket: BorrowedFd<'_>) -> Option<PathBuf> {
    Some(SockRef::from(&socket).local_addr().ok()?.as_pathname()?.to_owned())
}

/// Returns whether two paths name one file. Each may lead through links, such as `/var/run`.
fn is_same(one: &Path, other: &Path) -> bool {
    one == other
        || one.canonicalize().ok().is_some_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

fn is_bound_to(socket: BorrowedFd<'_>, address: &HostPort) -> bool {
    let Some(bound) = address_of(socket).filter(|_| address.port != 0) else { return false };
    let Ok(mut addresses) = address.to_string().to_socket_addrs() else { return false };
    bound.port() == address.port && addresses.any(|at| at.ip() == bound.ip())
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpStream, UnixStream};

    use super::*;

    fn at(host: &str, port: u16) -> HostPort {
        HostPort { host: host.to_owned(), port }
    }

    #[tokio::test]
    async fn a_socket_is_known_by_its_kind_and_its_address() {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let port = tcp.local_addr().expect("it is bound").port();
        for (host, port, is) in [
            ("127.0.0.1", port, true),
            ("localhost", port, true),
            ("127.0.0.1", 0, false),
            ("127.0.0.1", port ^ 1, false),
            ("127.0.0.2", port, false),
            ("0.0.0.0", port, false),
            ("nobody.invalid", port, false),
        ] {
            assert_eq!(is_tcp_at(tcp.as_fd(), &at(host, port)), is, "{host}:{port}");
        }
        let here = at("127.0.0.1", port);
        assert!(!is_udp_at(tcp.as_fd(), &here));
        let udp = UdpSocket::bind(("127.0.0.1", port)).await.expect("UDP has ports of its own");
        assert!(is_udp_at(udp.as_fd(), &here) && !is_tcp_at(udp.as_fd(), &here));
        // A client's socket may have the address of its listener.
        let client = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
        let (accepted, _) = tcp.accept().await.expect("it is accepted");
        assert!(!is_tcp_at(accepted.as_fd(), &here));
        drop(client);
    }

    #[tokio::test]
    async fn a_socket_of_another_kind_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let duplicate = || listener.as_fd().try_clone_to_owned().expect("a duplicate");
        tcp(duplicate()).expect("it listens on TCP");
        let error = udp(duplicate()).expect_err("it is none").to_string();
        assert_eq!(error, "what was handed over is not a socket of UDP");
        let error = unix(duplicate(), Path::new("/tmp/x")).expect_err("it is none").to_string();
        assert_eq!(error, "what was handed over is not a Unix domain socket that listens");
        let (end, _other) = UnixStream::pair().expect("a pair");
        let file = end.as_fd().try_clone_to_owned().expect("a duplicate");
        assert!(tcp(file).is_err());
        assert!(only(vec![duplicate(), duplicate()]).is_err() && only(Vec::new()).is_err());
    }
}
