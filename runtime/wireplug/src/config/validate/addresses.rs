//! Listeners that would occupy the same address, as far as this can be known without binding them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::Conflict;
use crate::config::{ControlAddress, Key, ListenerConfig};
use wireplug_connectors::{HostPort, ListenUrl};

/// The schemes whose addresses are TCP ports.
const OVER_TCP: [&str; 7] = ["tcp", "ws", "hybrid", "tls", "wss", "hybrid+tls", "socketio"];

/// The address that a listener occupies, and its text.
pub(super) struct Taken {
    endpoint: Endpoint,
    text: String,
}

#[derive(PartialEq, Eq)]
enum Endpoint {
    /// A TCP port, for any protocol over TCP.
    Tcp(Host, u16),
    Udp(Host, u16),
    /// The path of a Unix domain socket.
    Path(PathBuf),
    /// An address of another connector.
    Other,
}

#[derive(PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    /// A host name. Its addresses are not known before it is bound.
    Name(String),
}

impl Host {
    fn of(address: &HostPort) -> Self {
        let bare = address.host.trim_start_matches('[').trim_end_matches(']');
        bare.parse().map_or_else(
            |_| Self::Name(address.host.to_lowercase()),
            |ip: IpAddr| Self::Ip(ip.to_canonical()),
        )
    }

    /// Returns whether the host stands for all addresses of the machine, IPv6 and IPv4.
    fn is_all(&self) -> bool {
        matches!(self, Self::Ip(IpAddr::V6(ip)) if ip.is_unspecified())
    }

    /// Returns whether sockets on the two hosts would share an address.
    fn overlaps(&self, other: &Self) -> bool {
        const ALL_OF_IPV4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        self == other
            || self.is_all()
            || other.is_all()
            || matches!((self, other), (Self::Ip(one), Self::Ip(two))
                if one.is_ipv4() && two.is_ipv4() && (*one == ALL_OF_IPV4 || *two == ALL_OF_IPV4))
    }
}

impl Taken {
    /// Returns the address of a listener. None if it is any free port, or if its connector refuses
    /// the URL.
    fn by_listener(url: &ListenUrl) -> Option<Self> {
        let tcp = OVER_TCP.contains(&url.scheme());
        let (endpoint, text) = match (url.scheme(), url.host_port()) {
            ("unix", _) => (Endpoint::Path(PathBuf::from(url.address())), url.to_string()),
            (_, Ok(address)) if address.port == 0 => return None,
            (_, Ok(address)) if tcp => (Endpoint::Tcp(Host::of(&address), address.port), address.to_string()),
            (_, Err(_)) if tcp => return None,
            ("udp", Ok(address)) => (Endpoint::Udp(Host::of(&address), address.port), url.to_string()),
            _ => (Endpoint::Other, url.to_string()),
        };
        Some(Self { endpoint, text })
    }

    /// Returns the address of the control API. None if it is any free port, or the default socket.
    pub(super) fn by_control(address: &ControlAddress) -> Option<Self> {
        let (endpoint, text) = match address {
            ControlAddress::Http(address) | ControlAddress::Https(address) if address.port() == 0 => {
                return None;
            }
            ControlAddress::Http(address) | ControlAddress::Https(address) => {
                (Endpoint::Tcp(Host::Ip(address.ip().to_canonical()), address.port()), address.to_string())
            }
            ControlAddress::Unix(path) => (Endpoint::Path(path.clone()), address.to_string()),
        };
        Some(Self { endpoint, text })
    }

    /// Returns why `other` cannot be bound as well, if it cannot. `whose` names the owner of this
    /// address.
    pub(super) fn clash(&self, other: &Self, whose: &str) -> Option<String> {
        let Self { endpoint, text } = self;
        let (one, two) = match (endpoint, &other.endpoint) {
            (Endpoint::Tcp(one, port), Endpoint::Tcp(two, other)) if port == other => (one, two),
            (Endpoint::Udp(one, port), Endpoint::Udp(two, other)) if port == other => (one, two),
            (Endpoint::Path(one), Endpoint::Path(two)) if one == two => {
                return Some(format!("{whose} has {text}"));
            }
            (Endpoint::Other, Endpoint::Other) if *text == other.text => {
                return Some(format!("{whose} has {text}"));
            }
            _ => return None,
        };
        if !one.overlaps(two) {
            return None;
        }
        if one == two {
            return Some(format!("{whose} has {text}"));
        }
        let both =
            if one.is_all() || two.is_all() { "; [::] is all addresses, those of IPv4 too" } else { "" };
        Some(format!("{whose} has {text}, so that {} cannot be bound{both}", other.text))
    }
}

/// Finds listeners that would occupy the same address. Returns the address of each listener.
pub(super) fn listeners(listeners: &[ListenerConfig], found: &mut Vec<Conflict>) -> Vec<(usize, Taken)> {
    let mut taken: Vec<(usize, Taken)> = Vec::new();
    for (index, listener) in listeners.iter().enumerate() {
        let Some(own) = ListenUrl::parse(&listener.url).ok().and_then(|url| Taken::by_listener(&url)) else {
            continue;
        };
        let clash =
            taken.iter().find_map(|(other, there)| Some((*other, there.clash(&own, "another listener")?)));
        if let Some((other, what)) = clash {
            let over_tcp = matches!(own.endpoint, Endpoint::Tcp(..));
            let hint = if over_tcp { "; hybrid:// is TCP and WebSocket on one port" } else { "" };
            found.push(Conflict { key: url(index), others: vec![url(other)], what: what + hint });
        }
        taken.push((index, own));
    }
    taken
}

/// Returns the key of the URL of a listener.
pub(super) fn url(listener: usize) -> Key {
    Key::default().name("listeners").index(listener).name("url")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Taken {
        Taken::by_listener(&ListenUrl::parse(text).expect("a URL")).expect("an address")
    }

    #[test]
    fn addresses_that_cannot_be_bound_together() {
        for (one, other) in [
            ("tcp://127.0.0.1:1", "ws://127.0.0.1:1"),
            ("tcp://0.0.0.0:1", "socketio://127.0.0.1:1"),
            ("tls://127.0.0.1:1", "wss://0.0.0.0:1"),
            ("tcp://[::]:1", "tcp://0.0.0.0:1"),
            ("tcp://127.0.0.1:1", "tcp://[::]:1/"),
            ("tcp://[::1]:1", "tcp://[::]:1"),
            ("tcp://[::]:1", "tcp://example.org:1"),
            ("tcp://localhost:1", "ws://LOCALHOST:1"),
            ("tcp://[::ffff:127.0.0.1]:1", "tcp://127.0.0.1:1"),
            ("tcp://[0:0:0:0:0:0:0:1]:1", "tcp://[::1]:1"),
            ("udp://0.0.0.0:1", "udp://[::]:1"),
            ("unix:///run/a", "unix:///run//a"),
            ("memory://a", "memory://a"),
        ] {
            for (one, other) in [(one, other), (other, one)] {
                let clash = taken(one).clash(&taken(other), "X");
                assert!(clash.is_some_and(|clash| clash.starts_with("X has ")), "{one} {other}");
            }
        }
    }

    #[test]
    fn addresses_that_can() {
        for (one, other) in [
            ("tcp://127.0.0.1:1", "tcp://127.0.0.1:2"),
            ("tcp://127.0.0.1:1", "tcp://127.0.0.2:1"),
            ("tcp://127.0.0.1:1", "udp://127.0.0.1:1"),
            ("tcp://127.0.0.1:1", "tcp://[::1]:1"),
            ("tcp://0.0.0.0:1", "tcp://[::1]:1"),
            // The name may stand for an IPv6 address.
            ("tcp://0.0.0.0:1", "tcp://localhost:1"),
            ("unix:///run/a", "unix:///run/b"),
            ("memory://a", "memory://b"),
        ] {
            for (one, other) in [(one, other), (other, one)] {
                assert_eq!(taken(one).clash(&taken(other), "X"), None, "{one} {other}");
            }
        }
    }
}
