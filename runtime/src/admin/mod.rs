//! The control API: an HTTP server by which codecs are listed, swapped, tried and rolled back under traffic.
//!
//! | request | what it does, and answers |
//! |---|---|
//! | `GET /nodes` | this node and those that serve with it: a list of [`NodeStatus`](crate::server::NodeStatus) |
//! | `GET /codecs` | all slots: a list of [`SlotStatus`](crate::slot::SlotStatus) |
//! | `GET /codecs/NAME` | one slot |
//! | `PUT /codecs/NAME` | swaps to the component in the body, with the options of the current generation: a [`SwapReport`](crate::slot::SwapReport). `?sessions=handoff`, `drain` or `close` says what becomes of live sessions |
//! | `PUT /codecs/NAME?trial=shadow&share=0.1` | tries the component, `shadow` or `canary`, on a share of the sessions: a [`Candidate`] |
//! | `POST /codecs/NAME/promote` | makes the candidate current, `?sessions=` as above: a `SwapReport` |
//! | `DELETE /codecs/NAME/trial` | ends the trial: the [`Candidate`] that there was |
//! | `POST /codecs/NAME/rollback` | goes back to the generation before: a `SwapReport` |
//! | `POST /codecs/NAME/reload` | reads the slot's own file again: a `SwapReport`, or `null` where that is at work already |
//!
//! `PUT` takes `force=true`, which lets a component in that was rolled back before. Answers are JSON; what is
//! refused is `{"error": "..."}` with a status: 400 for a request that makes no sense, 401 without the token, 403
//! for what looks like a browser, 404 for a codec that is not there, 409 where the state of the slot is against
//! it, 422 for a component that cannot be loaded, 408, 413 and 503 for uploads that are too slow, too large or
//! too many. What was begun is brought to its end, even if the client does not wait for the answer.
//!
//! | file | its job |
//! |---|---|
//! | `door` | who is let in |
//! | `codecs` | what the requests do |
//! | `refusal` | what is answered to those that fail |

mod codecs;
mod door;
mod refusal;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::{Extension, Router, middleware};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::warn;

pub use self::codecs::Candidate;
use self::door::{Door, Token};
use crate::config::ControlConfig;
use crate::server::RunningServer;

/// Connections at a time, each with one request. Those above it wait to be accepted.
const MAX_CONNECTIONS: usize = 64;

/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest head.
const MAX_HEAD: usize = 16 << 10;

/// How long what a client still sends is read after it was answered.
const LINGER: Duration = Duration::from_secs(2);

/// How long a listener that cannot accept waits before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The control API, bound to its address and not serving yet.
pub struct ControlApi {
    listener: TcpListener,
    address: SocketAddr,
    door: Arc<Door>,
    max_upload: usize,
}

impl ControlApi {
    /// Binds the address, and reads the token. Paths in the configuration are relative to `directory`.
    ///
    /// # Errors
    /// Where the address is taken, strangers could reach it, or the token cannot be read or is too short.
    pub async fn bind(config: &ControlConfig, directory: &Path) -> anyhow::Result<Self> {
        let ControlConfig { listen, token_file, max_upload } = config;
        if let Some(why) = config.is_open_to_all() {
            bail!("the control API does not start on {listen}: {why}");
        }
        let token = token_file.as_ref().map(|file| Token::read(&directory.join(file))).transpose()?;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("the control API cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, door: Arc::new(Door { token }), max_upload: *max_upload })
    }

    /// Where it is reached, with the port that was really bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves this server's codecs and what it knows of its nodes, for ever. It stops when the future is dropped; what was
    /// begun goes on even then.
    pub async fn serve(self, server: &RunningServer) {
        let router = codecs::routes(server, self.max_upload)
            .layer(middleware::from_fn_with_state(self.door, door::admit));
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                unreachable!("nobody closes the semaphore")
            };
            match self.listener.accept().await {
                Ok((socket, peer)) => {
                    let connection = serve_one(socket, peer, router.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(address = %self.address, %error, "the control API cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
    }
}

/// Answers one request.
async fn serve_one(socket: TcpStream, peer: SocketAddr, router: Router) {
    let service = TowerToHyperService::new(router.layer(Extension(Peer(peer))));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), service)
        .without_shutdown();
    let Ok(parts) = served.await else { return };
    // To close while an upload that was refused still comes in would reset the connection, and the client
    // might never read why.
    let mut socket = parts.io.into_inner();
    if socket.shutdown().await.is_ok() {
        let _ = timeout(LINGER, tokio::io::copy(&mut socket, &mut tokio::io::sink())).await;
    }
}

/// Who asks.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

impl fmt::Debug for ControlApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlApi").field("address", &self.address).finish_non_exhaustive()
    }
}
