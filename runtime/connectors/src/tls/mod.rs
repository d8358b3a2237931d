//! TLS, the layer of a connection that encrypts it.
//!
//! The configuration is loaded from files that may change while the listener runs. A handshake uses
//! the configuration that is current when it begins, and the connection keeps it.

mod files;
mod hello;
mod server;
mod stream;
mod watch;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ProtocolVersion, ServerConfig};
use tokio_util::task::AbortOnDropHandle;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use self::files::Loaded;
pub use self::files::{TlsError, load};
pub use self::hello::{UNEXPECTED, is_client_hello};
pub use self::server::{Secure, ServerTls};
use self::stream::Encrypted;
use super::ByteStream;
use super::prefixed_stream::PrefixedStream;
use crate::certificates::Certificates;
use crate::config::TlsConfig;
use crate::running_time::RunningTime;

/// A listener's TLS, for all of its connections.
#[derive(Clone)]
pub(super) struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

/// Reloads changed files until it is dropped.
pub(super) struct Watch {
    _task: AbortOnDropHandle<()>,
}

/// The files of TLS as they were loaded. They are not in use yet.
pub struct TlsFiles {
    files: TlsConfig,
    seen: watch::Look,
    loaded: Loaded,
}

impl TlsFiles {
    /// Loads the files.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or used. The error names the file and what to do.
    pub fn load(files: &TlsConfig) -> Result<Self, TlsError> {
        // The fingerprints are taken before the files are read, so that the watch notices a change
        // in between.
        let seen = watch::look(files);
        Ok(Self { files: files.clone(), seen, loaded: load(files)? })
    }

    /// Uses the files, and watches them for changes.
    fn start(self, alpn: &'static [&'static str], url: String, certificates: &Certificates) -> (Tls, Watch) {
        let Self { files, seen, loaded } = self;
        loaded.warn(&url, certificates);
        let tls = Tls(Arc::new(RwLock::new(loaded.for_protocol(alpn))));
        let watching = watch::watch(tls.clone(), files, seen, alpn, url, certificates.clone());
        (tls, Watch { _task: AbortOnDropHandle::new(tokio::spawn(watching)) })
    }
}

impl Tls {
    /// Loads the files, and watches them for changes. `url` names the listener in the log and in
    /// `certificates`, which records when the certificates in the files expire. `alpn` holds the
    /// ALPN names of the protocol inside TLS, if it has any.
    pub(super) fn start(
        files: &TlsConfig,
        alpn: &'static [&'static str],
        url: String,
        certificates: &Certificates,
    ) -> Result<(Self, Watch), TlsError> {
        Ok(TlsFiles::load(files)?.start(alpn, url, certificates))
    }

    fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, config: Arc<ServerConfig>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Performs the server's part of the handshake. Returns the stream and the attributes of the
    /// client. `first_byte` is the longest time until the client's first byte.
    pub(super) async fn accept<S: ByteStream>(
        &self,
        mut stream: PrefixedStream<S>,
        first_byte: Duration,
        time: &RunningTime,
    ) -> io::Result<(Encrypted<PrefixedStream<S>>, Vec<(String, String)>)> {
        match stream.first_byte(first_byte, time).await? {
            Some(hello::HANDSHAKE) => {}
            Some(_) => return Err(hello::refuse_plain(stream).await),
            // A health check of a load balancer.
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        let stream = TlsAcceptor::from(self.current()).accept(stream).await.map_err(explain)?;
        let (_, connection) = stream.get_ref();
        let version = connection.protocol_version().map(|version| match version {
            ProtocolVersion::TLSv1_2 => "1.2".to_owned(),
            ProtocolVersion::TLSv1_3 => "1.3".to_owned(),
            other => format!("{other:?}"),
        });
        let certificate = connection.peer_certificates().and_then(|chain| chain.first());
        let attributes = [
            ("tls-version", version),
            ("tls-sni", connection.server_name().map(str::to_owned)),
            ("tls-alpn", connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned())),
            ("tls-client-subject", certificate.and_then(|der| subject(der))),
            ("tls-client-sha256", certificate.map(|der| format!("{:x}", Sha256::digest(der)))),
        ];
        let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let attributes = attributes.collect();
        Ok((Encrypted(stream), attributes))
    }
}

/// Returns the subject of a certificate as RFC 4514 writes it, or `None` if it is empty or cannot
/// be read. The handshake has verified the certificate.
fn subject(der: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(der).ok()?;
    Some(certificate.tbs_certificate.subject.to_string()).filter(|subject| !subject.is_empty())
}

/// Converts an error of the handshake to one that says what the client did, for the log.
fn explain(error: io::Error) -> io::Error {
    let of_the_client = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return of_the_client("the client closed in its TLS handshake".to_owned());
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::AlertReceived(alert)) => {
            of_the_client(format!("the client broke the TLS handshake off: {alert:?}"))
        }
        Some(error) => of_the_client(format!("TLS handshake: {error}")),
        None => error,
    }
}
