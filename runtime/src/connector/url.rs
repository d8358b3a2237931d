//! The URL of a listener.

use std::fmt;

use anyhow::{Context as _, bail};
use url::Url;

/// The URL of a listener: a transport, and the address where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenUrl {
    /// How clients connect.
    pub transport: Transport,
    /// A name or an address; an IPv6 address stands in brackets.
    pub host: String,
    /// The port; 0 takes a free one.
    pub port: u16,
}

/// How clients connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP: `tcp://`.
    Tcp,
    /// WebSocket: `ws://`.
    WebSocket,
    /// TCP and WebSocket on one port: `hybrid://`.
    Hybrid,
}

impl ListenUrl {
    /// Reads `SCHEME://HOST:PORT`, and touches no network.
    ///
    /// # Errors
    /// Where it is no URL, its scheme is no transport, host or port are missing, or more follows them.
    pub fn parse(listen: &str) -> anyhow::Result<Self> {
        let url = Url::parse(listen)
            .with_context(|| format!("{listen:?} is not a URL like tcp://127.0.0.1:3010"))?;
        let transport = match url.scheme() {
            "tcp" => Transport::Tcp,
            "ws" => Transport::WebSocket,
            "hybrid" => Transport::Hybrid,
            scheme => {
                bail!(
                    "{listen}: unknown transport {scheme:?}: use tcp, ws or hybrid (tcp and ws on one port)"
                )
            }
        };
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .with_context(|| format!("{listen}: the host is missing"))?;
        // `ws` has a default port, and a URL does not keep it.
        let port = url.port_or_known_default().with_context(|| format!("{listen}: the port is missing"))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            bail!("{listen}: a listener's URL is only SCHEME://HOST:PORT");
        }
        Ok(Self { transport, host: host.to_owned(), port })
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Tcp => "tcp",
            Transport::WebSocket => "ws",
            Transport::Hybrid => "hybrid",
        };
        write!(f, "{scheme}://{}", self.address())
    }
}
