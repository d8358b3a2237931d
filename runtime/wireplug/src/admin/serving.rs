//! Answers the requests of one connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::LINGER;
use super::access::Access;
use super::connections::Place;
use super::peer::{CertificateSubject, Peer};
use wireplug_connectors::ByteStream;
use wireplug_connectors::listening::{MAX_HEAD, Secure, ServerTls};

/// How long a request's head may take, also after another request on the same connection, and
/// before the first one the handshake of TLS.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes of that input are read. A client that sends more has had the time to read the
/// answer.
const LINGER_BYTES: u64 = 1 << 20;

/// The body of the answer to a client for which there is no room.
const FULL: &str = r#"{"error":"too many requests of this client are under way: try again later"}"#;

/// Answers the requests of a connection, unless the connection is closed first to make room for
/// another one.
pub(super) async fn serve_connection(
    socket: Box<dyn ByteStream>,
    (tls, access): (Option<Arc<ServerTls>>, Arc<Access>),
    peer: Peer,
    place: Arc<Place>,
    router: Router,
) {
    let router = router.layer(Extension(peer)).layer(Extension(Arc::clone(&place)));
    let connection = async {
        let (socket, subject) = match tls {
            None => (socket, CertificateSubject::default()),
            Some(tls) => match timeout(HEAD_TIMEOUT, tls.accept(socket, HEAD_TIMEOUT)).await {
                Ok(Ok(Secure { stream, attributes })) => (stream, CertificateSubject::of(attributes)),
                Ok(Err(error)) => return access.warn_of_handshake(peer, &error),
                Err(_) => return access.warn_of_handshake(peer, &io::ErrorKind::TimedOut.into()),
            },
        };
        let service = TowerToHyperService::new(router.layer(Extension(subject)));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(socket), service)
            .without_shutdown();
        let Ok(parts) = served.await else { return };
        // Closing while a refused upload still comes in would reset the connection, and the client
        // might never read the reason.
        let mut socket = parts.io.into_inner();
        if socket.shutdown().await.is_ok() {
            let mut rest = socket.take(LINGER_BYTES);
            let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
        }
    };
    tokio::select! {
        () = connection => {}
        () = place.closed() => {}
    }
}

/// Answers a client for which there is no place, if that is possible without waiting.
pub(super) async fn turn_away(mut socket: Box<dyn ByteStream>) {
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{FULL}",
        FULL.len()
    );
    let _ = timeout(Duration::ZERO, socket.write_all(answer.as_bytes())).await;
}
