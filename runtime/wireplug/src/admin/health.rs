//! Health checks over HTTP: on the control API, and on a port of their own, which also answers
//! while the server starts and ends.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::error::ControlError;
use crate::config::HealthConfig;
use crate::server::{InheritedSocket, InheritedSockets};
use wireplug_connectors::listening::{AcceptErrors, MAX_HEAD, bind_tcp, inherit_tcp, is_tcp_at};
use wireplug_connectors::{Health, HealthAnswer};

/// The largest number of connections at a time. A load balancer has one, or one for each check.
const CONNECTIONS: usize = 64;

/// How long a connection may last. It has one check.
const LASTING: Duration = Duration::from_secs(5);

/// Answers health checks on a port of its own, without authentication: `GET /livez` and `GET
/// /readyz`.
pub struct HealthListener {
    listener: TcpListener,
    address: SocketAddr,
    /// The name of the socket for another process.
    key: String,
}

impl HealthListener {
    /// Binds the port.
    ///
    /// # Errors
    /// Returns an error if the address cannot be bound.
    pub fn bind(config: &HealthConfig) -> Result<Self, ControlError> {
        Self::bind_with(config, &mut InheritedSockets::default())
    }

    /// Takes the port over from another process, or binds it if there is no such socket.
    ///
    /// # Errors
    /// Returns an error if the socket cannot be used, or the address cannot be bound.
    pub fn bind_with(config: &HealthConfig, inherited: &mut InheritedSockets) -> Result<Self, ControlError> {
        let key = format!("health {}", config.listen);
        let mut bind = || {
            let socket = inherited.take(&key, |socket| is_tcp_at(socket, &config.listen.into()));
            let listener = match socket.and_then(InheritedSocket::first) {
                Some(socket) => inherit_tcp(socket)?,
                None => bind_tcp(config.listen)?,
            };
            Ok((listener.local_addr()?, listener))
        };
        let (address, listener) =
            bind().map_err(|source| ControlError::Health { address: config.listen, source })?;
        Ok(Self { listener, address, key })
    }

    /// Returns a duplicate of the socket, for another process.
    ///
    /// # Errors
    /// Returns an error if the process has no descriptor left.
    pub fn socket(&self) -> io::Result<InheritedSocket> {
        let duplicate = self.listener.as_fd().try_clone_to_owned()?;
        Ok(InheritedSocket::of_process(&*self.key, vec![duplicate]))
    }

    /// Returns the address with the port that was actually bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers checks. Never returns: dropping the future stops it.
    pub async fn serve(self, health: Health) {
        let router = routes(health);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut errors = AcceptErrors::of(format!("http://{}", self.address));
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => {
                    errors.accepted();
                    stream
                }
                Err(error) => {
                    sleep(errors.failed(&error)).await;
                    continue;
                }
            };
            // Further connections are closed.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let service = TowerToHyperService::new(router.clone());
            tokio::spawn(async move {
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .keep_alive(false)
                    .header_read_timeout(LASTING)
                    .max_buf_size(MAX_HEAD)
                    .serve_connection(TokioIo::new(stream), service);
                // However it ends, there is nobody to tell.
                let _ = timeout(LASTING, connection).await;
                drop(place);
            });
        }
    }
}

/// The paths of health checks.
pub(super) fn routes(health: Health) -> Router {
    Health::PATHS.iter().fold(Router::new(), |router, path| {
        let (health, allow) = (health.clone(), HeaderValue::from_static(HealthAnswer::ALLOW));
        router.route(path, any(move |method: Method| async move { answer(&health, path, &method, allow) }))
    })
}

fn answer(health: &Health, path: &str, method: &Method, allow: HeaderValue) -> Response {
    match health.answer(path) {
        Some(answer) => (answer.status(method), [(header::ALLOW, allow)], answer.text + "\n").into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
