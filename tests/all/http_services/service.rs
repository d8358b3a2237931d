//! A service that a test starts, and the requests that it has received.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use wireplug::config::TlsConfig;
use wireplug_tests::until;

/// A service. It ends with its connections when it is dropped.
pub(super) struct Service {
    pub(super) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    open: Arc<AtomicUsize>,
    close: Arc<Notify>,
    task: AbortHandle,
}

/// A request that a service has received.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// How many connections came before its own.
    pub(super) connection: usize,
    pub(super) version: Version,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Received {
    /// Returns the value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

/// How a service speaks HTTP.
pub(super) enum Protocol {
    Http1,
    Http2,
    /// Over TLS, as the handshake says.
    Tls(TlsAcceptor),
}

impl Protocol {
    /// Returns TLS with the certificate in these files, for clients that speak one of these
    /// protocols.
    pub(super) fn tls(files: &TlsConfig, protocols: &[&str]) -> Self {
        let certificates = CertificateDer::pem_file_iter(&files.certificate).expect("a file");
        let certificates = certificates.collect::<Result<_, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(&files.key).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("there are some");
        let mut config = config.with_no_client_auth().with_single_cert(certificates, key).expect("they fit");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self::Tls(TlsAcceptor::from(Arc::new(config)))
    }
}

type Answer = Arc<dyn Fn(Received) -> BoxFuture<'static, Response<Full<Bytes>>> + Send + Sync>;

impl Service {
    /// Starts a service that answers each request with its body.
    pub(super) async fn echo() -> Self {
        Self::start(Protocol::Http1, |request| async move { answer(200, request.body) }).await
    }

    /// Starts a service that answers each request with its body, after it has taken a permit.
    pub(super) async fn holding(protocol: Protocol, permits: &Arc<Semaphore>) -> Self {
        let permits = Arc::clone(permits);
        Self::start(protocol, move |request| {
            let permits = Arc::clone(&permits);
            async move {
                permits.acquire().await.expect("it is open").forget();
                answer(200, request.body)
            }
        })
        .await
    }

    /// Starts a service.
    pub(super) async fn start<F>(
        protocol: Protocol,
        answer: impl Fn(Received) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::at(listener, protocol, answer)
    }

    /// Starts a service where this socket listens.
    pub(super) fn at<F>(
        listener: TcpListener,
        protocol: Protocol,
        answer: impl Fn(Received) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let answer: Answer = Arc::new(move |request| Box::pin(answer(request)));
        let address = listener.local_addr().expect("it is bound");
        let (received, open) = (Arc::<Mutex<Vec<Received>>>::default(), Arc::<AtomicUsize>::default());
        let close = Arc::new(Notify::new());
        let closed = Arc::clone(&close);
        let (to, counted, protocol) = (Arc::clone(&received), Arc::clone(&open), Arc::new(protocol));
        let task = tokio::spawn(async move {
            // The connections end with the task.
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (answer, to, open) = (Arc::clone(&answer), Arc::clone(&to), Arc::clone(&counted));
                let (protocol, closed) = (Arc::clone(&protocol), Arc::clone(&closed));
                open.fetch_add(1, Ordering::SeqCst);
                connections.spawn(async move {
                    tokio::select! {
                        () = serve(stream, &protocol, number, answer, to) => {}
                        () = closed.notified() => {}
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, received, open, close, task: task.abort_handle() }
    }

    /// Returns its URL with this path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Closes all connections, whatever they wait for.
    pub(super) fn close_connections(&self) {
        self.close.notify_waiters();
    }

    /// Returns the requests so far.
    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has received this many requests.
    pub(super) async fn until(&self, count: usize) {
        until(&format!("{count} requests"), || async { self.received().len() == count }).await;
    }

    /// Waits until this many connections are open.
    pub(super) async fn until_open(&self, count: usize) {
        until(&format!("{count} connections"), || async { self.open.load(Ordering::SeqCst) == count }).await;
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns a response.
pub(super) fn answer(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status.try_into().expect("a status");
    response
}

async fn serve(
    stream: TcpStream,
    protocol: &Protocol,
    connection: usize,
    answer: Answer,
    received: Arc<Mutex<Vec<Received>>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (answer, received) = (Arc::clone(&answer), Arc::clone(&received));
        async move {
            let (head, body) = request.into_parts();
            let request = Received {
                connection,
                version: head.version,
                method: head.method.to_string(),
                path: head.uri.path_and_query().expect("a path").to_string(),
                headers: head.headers,
                body: body.collect().await?.to_bytes(),
            };
            received.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
            Ok::<_, hyper::Error>(answer(request).await)
        }
    });
    // An error ends the connection, and the client of the test sees what follows.
    let http1 = hyper::server::conn::http1::Builder::new();
    let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    match protocol {
        Protocol::Http1 => drop(http1.serve_connection(TokioIo::new(stream), service).await),
        Protocol::Http2 => drop(http2.serve_connection(TokioIo::new(stream), service).await),
        Protocol::Tls(acceptor) => {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            match stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                true => drop(http2.serve_connection(TokioIo::new(stream), service).await),
                false => drop(http1.serve_connection(TokioIo::new(stream), service).await),
            }
        }
    }
}
