//! The server to connect to, from its URL.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use url::Url;

use super::tls::{Tls, Trust};

/// A server that a client can reach.
pub(crate) struct Target {
    pub(super) url: String,
    pub(super) transport: Transport,
}

/// The transport to the server.
pub(super) enum Transport {
    Tcp { addresses: Vec<SocketAddr>, tls: Option<Tls>, websocket: bool },
    Unix(PathBuf),
    Udp(Vec<SocketAddr>),
}

impl Target {
    /// Parses a URL and resolves its host name. Over TLS, also reads the certificates that `trust`
    /// names.
    ///
    /// # Errors
    /// Returns an error if the URL is invalid, the host is unknown, or a certificate cannot be
    /// read.
    pub(crate) async fn find(server: &str, trust: &Trust) -> anyhow::Result<Self> {
        if let Some(path) = server.strip_prefix("unix://") {
            ensure!(Path::new(path).is_absolute(), "{server}: the path is absolute: unix:///PATH");
            return Ok(Self { url: server.to_owned(), transport: Transport::Unix(path.into()) });
        }
        let url = Url::parse(server)
            .with_context(|| format!("{server:?} is not a URL like tcp://127.0.0.1:3010"))?;
        let (encrypted, websocket) = match url.scheme() {
            "tcp" | "udp" => (false, false),
            "ws" => (false, true),
            "tls" => (true, false),
            "wss" => (true, true),
            "hybrid" => bail!("{server}: a client speaks tcp:// or ws:// to a listener at hybrid://"),
            "hybrid+tls" => {
                bail!("{server}: a client speaks tls:// or wss:// to a listener at hybrid+tls://")
            }
            _ => bail!("{server}: a client speaks tcp://, ws://, tls://, wss://, unix:// or udp://"),
        };
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .with_context(|| format!("{server}: the host is missing"))?;
        let port = url.port_or_known_default().with_context(|| format!("{server}: the port is missing"))?;
        let addresses = tokio::net::lookup_host(format!("{host}:{port}"))
            .await
            .with_context(|| format!("cannot find the host of {server}"))?
            .collect();
        let transport = match url.scheme() {
            "udp" => Transport::Udp(addresses),
            _ => {
                let tls = encrypted.then(|| Tls::new(host, trust, None)).transpose()?;
                Transport::Tcp { addresses, tls, websocket }
            }
        };
        Ok(Self { url: server.to_owned(), transport })
    }
}
