//! TLS of a server that is not a connector, such as the control API.

use std::io;
use std::time::Duration;

use super::{Tls, TlsFiles, Watch};
use crate::ByteStream;
use crate::certificates::Certificates;
use crate::prefixed_stream::PrefixedStream;
use crate::running_time::RunningTime;

/// TLS of a server, for all of its connections. Changed files are loaded until it is dropped.
pub struct ServerTls {
    tls: Tls,
    time: RunningTime,
    _watch: Watch,
}

/// A stream over TLS, and what is known of its client.
pub struct Secure {
    /// The stream.
    pub stream: Box<dyn ByteStream>,
    /// The attributes that a listener gives a client over TLS, such as `tls-client-subject`.
    pub attributes: Vec<(String, String)>,
}

impl ServerTls {
    /// Uses the files, and watches them for changes. Must be called in a runtime of tokio. `url`
    /// names the server in the log and in `certificates`, which records when the certificates in
    /// the files expire. `alpn` holds the ALPN names of the protocol inside TLS.
    pub fn start(
        files: TlsFiles,
        alpn: &'static [&'static str],
        url: String,
        certificates: &Certificates,
    ) -> Self {
        let (tls, watch) = files.start(alpn, url, certificates);
        Self { tls, time: RunningTime::default(), _watch: watch }
    }

    /// Performs the server's part of the handshake. A client that speaks HTTP without TLS gets an
    /// answer that says so. `first_byte` is the longest time until the client's first byte.
    ///
    /// # Errors
    /// Returns an error if the client has no valid certificate and needs one, leaves, or speaks no
    /// TLS.
    pub async fn accept(
        &self,
        stream: impl ByteStream + 'static,
        first_byte: Duration,
    ) -> io::Result<Secure> {
        let (stream, attributes) =
            self.tls.accept(PrefixedStream::new(stream), first_byte, &self.time).await?;
        Ok(Secure { stream: Box::new(stream), attributes })
    }
}
