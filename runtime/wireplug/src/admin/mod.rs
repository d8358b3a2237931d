//! The control API: an HTTP server through which operators list, swap, try and roll back codecs
//! under traffic.
//!
//! | request | role | effect, and answer |
//! |---|---|---|
//! | `GET /livez`, `GET /readyz` | none | answers health checks: 200, or 503 and the reason. Needs no token |
//! | `GET /nodes` | read | reports this node and the nodes that serve together with it: a list of [`NodeStatus`](crate::server::NodeStatus) |
//! | `GET /events?after=N&kind=KIND&limit=100` | read | reports recent [events](crate::events): `{"events": […], "next": N}` |
//! | `GET /metrics` | read | the metrics in the text format of Prometheus, or in OpenMetrics if `Accept` names it |
//! | `GET /stats` | read | the counts since the start, and times: one JSON object |
//! | `GET /openapi.json` | read | describes all these requests in OpenAPI 3.1 |
//! | `GET /codecs` | read | reports all slots: a list of [`SlotStatus`](crate::slot::SlotStatus) |
//! | `GET /codecs/NAME` | read | reports one slot |
//! | `PUT /codecs/NAME` | swap | swaps to the component in the body, with the options of the current generation: a [`SwapReport`](crate::slot::SwapReport). `?sessions=handoff`, `drain` or `close` says what happens to live sessions |
//! | `PUT /codecs/NAME?trial=shadow&share=0.1` | trial | tries the component, `shadow` or `canary`, on a share of the sessions: a [`Candidate`] |
//! | `POST /codecs/NAME/promote` | swap | makes the candidate current, `?sessions=` as above: a `SwapReport` |
//! | `DELETE /codecs/NAME/trial` | trial | ends the trial: the [`Candidate`] that was on trial |
//! | `POST /codecs/NAME/rollback` | swap | goes back to the generation before: a `SwapReport` |
//! | `POST /codecs/NAME/reload` | swap | reads the slot's own file again: a `SwapReport`, or `null` if that version is already current |
//! | `POST /rollouts/NAME` | swap | begins a rollout of a version over all nodes; the body is a [`RolloutPlan`](crate::rollout::RolloutPlan): a [`Rollout`](crate::rollout::Rollout) |
//! | `GET /rollouts/NAME` | read | reports the last rollout of a codec: a `Rollout`, or `null` |
//! | `DELETE /rollouts/NAME` | swap | takes the running rollout of a codec back on all nodes: a `Rollout` |
//! | `POST /reload` | admin | reads the configuration file again and applies it, as [`RunningServer::reload`] does: a [`ReloadReport`](crate::ReloadReport). `?dry-run=true` applies nothing, reports what would change, and needs only the role `trial`; the body may then hold another configuration |
//! | `POST /drain` | admin | makes `/readyz` red, waits for the time of `?wait=5s`, accepts no more clients and closes the sessions, as [`RunningServer::drain`] does: a [`DrainReport`](crate::DrainReport). `exit=true` ends the program then |
//! | `POST /upgrade` | admin | upgrades the server to the program that is installed where its own was, or over the Unix socket to `?program=PATH`, as [`RunningServer::upgrade`] does: an [`UpgradeReport`](crate::upgrade::UpgradeReport) |
//! | `GET /sessions` | read | lists the sessions of this node by pages: a [`SessionPage`](crate::status::SessionPage). `?user=`, `address=`, `codec=`, `generation=`, `listener=`, `group=`, `state=` and `idle-over=5m` select sessions, `limit=` sets the size of a page, and `after=` its beginning |
//! | `GET /sessions/ID` | read | reports one session in full: a [`SessionDetails`](crate::status::SessionDetails) |
//! | `DELETE /sessions/ID` | admin | kicks one session: a [`Kicked`]. `?reason=` is for the client and the log |
//! | `DELETE /sessions?user=NAME` | admin | kicks the sessions of a user, or with `?address=IP` those of an address, of this node |
//! | `GET /trace?session=ID` | read | streams what passes on one session, or with `user=` or `address=` on several, as lines of JSON. `duration=5m` ends it |
//! | `GET /trace/vectors?session=ID` | read | streams one session as test vectors, with the same query |
//! | `GET /sessions/ID/recent.vectors` | read | returns the last packets of a session as test vectors |
//! | `GET /faults` | read | lists the last faults of codecs: a [`FaultList`](crate::status::FaultList) |
//! | `GET /faults/N.vectors` | read | returns the last packets before a fault as test vectors |
//! | `POST /clients/VERB/TARGET` | push | does something with clients: a push, a kick and others, as `docs/http-services.md` says |
//! | `POST /clients` | push | the same as a stream: a line of JSON for each command, and one for each answer |
//! | `GET /console/` | none | the console in the browser; `POST /console/login` and `/console/logout` begin and end a session there, and `GET /console/session` says who is logged in |
//!
//! [`ControlRole`](crate::config::ControlRole) says which role includes which. Test vectors hold
//! what the mask of traces hides, so with a mask they need the role `admin`.
//!
//! `PUT` takes `force=true`, which admits a component that was rolled back before; it needs the
//! role `swap`. Answers are JSON. The answer to a refused request is `{"error": "..."}` with one of
//! these statuses:
//!
//! - 400: the request makes no sense.
//! - 401: the token is missing or wrong, or has expired.
//! - 403: the user may not connect, the client does not have the role, or it is a browser that does
//!   not show the console.
//! - 404: there is no such codec, or no such session.
//! - 408, 413, 503: the upload is too slow or too large, or there are too many uploads.
//! - 409: the state of the slot does not allow the change.
//! - 422: the component cannot be loaded.
//! - 429: too many tokens from the client's address were wrong.
//!
//! The server reads no part of a body before it has authorized the client and checked the length
//! that the head announces. A change that was begun runs to its end, even if the client does not
//! wait for the answer.
//!
//! A connection is closed after one request, except after requests of the push API, those to
//! `/clients`. It is also closed after ten seconds without a request.
//!
//! A client over TCP presents a token, over TLS a certificate, or the cookie of the console. On a
//! Unix socket the kernel reports the client's user. [`ControlConfig`] has the details. Each change
//! is a line of the audit log, also if it was refused.
//!
//! | file | its job |
//! |---|---|
//! | `listener` | the Unix socket or the TCP port |
//! | `folder` | the folder of the default socket and of generated tokens |
//! | `peer` | the other end of a connection |
//! | `connections` | limits the connections, and chooses which one is closed for another |
//! | `serving` | answers the requests of one connection |
//! | `access` | who may use the API, and with which roles |
//! | `clients` | the clients that the API knows |
//! | `reread` | reads the tokens again at a reload |
//! | `token` | the tokens of a file |
//! | `generated` | a token that is generated into a file |
//! | `backoff` | delays after wrong tokens |
//! | `console` | the console: its page, and who is logged in |
//! | `routes` | the requests, with the roles that they need |
//! | `api` | what all requests share |
//! | `openapi` | describes the requests in OpenAPI |
//! | `codecs` | the requests about codecs |
//! | `reload` | the request that reads the configuration again |
//! | `events` | reports recent events |
//! | `drain` | the request that drains the server |
//! | `upgrade` | the request that upgrades the server |
//! | `rollouts` | the requests about rollouts over all nodes |
//! | `sessions` | the requests about sessions |
//! | `stats` | reports nodes, metrics and counts |
//! | `push` | the push API: what services do with clients |
//! | `trace` | traces of sessions, recordings and faults |
//! | `health` | answers health checks |
//! | `upload` | receives components |
//! | `change` | a change from its request to its line in the audit log |
//! | `refusal` | the answers to requests that fail |
//! | `error` | why the API does not listen |

mod access;
mod api;
mod backoff;
mod change;
mod clients;
mod codecs;
mod connections;
mod console;
mod drain;
mod error;
mod events;
mod folder;
mod generated;
mod health;
mod listener;
mod openapi;
mod peer;
mod push;
mod refusal;
mod reload;
mod reread;
mod rollouts;
mod routes;
mod serving;
mod sessions;
mod stats;
mod token;
mod trace;
mod upgrade;
mod upload;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::middleware;
use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub(crate) use self::access::Access;
use self::api::Api;
use self::clients::{Clients, Remote, Users};
pub use self::codecs::Candidate;
use self::connections::Connections;
use self::console::ConsoleSessions;
pub use self::error::{ControlError, FolderError};
pub use self::folder::RuntimeFolder;
use self::generated::GeneratedFile;
pub use self::health::HealthListener;
use self::listener::Listener;
pub(crate) use self::reread::Reread;
use self::serving::{serve_connection, turn_away};
pub use self::sessions::Kicked;
use crate::audit::FileWriter;
use crate::config::{ControlAddress, ControlConfig};
use crate::server::{InheritedSocket, InheritedSockets, RunningServer};
use crate::session_trace::Mask;
use wireplug_connectors::listening::{
    AcceptErrors, ServerTls, SpareDescriptor, TlsFiles, is_out_of_descriptors,
};

/// The protocol inside TLS, as TLS names it.
const ALPN: &[&str] = &["http/1.1"];

/// How long the input of a client is still read after the answer.
const LINGER: Duration = Duration::from_secs(2);

/// Checks that each key has an effect.
fn has_effect(config: &ControlConfig) -> Result<(), ControlError> {
    match config.misfits().first() {
        Some(&(key, why)) => Err(ControlError::Key { key, why }),
        None => Ok(()),
    }
}

/// Loads the files of TLS, if there are any.
fn tls(config: &ControlConfig, directory: &Path) -> Result<Option<TlsFiles>, ControlError> {
    let files = config.tls.as_ref().map(|tls| TlsFiles::load(&tls.within(directory)));
    files.transpose().map_err(|error| ControlError::Tls(error.into()))
}

/// What requests and the control API tell each other.
#[derive(Clone, Debug)]
struct Marks {
    /// Cancelled when a client has asked for the end of the program.
    end: CancellationToken,
    /// Cancelled when another process has taken over and the address was left to it.
    left: CancellationToken,
    /// Cancelled when the API is asked to stop.
    stopping: CancellationToken,
}

impl Marks {
    /// Returns whether the API serves no longer than the requests that are under way.
    fn is_closing(&self) -> bool {
        self.left.is_cancelled() || self.stopping.is_cancelled()
    }

    /// Returns when the API serves no longer than the requests that are under way.
    async fn closing(&self) {
        tokio::select! {
            () = self.left.cancelled() => {}
            () = self.stopping.cancelled() => {}
        }
    }
}

/// The control API, bound to its address and not serving yet.
pub struct ControlApi {
    listener: Listener,
    access: Arc<Access>,
    max_upload: usize,
    mask: Mask,
    audit: Option<FileWriter>,
    token: Option<GeneratedFile>,
    tls: Option<TlsFiles>,
    handle: ControlHandle,
    orders: mpsc::Receiver<Order>,
}

/// What a running control API is asked to do for another process.
enum Order {
    Duplicate(oneshot::Sender<io::Result<InheritedSocket>>),
    Leave(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
}

/// A handle to a control API that serves, for the hand-over of its address to another process.
#[derive(Clone, Debug)]
pub struct ControlHandle(mpsc::Sender<Order>);

impl ControlHandle {
    /// Returns a duplicate of the listening socket, for [`ControlApi::bind_with`] in another
    /// process of this user. A generated token goes with it: that process finds it in the file of
    /// this one.
    ///
    /// # Errors
    /// Returns an error if the process has no descriptor left, or the API does not serve any more.
    pub async fn socket(&self) -> io::Result<InheritedSocket> {
        let (done, socket) = oneshot::channel();
        let stopped = || io::Error::from(io::ErrorKind::NotConnected);
        self.0.send(Order::Duplicate(done)).await.map_err(|_| stopped())?;
        socket.await.map_err(|_| stopped())?
    }

    /// Leaves the address to the other process: accepts no more connections, and keeps the files
    /// of the socket and of a generated token. Requests that were accepted are answered.
    pub async fn leave(&self) {
        let (done, left) = oneshot::channel();
        if self.0.send(Order::Leave(done)).await.is_ok() {
            // An error means that the API has stopped before.
            let _ = left.await;
        }
    }

    /// Stops the API: it accepts no more connections, and its streams end. Returns when the
    /// requests under way are answered, after two seconds at the latest.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        // An error means that the API has stopped before.
        if self.0.send(Order::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }
}

impl ControlApi {
    /// Reads the files of tokens and of TLS as [`ControlApi::bind`] does, and changes nothing.
    /// Paths in the configuration are relative to `directory`.
    ///
    /// # Errors
    /// Returns an error if `bind` would refuse a key, the file of tokens or a file of TLS.
    pub fn check(config: &ControlConfig, directory: &Path) -> Result<(), ControlError> {
        has_effect(config)?;
        tls(config, directory)?;
        Remote::read(config, directory).map(drop)
    }

    /// Binds the address, reads the tokens or generates one, and opens the audit log. Paths in the
    /// configuration are relative to `directory`.
    ///
    /// # Errors
    /// Returns an error if the address is in use, a key has no effect with this `listen`, the audit
    /// log cannot be opened, or the file of tokens cannot be read, can be read by other users, or
    /// has invalid content.
    pub async fn bind(config: &ControlConfig, directory: &Path) -> Result<Self, ControlError> {
        Self::bind_with(config, directory, &mut InheritedSockets::default()).await
    }

    /// Does what [`ControlApi::bind`] does, and takes the socket over from another process if it is
    /// among these.
    ///
    /// # Errors
    /// Returns the errors of `bind`, and an error if the socket cannot be used.
    pub async fn bind_with(
        config: &ControlConfig,
        directory: &Path,
        inherited: &mut InheritedSockets,
    ) -> Result<Self, ControlError> {
        has_effect(config)?;
        let in_directory = |file: &PathBuf| directory.join(file);
        let tls = tls(config, directory)?;
        let audit = config.audit_log.as_ref().map(in_directory);
        let audit = audit.map(|file| FileWriter::open(&file)).transpose();
        let audit = audit.map_err(|error| ControlError::AuditLog(error.into()))?;
        let listener = Listener::bind(config, inherited).await?;
        let mut token = None;
        if listener.address().is_exposed() {
            warn!(
                address = %listener.address(),
                "the control API has no TLS: who can read the network can read its tokens; `listen` at https://IP:PORT \
                 has TLS"
            );
        }
        let clients = match listener.address() {
            ControlAddress::Unix(_) => {
                Clients::Users(Users { own: folder::own_uid(), allowed: config.allow.clone() })
            }
            ControlAddress::Http(address) | ControlAddress::Https(address) => {
                let known = match Remote::read(config, directory)? {
                    Some(known) => known,
                    None => {
                        let file = RuntimeFolder::create()
                            .map_err(|source| ControlError::Folder {
                                what: "there is no folder for a generated token: set `token-file`",
                                source,
                            })?
                            .token_file(address.port());
                        let known = listener.moved.then(|| GeneratedFile::take_over(&file).ok()).flatten();
                        let (file, generated) = match known {
                            Some(known) => known,
                            None => GeneratedFile::create(&file)
                                .map_err(|error| ControlError::Tokens(error.into()))?,
                        };
                        token = Some(file);
                        Remote::generated(generated, config)
                    }
                };
                Clients::Remote(known)
            }
        };
        let port = listener.address().tcp().map_or(0, |address| address.port());
        let access = Arc::new(Access::new(clients, ConsoleSessions::new(port)));
        let mask = Mask::new(&config.trace_mask);
        let (orders, received) = mpsc::channel(1);
        Ok(Self {
            listener,
            access,
            max_upload: config.max_upload,
            mask,
            audit,
            token,
            tls,
            handle: ControlHandle(orders),
            orders: received,
        })
    }

    /// Returns the address at which clients reach the API, with the port that was actually bound.
    pub fn address(&self) -> ControlAddress {
        self.listener.address()
    }

    /// Returns the file of the generated token, or `None` if no token was generated.
    pub fn generated_token(&self) -> Option<&Path> {
        self.token.as_ref().map(|token| &*token.path)
    }

    /// Returns a handle for the time in which the API serves.
    pub fn handle(&self) -> ControlHandle {
        self.handle.clone()
    }

    /// Answers requests about this server's codecs and its nodes. Returns when a client has drained
    /// the server and asks for the end of the program, and when another process has taken over and
    /// all requests that were accepted are answered. Dropping the future stops the API. A change
    /// that was begun goes on even then.
    pub async fn serve(self, server: &RunningServer) {
        let Self { listener, access, max_upload, mask, audit, mut token, tls, handle: _, mut orders } = self;
        if let Some(file) = &mut token {
            file.own();
        }
        if let Some(file) = audit {
            server.parts().audit.append_to(file);
        }
        server.parts().events.begin();
        access.note_expiries(server.nodes().expiries().clone());
        let url = listener.address().to_string();
        let tls = tls.map(|files| ServerTls::start(files, ALPN, url, server.nodes().expiries()));
        let tls = tls.map(Arc::new);
        // A second control API of one server would not be read again.
        let _ = server.parts().control.set(Arc::clone(&access));
        let end = CancellationToken::new();
        let (upgraded, left) = (server.parts().moved_away.clone(), CancellationToken::new());
        let stopping = CancellationToken::new();
        let marks = Marks { end: end.clone(), left: left.clone(), stopping: stopping.clone() };
        let closing = middleware::map_response_with_state(marks.clone(), connections::close_after);
        let router = routes::routes(Api::new(server, max_upload, mask, marks))
            .layer(middleware::from_fn_with_state(Arc::clone(&access), access::authenticate))
            .merge(console::routes(Arc::clone(&access)))
            .merge(health::routes(server.parts().health.clone()))
            .layer(middleware::map_response(console::harden))
            .layer(closing);
        let open = Connections::default();
        let mut connections = JoinSet::new();
        let mut errors = AcceptErrors::of(listener.address().to_string());
        let spare = SpareDescriptor::open();
        // Dropped when all is done.
        let mut stopped = None;
        let leaves = loop {
            let mut accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(order) = orders.recv() => match order {
                    Order::Duplicate(done) => {
                        // Whoever asked may have gone.
                        let _ = done.send(listener.duplicate());
                        continue;
                    }
                    Order::Leave(done) => break Some(Some(done)),
                    Order::Stop(done) => {
                        stopped = Some(done);
                        break None;
                    }
                },
                () = upgraded.cancelled() => break Some(None),
                () = end.cancelled() => break None,
            };
            if accepted.as_ref().is_err_and(is_out_of_descriptors) && spare.give_up() {
                // The spare descriptor serves operators while there is no other one.
                accepted = listener.accept().now_or_never().unwrap_or(accepted);
            }
            match accepted {
                Ok((socket, peer)) => {
                    errors.accepted();
                    match open.open(peer.source()) {
                        Some(place) => {
                            let secured = (tls.clone(), Arc::clone(&access));
                            connections.spawn(serve_connection(
                                socket,
                                secured,
                                peer,
                                Arc::new(place),
                                router.clone(),
                            ));
                        }
                        // The handshake of TLS would take longer than there is time for.
                        None if tls.is_some() => {}
                        None => {
                            connections.spawn(turn_away(socket));
                        }
                    }
                }
                Err(error) => sleep(errors.failed(&error)).await,
            }
            while connections.try_join_next().is_some() {}
            spare.keep();
        };
        if let Some(done) = leaves {
            drop(orders);
            listener.leave();
            if let Some(file) = token {
                file.leave();
            }
            left.cancel();
            open.close_idle(false);
            let _ = done.map(|done| done.send(()));
            while connections.join_next().await.is_some() {}
            if upgraded.is_cancelled() {
                return;
            }
            return end.cancelled().await;
        }
        stopping.cancel();
        open.close_idle(true);
        // The client that asked for the end gets its answer first.
        let answered = async { while connections.join_next().await.is_some() {} };
        let _ = timeout(LINGER, answered).await;
        drop(stopped);
    }
}

impl fmt::Debug for ControlApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlApi").field("address", &self.address()).finish_non_exhaustive()
    }
}
