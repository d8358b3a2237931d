//! The HTTP client of a service: its connections, TLS and HTTP/2.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::HttpConfig;

/// The largest head of a response, in bytes: the status and the headers. wireplug uses none of the
/// headers.
const MAX_HEAD: usize = 64 << 10;

/// How often an HTTP/2 connection with requests in flight is checked, and how long the answer to
/// the check may take. Many requests share such a connection. So without the check, all of them
/// would wait for a service that has vanished, one time-out after the other.
const PING: Duration = Duration::from_secs(5);

pub(super) type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Creates the client of a service. `is_secure` is true if a URL of the service is `https://`.
///
/// # Errors
/// Returns an error if there are no root certificates.
pub(super) fn new(config: &HttpConfig, is_secure: bool) -> anyhow::Result<HttpClient> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(config.connect_timeout));
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls(config, is_secure)?).https_or_http();
    let connector = match config.http2 {
        true => connector.enable_http2().wrap_connector(tcp),
        false => connector.enable_all_versions().wrap_connector(tcp),
    };
    let client = Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(config.keep_alive)
        .pool_max_idle_per_host(config.max_in_flight as usize)
        .http1_max_buf_size(MAX_HEAD)
        .http2_only(config.http2)
        .http2_max_header_list_size(MAX_HEAD as u32)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING)
        .build(connector);
    Ok(client)
}

fn tls(config: &HttpConfig, is_secure: bool) -> anyhow::Result<ClientConfig> {
    let roots = match &config.ca_file {
        _ if !is_secure => RootCertStore::empty(),
        Some(file) => read_roots(file)?,
        None => system_roots()?,
    };
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(tls.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}

/// Checks a file with root certificates.
///
/// # Errors
/// Returns an error if the file cannot be read or has no certificate.
pub(crate) fn check_roots(file: &Path) -> anyhow::Result<()> {
    read_roots(file).map(drop)
}

fn read_roots(file: &Path) -> anyhow::Result<RootCertStore> {
    let name = || file.display().to_string();
    let text = fs::read(file).with_context(name)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| anyhow::anyhow!("{error:?}")).with_context(name)?;
        roots.add(certificate).with_context(name)?;
    }
    ensure!(!roots.is_empty(), "{} has no certificate in PEM", name());
    Ok(roots)
}

fn system_roots() -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    ensure!(!roots.is_empty(), "this system has no root certificates: name a file with them, `http.ca-file`");
    Ok(roots)
}
