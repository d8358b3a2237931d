//! Settings of a listener that its connector heeds: TLS, the opening of a WebSocket, and what happens over a rate.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use wireplug_base::units;

/// TLS, 1.2 and 1.3, for the URLs `tls://`, `wss://` and `hybrid+tls://`, which need this table; others refuse it.
/// Its files are looked at twice a second: what has changed and settled holds for new connections. What is wrong
/// with it is logged, and all goes on as before.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TlsConfig {
    /// A PEM file with the server's certificate, and behind it those that issued it, but for the root; a path
    /// relative to the configuration file.
    pub certificate: PathBuf,
    /// A PEM file with the certificate's private key, without a password; a path relative to the configuration
    /// file. Let nobody else read it.
    pub key: PathBuf,
    /// A PEM file with the roots of clients' certificates; a path relative to the configuration file. Unless it is
    /// there, no client is asked for a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub client_ca: Option<PathBuf>,
    /// Whether a client may come without a certificate, where there is `client-ca`. Unless it is set, none may. Codec
    /// and application see its SHA-256 as the attribute `client-certificate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ClientCertificates")]
    pub client_certificates: Option<ClientCertificates>,
}

impl TlsConfig {
    /// With a certificate and its key, and none asked from clients.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let (certificate, key) = (certificate.into(), key.into());
        Self { certificate, key, client_ca: None, client_certificates: None }
    }

    /// Its files: the certificate, the key, and the roots of clients' certificates if they are asked for.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.certificate, &self.key].into_iter().chain(&self.client_ca)
    }

    /// With its paths, which are relative to `directory`, made whole.
    pub fn within(&self, directory: &std::path::Path) -> Self {
        Self {
            certificate: directory.join(&self.certificate),
            key: directory.join(&self.key),
            client_ca: self.client_ca.as_ref().map(|path| directory.join(path)),
            client_certificates: self.client_certificates,
        }
    }
}

/// Whether clients must have certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificates {
    /// Who has none is refused.
    Required,
    /// Who has none is let in. One that is shown must be valid.
    Optional,
}

/// How WebSocket connections open, and the requests of Socket.IO, which has no subprotocols. What a list refuses gets an
/// answer of HTTP, and is counted as `forbidden`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WebSocketConfig {
    /// The paths that are served, each as clients write it, without the query; others get 404. Empty: all; for
    /// Socket.IO `/socket.io/`.
    #[schemars(with = "Vec<units::UrlPath>")]
    pub paths: Vec<String>,
    /// The origins whose pages may connect; others get 403. Empty: all. A client that names no origin is let in:
    /// only browsers do, and only they can be relied on to name the true one.
    #[schemars(with = "Vec<units::Origin>")]
    pub origins: Vec<String>,
    /// The subprotocols that the server speaks, the best first: the first that the client offers is chosen. With a
    /// client that offers none of them the connection opens without, which browsers refuse if they offered any.
    #[schemars(with = "Vec<units::Subprotocol>")]
    pub subprotocols: Vec<String>,
}

/// What happens to a client over its rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OverRate {
    /// It is read more slowly.
    #[default]
    Delay,
    /// Its connection ends.
    Close,
}
