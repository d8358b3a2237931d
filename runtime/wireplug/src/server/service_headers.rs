//! The headers of requests to services and of their answers, and of the commands of services. Their
//! names are the same over NATS and over HTTP.

#![cfg_attr(
    not(any(feature = "http", feature = "nats")),
    allow(dead_code, reason = "only services get requests")
)]

use crate::session::{Session, SessionId};

pub(crate) const ROUTE: &str = "Wireplug-Route";

/// The status of a client's response to a request.
#[cfg(any(feature = "control", feature = "nats"))]
pub(crate) const STATUS: &str = "Wireplug-Status";

/// How long a service waits for the response of a client, in milliseconds.
#[cfg(any(feature = "control", feature = "nats"))]
pub(crate) const TIMEOUT: &str = "Wireplug-Timeout";

pub(crate) const SESSION: &str = "Wireplug-Session";
pub(crate) const USER: &str = "Wireplug-User";
pub(crate) const NODE: &str = "Wireplug-Node";
pub(crate) const PEER: &str = "Wireplug-Peer";

/// The user to whom an answer to a hello binds the session.
pub(crate) const BIND: &str = "Wireplug-Bind";

/// Gives the headers that tell services about a session of the server `node` to `put`.
pub(crate) fn of_session(session: &Session, node: &str, mut put: impl FnMut(&'static str, &str)) {
    put(SESSION, &address(node, session.id()));
    put(NODE, node);
    if let Some(user) = session.user() {
        put(USER, &user);
    }
    let peer = &session.client().address;
    if !peer.is_empty() {
        put(PEER, peer);
    }
}

/// Returns the address of a session among the sessions of all servers.
pub(crate) fn address(node: &str, id: SessionId) -> String {
    format!("{node}.{id}")
}
