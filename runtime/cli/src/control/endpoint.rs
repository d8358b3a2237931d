//! The address of a control API, as an argument of a command.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use url::{Host, Position, Url};
use wireplug::admin::RuntimeFolder;
use wireplug::config::ControlAddress;
use wireplug_connectors::ByteStream;

use crate::link::{Identity, Tls, Trust};

/// How long a server may take to accept a connection. An answer may take longer, because the server
/// may have to compile.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The address of a control API. Over TCP it may have a host name, such as that of a tunnel.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Endpoint {
    /// The default socket of this user.
    Default(PathBuf),
    Unix(PathBuf),
    /// HTTP over TCP, or over TLS if the scheme of the URL is `https`.
    Http(Url),
}

impl Endpoint {
    pub(super) fn default_socket() -> Self {
        Self::Default(RuntimeFolder::default_socket())
    }

    /// Returns the URL that paths are appended to.
    pub(super) fn base(&self) -> anyhow::Result<Url> {
        match self {
            Self::Http(url) => Ok(url.join("/")?),
            Self::Default(_) | Self::Unix(_) => Ok(Url::parse("http://localhost/")?),
        }
    }

    /// Returns the port if the host is this machine.
    pub(super) fn local_port(&self) -> Option<u16> {
        let Self::Http(url) = self else { return None };
        let is_local = match url.host()? {
            Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => IpAddr::V6(address).to_canonical().is_loopback(),
        };
        url.port_or_known_default().filter(|_| is_local)
    }

    /// Connects to the server. Over TLS, trusts what `trust` names, and shows the certificate of
    /// `identity`.
    pub(super) async fn connect(
        &self,
        trust: &Trust,
        identity: Option<Identity<'_>>,
    ) -> anyhow::Result<Box<dyn ByteStream>> {
        let connect = async {
            let stream: Box<dyn ByteStream> = match self {
                Self::Default(path) => {
                    // If the folder does not exist, another user may have created one with a socket
                    // of their own in its place.
                    RuntimeFolder::find()?.ok_or(io::Error::from(io::ErrorKind::NotFound))?;
                    Box::new(UnixStream::connect(path).await?)
                }
                Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
                Self::Http(url) => {
                    let address = &url[Position::BeforeHost..Position::AfterHost];
                    let port = url.port_or_known_default().unwrap_or_default();
                    Box::new(TcpStream::connect(format!("{address}:{port}")).await?)
                }
            };
            anyhow::Ok(stream)
        };
        let connected = timeout(CONNECT_TIMEOUT, connect).await.context("it takes too long");
        let stream = connected.and_then(|connected| connected).with_context(|| {
            let how = match self {
                Self::Default(_) => {
                    "start the server with `wireplug serve --control`, or with [control] in its configuration; or, if \
                     it listens elsewhere or belongs to another user, give its address with --control"
                }
                Self::Unix(_) | Self::Http(_) => {
                    "start the server with `wireplug serve --control URL`, or with `listen` in [control] of its \
                     configuration"
                }
            };
            format!("cannot connect to {self}: {how}")
        })?;
        let secure = async {
            let Self::Http(url) = self else { return Ok(stream) };
            if url.scheme() != "https" {
                return Ok(stream);
            }
            let tls = Tls::new(&url[Position::BeforeHost..Position::AfterHost], trust, identity)?;
            let shaken = timeout(CONNECT_TIMEOUT, tls.connect(stream)).await;
            let stream: Box<dyn ByteStream> = Box::new(shaken.context("the TLS handshake takes too long")??);
            anyhow::Ok(stream)
        };
        secure.await.with_context(|| self.to_string())
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "{text:?} is not a URL like unix:///run/wireplug/control.sock, http://127.0.0.1:3011 or \
                 https://game.example:3011"
            )
        };
        if text.starts_with("unix:") {
            return match text.parse() {
                Ok(ControlAddress::Unix(path)) => Ok(Self::Unix(path)),
                _ => Err(bad()),
            };
        }
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        match Url::parse(&url) {
            Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(Self::Http(url)),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default(path) | Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Http(url) => f.write_str(url.as_str().trim_end_matches('/')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap_or_else(|why| panic!("{why}"))
    }

    #[test]
    fn the_same_addresses_are_taken_as_by_serve_and_names_too() {
        for (text, shown) in [
            ("unix:///run/control.sock", "unix:///run/control.sock"),
            ("http://127.0.0.1:3011", "http://127.0.0.1:3011"),
            ("127.0.0.1:3011", "http://127.0.0.1:3011"),
            ("[::1]:3011", "http://[::1]:3011"),
            ("localhost:3011", "http://localhost:3011"),
            ("https://game.example:3011/", "https://game.example:3011"),
        ] {
            assert_eq!(endpoint(text).to_string(), shown);
        }
        for text in ["", "unix://run/x", "tcp://127.0.0.1:1"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_generated_token_is_for_this_machine_alone() {
        for (text, port) in [
            ("127.0.0.1:3011", Some(3011)),
            ("[::1]:3011", Some(3011)),
            ("http://localhost", Some(80)),
            ("https://127.0.0.1:3011", Some(3011)),
            ("10.0.0.1:3011", None),
            ("localhost.example:3011", None),
            ("unix:///run/control.sock", None),
        ] {
            assert_eq!(endpoint(text).local_port(), port, "{text}");
        }
    }
}
