//! The interface through which a server reaches services and other servers. NATS implements it.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use wireplug_connectors::certificates::Certificates;

#[cfg(feature = "control")]
use super::client_commands::{CommandDetails, CommandError, RemoteSession, Verb};
use super::nodes::{NatsStatus, NodeStatus};
use super::services::ServiceLink;
use crate::config::ServiceConfig;
use crate::rollout::RolloutStore;
#[cfg(feature = "control")]
use crate::session::ClientResponse;
use crate::session::{RemoteSessions, Sessions};
#[cfg(feature = "nats")]
use crate::slot::ObjectStores;

/// A connection to services and other servers that is configured and not open yet.
pub(crate) trait Cluster: fmt::Debug + Send {
    /// Checks the files that the configuration names, without connecting.
    ///
    /// # Errors
    /// Returns an error if [`Cluster::connect`] would refuse a file.
    fn check(&self) -> anyhow::Result<()>;

    /// Begins to connect. The other end does not have to be reachable yet. Notes in `certificates`
    /// when the certificates of the connection expire.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or its content is invalid, or if an address is
    /// invalid.
    fn connect(
        self: Box<Self>,
        certificates: Certificates,
    ) -> BoxFuture<'static, anyhow::Result<Box<dyn ClusterLink>>>;
}

/// A connection to services and other servers that does not serve yet.
pub(crate) trait ClusterLink: Send {
    /// Returns this server in the form in which the other servers know it.
    fn member(&self) -> Arc<dyn Member>;

    /// Returns the interface through which this server reaches the sessions of the other servers.
    fn remote_sessions(&self) -> Arc<dyn RemoteSessions>;

    /// Handles incoming and outgoing messages until `stop` is cancelled, and then sends what is
    /// still queued, within a time limit. `one_a_user` is true if each user may have only one
    /// session. `own` returns the state of this server.
    fn run(
        self: Box<Self>,
        sessions: Sessions,
        one_a_user: bool,
        own: Box<dyn Fn() -> NodeStatus + Send>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()>;
}

/// The reply of another server to a command for a session: a response if the command was a request
/// to a client.
#[cfg(feature = "control")]
pub(crate) type CommandReply = Result<Option<ClientResponse>, CommandError>;

/// This server in the form in which the other servers know it.
pub(crate) trait Member: Send + Sync {
    /// Returns the name of this server, which no other server has.
    fn name(&self) -> &str;

    /// Returns the state of the connection.
    fn status(&self) -> NatsStatus;

    /// Returns a link to a service that is reached over this connection.
    fn service(&self, name: &str, config: &ServiceConfig) -> Arc<dyn ServiceLink>;

    /// Asks the other servers for their state, and returns the answers. Returns `None` if they
    /// cannot be asked.
    fn others(&self) -> BoxFuture<'_, Option<Vec<NodeStatus>>>;

    /// Returns the store of rollouts.
    fn rollouts(&self) -> Arc<dyn RolloutStore>;

    /// Returns the object stores in which codecs may be.
    #[cfg(feature = "nats")]
    fn objects(&self) -> Arc<dyn ObjectStores>;

    /// Sends a valid command for a session of another server there. The command has its place
    /// among the commands of this server when this returns; only the reply is still to come.
    #[cfg(feature = "control")]
    fn command(
        &self,
        session: &RemoteSession,
        verb: Verb,
        given: &CommandDetails<'_>,
    ) -> BoxFuture<'static, CommandReply>;
}
