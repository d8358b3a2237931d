//! The other end of a connection.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The bits of an IPv6 address that a provider gives to one customer. The customer chooses the
/// other bits.
const NETWORK: u128 = !0 << 64;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// A client over TCP.
    Address(SocketAddr),
    /// A user of this machine, over the Unix socket. The kernel reports the user.
    User { uid: u32 },
}

/// The source of a connection. Connections and refused tokens are counted for each source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Source {
    /// An IPv4 address, or a network of 2^64 IPv6 addresses.
    Address(IpAddr),
    /// A user of this machine.
    User(u32),
}

/// The subject of the certificate that a client has shown. The handshake of TLS has verified the
/// certificate. `None` if there is none, or if its subject is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CertificateSubject(pub(super) Option<String>);

impl CertificateSubject {
    /// Takes the subject out of the attributes of a client over TLS.
    pub(super) fn of(attributes: Vec<(String, String)>) -> Self {
        let subject = attributes.into_iter().find(|(name, _)| name == "tls-client-subject");
        Self(subject.map(|(_, subject)| subject))
    }
}

impl Peer {
    pub(super) fn source(self) -> Source {
        match self {
            Self::Address(address) => Source::of(address.ip()),
            Self::User { uid } => Source::User(uid),
        }
    }
}

impl Source {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                Self::Address(Ipv6Addr::from_bits(address.to_bits() & NETWORK).into())
            }
            address => Self::Address(address),
        }
    }

    /// Returns whether this is an address that all users of this machine have.
    pub(super) fn is_loopback(self) -> bool {
        matches!(self, Self::Address(address) if address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one_source() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert!(of("::1").is_loopback() && of("127.0.0.2").is_loopback() && !of("10.0.0.1").is_loopback());
    }
}
