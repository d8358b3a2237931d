//! Settings of a listener that its connector uses: TLS, the opening of a WebSocket, and what
//! happens to a client that exceeds its rate.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use wireplug_base::units;

/// TLS, versions 1.2 and 1.3. The URLs `tls://`, `wss://` and `hybrid+tls://` of listeners and
/// `https://` of the control API need this table, and other URLs refuse it. The server checks the
/// files twice a second. It uses a changed file for new connections when the file no longer
/// changes. An invalid file is logged, and the server continues with the files that it has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TlsConfig {
    /// A PEM file with the server's certificate, and behind it those that issued it, but for the
    /// root; a path relative to the configuration file.
    pub certificate: PathBuf,
    /// A PEM file with the certificate's private key, without a password; a path relative to the
    /// configuration file. Let nobody else read it.
    pub key: PathBuf,
    /// A PEM file with the root certificates of clients; a path relative to the configuration file.
    /// Without this key, the server asks no client for a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub client_ca: Option<PathBuf>,
    /// A PEM file with lists of the client certificates that were revoked (CRLs, RFC 5280); a path
    /// relative to the configuration file. It must have the current list of each authority in
    /// `client-ca`, and of each authority below them that issues certificates: a certificate whose
    /// issuer has no list here is refused. A list that is out of date is still used, because
    /// refusing all clients would be worse; the log says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub client_crl: Option<PathBuf>,
    /// Whether a client may connect without a certificate, if `client-ca` is set. By default, every
    /// client needs one. The codec and the application of a listener see the subject of the
    /// certificate as the attribute `tls-client-subject`, and its SHA-256 as `tls-client-sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ClientCertificates")]
    pub client_certificates: Option<ClientCertificates>,
    /// Whether clients begin in the clear and switch to TLS when the codec says so (STARTTLS). Only
    /// for `tcp://` listeners, and for codecs that export `framer` and `tls-upgrade`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub starttls: bool,
}

impl TlsConfig {
    /// Creates a configuration with a certificate and its key, without certificates of clients.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let (certificate, key) = (certificate.into(), key.into());
        Self {
            certificate,
            key,
            client_ca: None,
            client_crl: None,
            client_certificates: None,
            starttls: false,
        }
    }

    /// Returns the files: the certificate, the key, and the root certificates of clients and the
    /// lists of those that were revoked, if there are any.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.certificate, &self.key].into_iter().chain(&self.client_ca).chain(&self.client_crl)
    }

    /// Returns the same configuration with its relative paths joined to `directory`.
    pub fn within(&self, directory: &std::path::Path) -> Self {
        Self {
            certificate: directory.join(&self.certificate),
            key: directory.join(&self.key),
            client_ca: self.client_ca.as_ref().map(|path| directory.join(path)),
            client_crl: self.client_crl.as_ref().map(|path| directory.join(path)),
            client_certificates: self.client_certificates,
            starttls: self.starttls,
        }
    }
}

/// Whether clients must have certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ClientCertificates {
    /// A client without a certificate is refused.
    Required,
    /// A client without a certificate is accepted. A certificate that a client shows must be valid.
    Optional,
}

/// How WebSocket connections open. The keys also apply to the requests of Socket.IO, which has no
/// subprotocols. A request that a list refuses gets an HTTP answer, and its connection counts as
/// `forbidden`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WebSocketConfig {
    /// The paths that are served, written as clients write them, without the query. Other paths get
    /// 404. Empty: all paths; for Socket.IO `/socket.io/`.
    #[schemars(with = "Vec<units::UrlPath>")]
    pub paths: Vec<String>,
    /// The origins whose pages may connect. Other origins get 403. Empty: all origins. A client
    /// that sends no origin is accepted: only browsers send an origin, and only browsers can be
    /// trusted to send the true one.
    #[schemars(with = "Vec<units::Origin>")]
    pub origins: Vec<String>,
    /// The subprotocols of the server, the preferred one first. The server chooses the first one
    /// that the client offers. If the client offers none of them, the connection opens without a
    /// subprotocol. Browsers refuse this connection if they offered any.
    #[schemars(with = "Vec<units::Subprotocol>")]
    pub subprotocols: Vec<String>,
    /// The header fields of the opening request that codec and application see as attributes, such
    /// as `authorization`. The attribute of a field is named `header:` and the field's name in
    /// lower case. A field that a client did not send has no attribute.
    #[schemars(with = "Vec<units::HeaderName>")]
    pub headers: Vec<String>,
    /// HTTP proxies, as networks in CIDR notation, that name their client in the header field
    /// `forwarded-header`. The address of the client is then the last one in that list that no
    /// trusted proxy has. Requests from other addresses cannot claim an address.
    #[schemars(with = "Vec<units::Network>")]
    pub trusted_proxies: Vec<IpNet>,
    /// The header field in which the trusted proxies name their client. The server reads only this
    /// field, because proxies pass on the other one as the client sent it.
    pub forwarded_header: ForwardedHeader,
    /// How often each client gets a ping (RFC 6455, section 5.5.2), so that proxies on the way do
    /// not cut a quiet connection. They usually do after 60 s. A client from which nothing comes
    /// after three pings is disconnected. Zero: no pings.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Duration")]
    pub ping_interval: Duration,
    /// Whether `/livez` and `/readyz` are answered, for the health checks of load balancers:
    /// `/livez` with 200, and `/readyz` with 503 while the server starts or ends, or has lost NATS.
    /// Such a request opens no WebSocket, whatever `paths` and `origins` say.
    pub health: bool,
}

/// A header field by which HTTP proxies name their client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, which nearly all proxies write.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// What happens to a client that exceeds its rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OverRate {
    /// The server reads the client more slowly.
    #[default]
    Delay,
    /// The connection of the client ends.
    Close,
}
