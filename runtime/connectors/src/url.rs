//! The URL of a listener.

use std::fmt;
use std::net::SocketAddr;

use anyhow::{Context as _, ensure};

/// The URL of a listener, `SCHEME://ADDRESS`: the scheme names a connector, whose own the address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenUrl {
    scheme: String,
    address: String,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address; an IPv6 address stands in brackets.
    pub host: String,
    /// The port; 0 takes a free one.
    pub port: u16,
}

impl ListenUrl {
    /// Reads `SCHEME://ADDRESS`, and touches nothing.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(listen: &str) -> anyhow::Result<Self> {
        let parts = listen.split_once("://").filter(|(scheme, _)| is_scheme(scheme));
        let (scheme, address) =
            parts.with_context(|| format!("{listen:?} is not a URL like tcp://127.0.0.1:3010"))?;
        ensure!(!address.is_empty(), "{listen}: the address behind {scheme}:// is missing");
        Ok(Self { scheme: scheme.to_owned(), address: address.to_owned() })
    }

    /// What stands before `://`: which connector it is.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What stands behind `://`, as it is written.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address as `HOST:PORT`, for a connector whose addresses are so.
    ///
    /// # Errors
    /// Where host or port are missing, or more follows them.
    pub fn host_port(&self) -> anyhow::Result<HostPort> {
        let address = self.address.strip_suffix('/').unwrap_or(&self.address);
        ensure!(
            !address.contains(['/', '?', '#', '@']),
            "a listener's URL is only {}://HOST:PORT",
            self.scheme
        );
        // The colons of an IPv6 address stand in its brackets.
        let name_end = address.rfind(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match address[name_end..].rfind(':') {
            Some(colon) => (&address[..name_end + colon], Some(&address[name_end + colon + 1..])),
            None => (address, None),
        };
        ensure!(!host.is_empty(), "the host is missing");
        ensure!(
            host.starts_with('[') == host.ends_with(']') && (host.starts_with('[') || !host.contains(':')),
            "an IPv6 address stands in brackets, as in {}://[::1]:3010",
            self.scheme
        );
        let port = port.context("the port is missing")?;
        let port =
            port.parse().ok().with_context(|| format!("{port:?} is not a port: a number up to 65535"))?;
        Ok(HostPort { host: host.to_owned(), port })
    }
}

/// As RFC 3986, section 3.1, has it, in lower case.
pub(super) fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.address)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        Self { host, port: address.port() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_port(listen: &str) -> Result<(String, u16), String> {
        let parsed = ListenUrl::parse(listen).and_then(|url| url.host_port());
        parsed.map(|HostPort { host, port }| (host, port)).map_err(|error| error.to_string())
    }

    #[test]
    fn hosts_and_ports() {
        for (listen, host, port) in [
            ("tcp://127.0.0.1:3010", "127.0.0.1", 3010),
            ("ws://localhost:0/", "localhost", 0),
            ("ws://a:80", "a", 80),
            ("hybrid://[::1]:65535", "[::1]", 65535),
        ] {
            assert_eq!(host_port(listen), Ok((host.to_owned(), port)), "{listen}");
        }
        for (listen, wrong) in [
            ("127.0.0.1:3010", "\"127.0.0.1:3010\" is not a URL like tcp://127.0.0.1:3010"),
            ("TCP://a:1", "\"TCP://a:1\" is not a URL like tcp://127.0.0.1:3010"),
            ("tcp://", "tcp://: the address behind tcp:// is missing"),
            ("tcp://:1", "the host is missing"),
            ("tcp://a", "the port is missing"),
            ("tcp://[::1]", "the port is missing"),
            ("tcp://::1:3", "an IPv6 address stands in brackets, as in tcp://[::1]:3010"),
            ("tcp://a:65536", "\"65536\" is not a port: a number up to 65535"),
            ("tcp://a:1/path", "a listener's URL is only tcp://HOST:PORT"),
            ("tcp://a:1?x", "a listener's URL is only tcp://HOST:PORT"),
        ] {
            assert_eq!(host_port(listen), Err(wrong.to_owned()), "{listen}");
        }
    }
}
