//! Listening sockets that another process has bound: the service manager, or the process that this
//! one takes the place of.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use socket2::SockRef;

/// The sockets that a server takes over instead of binding addresses. See
/// [`Server::inherit_sockets`](super::Server::inherit_sockets).
#[derive(Debug, Default)]
pub struct InheritedSockets(Vec<InheritedSocket>);

/// A listening socket of another process. A listener that listens at several addresses has several
/// descriptors.
#[derive(Debug)]
#[non_exhaustive]
pub struct InheritedSocket {
    /// Who takes the socket: the URL of a listener as it was asked for, where a port may be 0.
    /// Without it, the listener whose address the socket has takes it.
    pub key: Option<String>,
    /// The descriptors.
    pub descriptors: Vec<OwnedFd>,
    /// Whether another process keeps the socket when this one ends. Then the file of a Unix domain
    /// socket stays.
    pub stays: bool,
}

impl InheritedSocket {
    /// A socket of the process that this one takes the place of.
    pub fn of_process(key: impl Into<String>, descriptors: Vec<OwnedFd>) -> Self {
        Self { key: Some(key.into()), descriptors, stays: false }
    }

    /// A socket of the service manager, which keeps it.
    pub fn of_manager(descriptor: OwnedFd) -> Self {
        Self { key: None, descriptors: vec![descriptor], stays: true }
    }

    /// Returns another one with duplicates of the descriptors.
    ///
    /// # Errors
    /// Returns an error if the process has no descriptor left.
    pub fn duplicate(&self) -> io::Result<Self> {
        let descriptors = self.descriptors.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>()?;
        Ok(Self { key: self.key.clone(), descriptors, stays: self.stays })
    }

    /// Returns the first descriptor, for listeners that have one.
    #[cfg(feature = "control")]
    pub(crate) fn first(self) -> Option<OwnedFd> {
        self.descriptors.into_iter().next()
    }
}

impl FromIterator<InheritedSocket> for InheritedSockets {
    fn from_iter<I: IntoIterator<Item = InheritedSocket>>(sockets: I) -> Self {
        Self(sockets.into_iter().collect())
    }
}

impl InheritedSockets {
    /// Takes out the sockets with this key, or else all without a key that are for this address.
    pub(crate) fn take(
        &mut self,
        key: &str,
        is_for: impl Fn(BorrowedFd<'_>) -> bool,
    ) -> Option<InheritedSocket> {
        if let Some(index) = self.0.iter().position(|socket| socket.key.as_deref() == Some(key)) {
            return Some(self.0.remove(index));
        }
        let fits = |socket: &mut InheritedSocket| {
            socket.key.is_none() && socket.descriptors.iter().any(|descriptor| is_for(descriptor.as_fd()))
        };
        self.0.extract_if(.., fits).reduce(|mut all, next| {
            all.descriptors.extend(next.descriptors);
            all
        })
    }

    /// Returns the address of a socket without a key, which nobody has taken.
    pub(crate) fn unwanted(&self) -> Option<String> {
        let unwanted = self.0.iter().find(|socket| socket.key.is_none());
        unwanted.map(|socket| socket.descriptors.first().map_or_else(String::new, address))
    }
}

/// Returns the address of a socket, for people.
fn address(socket: &OwnedFd) -> String {
    let socket = SockRef::from(socket);
    let Ok(local) = socket.local_addr() else { return "no address".to_owned() };
    let kind = if socket.r#type().is_ok_and(|kind| kind == socket2::Type::DGRAM) { "udp" } else { "tcp" };
    match (local.as_socket(), local.as_pathname()) {
        (Some(address), _) => format!("{kind}://{address}"),
        (None, Some(path)) => format!("unix://{}", path.display()),
        (None, None) => "no address".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn tcp() -> OwnedFd {
        TcpListener::bind("127.0.0.1:0").expect("there is a free port").into()
    }

    #[test]
    fn a_key_comes_before_an_address_and_each_socket_goes_once() {
        let sockets = [
            InheritedSocket::of_manager(tcp()),
            InheritedSocket::of_process("tcp://127.0.0.1:0", vec![tcp()]),
            InheritedSocket::of_process("tcp://127.0.0.1:0", vec![tcp(), tcp()]),
            InheritedSocket::of_manager(tcp()),
        ];
        let mut sockets: InheritedSockets = sockets.into_iter().collect();
        let mut take = |key| {
            let socket = sockets.take(key, |_| true)?;
            Some((socket.descriptors.len(), socket.stays))
        };
        let taken = [take("tcp://127.0.0.1:0"), take("tcp://127.0.0.1:0"), take("other"), take("other")];
        assert_eq!(taken, [Some((1, false)), Some((2, false)), Some((2, true)), None]);
        assert_eq!(sockets.unwanted(), None);
    }

    #[test]
    fn what_nobody_wants_is_named_by_its_address() {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
        let port = udp.local_addr().expect("it is bound").port();
        let gone = InheritedSocket::of_process("tcp://127.0.0.1:1", vec![tcp()]);
        let mut sockets: InheritedSockets =
            [gone, InheritedSocket::of_manager(udp.into())].into_iter().collect();
        assert!(sockets.take("tcp://127.0.0.1:2", |_| false).is_none());
        assert_eq!(sockets.unwanted(), Some(format!("udp://127.0.0.1:{port}")));
    }
}
