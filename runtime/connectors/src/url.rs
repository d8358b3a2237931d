//! The URL of a listener.

use std::fmt;
use std::net::SocketAddr;

/// The URL of a listener, `SCHEME://ADDRESS`. The scheme selects a connector, and the connector
/// defines the form of the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenUrl {
    scheme: String,
    address: String,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address. An IPv6 address is in brackets.
    pub host: String,
    /// The port. 0 selects a free port.
    pub port: u16,
}

/// The reason why a text is not a URL of a listener, or why a connector cannot use the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The text is not `SCHEME://ADDRESS`.
    #[error("{0:?} is not a URL like tcp://127.0.0.1:3010")]
    NotAUrl(String),
    /// Nothing follows the scheme.
    #[error("{0}: the address behind {0} is missing")]
    NoAddress(String),
    /// More than a host and a port follows the scheme.
    #[error("a listener's URL is only {scheme}://HOST:PORT")]
    NotHostPort {
        /// The scheme.
        scheme: String,
    },
    /// The host is missing.
    #[error("the host is missing")]
    NoHost,
    /// An IPv6 address has no brackets.
    #[error("an IPv6 address stands in brackets, as in {scheme}://[::1]:3010")]
    NoBrackets {
        /// The scheme.
        scheme: String,
    },
    /// The port is missing.
    #[error("the port is missing")]
    NoPort,
    /// The port is not a number from 0 to 65535.
    #[error("{0:?} is not a port: a number up to 65535")]
    BadPort(String),
    /// The path of the file system is relative.
    #[error("the path must be absolute: {scheme}:// and then a third slash")]
    RelativePath {
        /// The scheme.
        scheme: String,
    },
}

impl ListenUrl {
    /// Parses `SCHEME://ADDRESS`. Does not use any resource of the system.
    ///
    /// # Errors
    /// Returns an error if the text is not such a URL.
    pub fn parse(listen: &str) -> Result<Self, UrlError> {
        let parts = listen.split_once("://").filter(|(scheme, _)| is_scheme(scheme));
        let (scheme, address) = parts.ok_or_else(|| UrlError::NotAUrl(listen.to_owned()))?;
        if address.is_empty() {
            return Err(UrlError::NoAddress(listen.to_owned()));
        }
        Ok(Self { scheme: scheme.to_owned(), address: address.to_owned() })
    }

    /// Returns the scheme, the part before `://`, which selects the connector.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Returns the address, the part after `://`, as it is written.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the address as a host and a port, for connectors whose addresses have the form
    /// `HOST:PORT`.
    ///
    /// # Errors
    /// Returns an error if the host or the port is missing or invalid, or if more follows them.
    pub fn host_port(&self) -> Result<HostPort, UrlError> {
        let address = self.address.strip_suffix('/').unwrap_or(&self.address);
        if address.contains(['/', '?', '#', '@']) {
            return Err(UrlError::NotHostPort { scheme: self.scheme.clone() });
        }
        // The colons of an IPv6 address are within its brackets.
        let name_end = address.rfind(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match address[name_end..].rfind(':') {
            Some(colon) => (&address[..name_end + colon], Some(&address[name_end + colon + 1..])),
            None => (address, None),
        };
        if host.is_empty() {
            return Err(UrlError::NoHost);
        }
        let has_brackets = host.starts_with('[');
        if has_brackets != host.ends_with(']') || (!has_brackets && host.contains(':')) {
            return Err(UrlError::NoBrackets { scheme: self.scheme.clone() });
        }
        let port = port.ok_or(UrlError::NoPort)?;
        let port = port.parse().map_err(|_| UrlError::BadPort(port.to_owned()))?;
        Ok(HostPort { host: host.to_owned(), port })
    }
}

/// Returns whether a text is a scheme in lower case (RFC 3986, section 3.1).
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
