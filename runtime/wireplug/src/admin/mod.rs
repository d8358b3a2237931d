//! The control API: an HTTP server by which codecs are listed, swapped, tried and rolled back under
//! traffic.
//!
//! | request | role | what it does, and answers |
//! |---|---|---|
//! | `GET /nodes` | read | this node and those that serve with it: a list of [`NodeStatus`](crate::server::NodeStatus) |
//! | `GET /codecs` | read | all slots: a list of [`SlotStatus`](crate::slot::SlotStatus) |
//! | `GET /codecs/NAME` | read | one slot |
//! | `PUT /codecs/NAME` | change | swaps to the component in the body, with the options of the current generation: a [`SwapReport`](crate::slot::SwapReport). `?sessions=handoff`, `drain` or `close` says what becomes of live sessions |
//! | `PUT /codecs/NAME?trial=shadow&share=0.1` | change | tries the component, `shadow` or `canary`, on a share of the sessions: a [`Candidate`] |
//! | `POST /codecs/NAME/promote` | change | makes the candidate current, `?sessions=` as above: a `SwapReport` |
//! | `DELETE /codecs/NAME/trial` | change | ends the trial: the [`Candidate`] that there was |
//! | `POST /codecs/NAME/rollback` | change | goes back to the generation before: a `SwapReport` |
//! | `POST /codecs/NAME/reload` | change | reads the slot's own file again: a `SwapReport`, or `null` where that is at work already |
//!
//! `PUT` takes `force=true`, which lets a component in that was rolled back before. Answers are
//! JSON; what is refused is `{"error": "..."}` with a status: 400 for a request that makes no
//! sense, 401 without a token, 403 for a user who may not connect, a role that is too low, or a
//! browser, 404 for a codec that is not there, 409 where the state of the slot is against it, 422
//! for a component that cannot be loaded, 429 after too many wrong tokens, 408, 413 and 503 for
//! uploads that are too slow, too large or too many. Nothing of a body is read before its client
//! and its length are known to be right. What was begun is brought to its end, even if the client
//! does not wait for the answer.
//!
//! A client over TCP shows a token. On a Unix socket the kernel tells the client's user.
//! [`ControlConfig`] has the details. Each change, and each that was refused, is a line of the
//! audit log.
//!
//! | file | its job |
//! |---|---|
//! | `listener` | the Unix socket or the TCP port |
//! | `folder` | the folder of the default socket and of generated tokens |
//! | `peer` | the other end of a connection |
//! | `connections` | how many there are at a time, and which is closed for another |
//! | `access` | who may use the API, and with which role |
//! | `token` | tokens, from files and generated |
//! | `backoff` | delays after wrong tokens |
//! | `codecs` | the requests, the roles that they need, and what they do |
//! | `upload` | components that are sent |
//! | `change` | a change from its request to its line in the audit log |
//! | `refusal` | what is answered to requests that fail |
//! | `error` | why the API does not listen |

mod access;
mod backoff;
mod change;
mod codecs;
mod connections;
mod error;
mod folder;
mod listener;
mod peer;
mod refusal;
mod token;
mod upload;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router, middleware};
use futures_util::FutureExt as _;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::access::{Access, Clients, Users};
pub use self::codecs::Candidate;
use self::connections::{Connections, Place};
pub use self::error::{ControlError, FolderError};
pub use self::folder::RuntimeFolder;
use self::listener::{Listener, Stream};
use self::peer::Peer;
use self::token::{GeneratedFile, Token};
use crate::audit::FileWriter;
use crate::config::{ControlAddress, ControlConfig, ControlRole};
use crate::server::RunningServer;
use wireplug_connectors::listening::{AcceptErrors, MAX_HEAD, SpareDescriptor, is_out_of_descriptors};

/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long what a client still sends is read after it was answered.
const LINGER: Duration = Duration::from_secs(2);

/// How much of it is read. A client that sends more has had the time to see the answer.
const LINGER_BYTES: u64 = 1 << 20;

/// Whether each key has an effect.
fn has_effect(config: &ControlConfig) -> Result<(), ControlError> {
    match config.misfits().first() {
        Some(&(key, why)) => Err(ControlError::Key { key, why }),
        None => Ok(()),
    }
}

fn tokens(file: &Path, role: ControlRole) -> Result<Vec<Token>, ControlError> {
    Token::read(file, role).map_err(|error| ControlError::Tokens(error.into()))
}

/// The answer to a client for which there is no room.
const FULL: &str = r#"{"error":"too many requests of this client are under way: try again later"}"#;

/// The control API, bound to its address and not serving yet.
pub struct ControlApi {
    listener: Listener,
    access: Arc<Access>,
    max_upload: usize,
    audit: Option<FileWriter>,
    token: Option<GeneratedFile>,
}

impl ControlApi {
    /// Reads the files of tokens as [`ControlApi::bind`] does, and touches nothing. Paths in the
    /// configuration are relative to `directory`.
    ///
    /// # Errors
    /// Returns an error if `bind` would refuse a key or a file of tokens.
    pub fn check(config: &ControlConfig, directory: &Path) -> Result<(), ControlError> {
        has_effect(config)?;
        let files = [(&config.token_file, ControlRole::Change), (&config.read_token_file, ControlRole::Read)];
        for (file, role) in files {
            file.as_ref().map(|file| tokens(&directory.join(file), role)).transpose()?;
        }
        Ok(())
    }

    /// Binds the address, reads the tokens or generates one, and opens the audit log. Paths in the
    /// configuration are relative to `directory`.
    ///
    /// # Errors
    /// Returns an error if the address is taken, a key has no effect beside `listen`, or a file
    /// cannot be read, can be read by other users, or has something else than tokens in it.
    pub async fn bind(config: &ControlConfig, directory: &Path) -> Result<Self, ControlError> {
        has_effect(config)?;
        let in_directory = |file: &PathBuf| directory.join(file);
        let audit = config.audit_log.as_ref().map(in_directory);
        let audit = audit.map(|file| FileWriter::open(&file)).transpose();
        let audit = audit.map_err(|error| ControlError::AuditLog(error.into()))?;
        let listener = Listener::bind(config).await?;
        let mut token = None;
        let clients = match listener.address() {
            ControlAddress::Unix(_) => {
                Clients::Users(Users { own: folder::own_uid(), allowed: config.allow.clone() })
            }
            ControlAddress::Http(address) => {
                let mut known = match &config.token_file {
                    Some(file) => tokens(&in_directory(file), ControlRole::Change)?,
                    None => {
                        let file = RuntimeFolder::create()
                            .map_err(|source| ControlError::Folder {
                                what: "there is no folder for a generated token: set `token-file`",
                                source,
                            })?
                            .token_file(address.port());
                        let (file, generated) = GeneratedFile::create(&file)
                            .map_err(|error| ControlError::Tokens(error.into()))?;
                        token = Some(file);
                        vec![generated]
                    }
                };
                if let Some(file) = &config.read_token_file {
                    known.extend(tokens(&in_directory(file), ControlRole::Read)?);
                }
                Clients::Tokens(known)
            }
        };
        let access = Arc::new(Access::new(clients));
        Ok(Self { listener, access, max_upload: config.max_upload, audit, token })
    }

    /// Where it is reached, with the port that was really bound.
    pub fn address(&self) -> ControlAddress {
        self.listener.address()
    }

    /// The file of the token that was generated; none: there is no need of one.
    pub fn generated_token(&self) -> Option<&Path> {
        self.token.as_ref().map(|token| &*token.path)
    }

    /// Serves this server's codecs and what it knows of its nodes, for ever. It stops when the
    /// future is dropped; what was begun goes on even then.
    pub async fn serve(self, server: &RunningServer) {
        let Self { listener, access, max_upload, audit, token: _token } = self;
        if let (Some(file), Some(slot)) = (audit, server.slots().first()) {
            slot.audit_log().append_to(file);
        }
        let router = codecs::routes(server, max_upload)
            .layer(middleware::from_fn_with_state(access, access::authenticate));
        let open = Connections::default();
        let mut connections = JoinSet::new();
        let mut errors = AcceptErrors::of(listener.address().to_string());
        let spare = SpareDescriptor::open();
        loop {
            let mut accepted = listener.accept().await;
            if accepted.as_ref().is_err_and(is_out_of_descriptors) && spare.give_up() {
                // Operators are served with the last one.
                accepted = listener.accept().now_or_never().unwrap_or(accepted);
            }
            match accepted {
                Ok((socket, peer)) => {
                    errors.accepted();
                    match open.open(peer.source()) {
                        Some(place) => {
                            connections.spawn(serve_one(socket, peer, Arc::new(place), router.clone()));
                        }
                        None => {
                            connections.spawn(turn_away(socket));
                        }
                    }
                }
                Err(error) => sleep(errors.failed(&error)).await,
            }
            while connections.try_join_next().is_some() {}
            spare.keep();
        }
    }
}

/// Answers one request, unless the connection must give its place to another one before.
async fn serve_one(socket: Box<dyn Stream>, peer: Peer, place: Arc<Place>, router: Router) {
    let router = router.layer(Extension(peer)).layer(Extension(Arc::clone(&place)));
    let service = TowerToHyperService::new(router);
    let connection = async {
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .keep_alive(false)
            .serve_connection(TokioIo::new(socket), service)
            .without_shutdown();
        let Ok(parts) = served.await else { return };
        // To close while an upload that was refused still comes in would reset the connection, and
        // the client might never read why.
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

/// Answers a client for whom there is no place, as far as that needs no waiting.
async fn turn_away(mut socket: Box<dyn Stream>) {
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{FULL}",
        FULL.len()
    );
    let _ = timeout(Duration::ZERO, socket.write_all(answer.as_bytes())).await;
}

impl fmt::Debug for ControlApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlApi").field("address", &self.address()).finish_non_exhaustive()
    }
}
