//! What a server needs of whatever connects it with services and with other servers. NATS
//! implements it.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use wireplug_connectors::certificates::Certificates;

use super::nodes::{NatsStatus, NodeStatus};
use crate::app::Parts;
use crate::session::{RemoteSessions, Sessions};

/// A way to services and other servers that was configured and is not connected.
pub(crate) trait Cluster: fmt::Debug + Send {
    /// Looks at its files, and does not connect.
    ///
    /// # Errors
    /// Returns an error if [`Cluster::connect`] would refuse them.
    fn check(&self) -> anyhow::Result<()>;

    /// Begins to connect, and adds the routes of its services to the application. Nothing at the
    /// other end need be there yet. `certificates` learns when the certificates of the connection
    /// expire.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or holds something else, or an address or a name
    /// is none.
    fn connect<'a>(
        self: Box<Self>,
        certificates: Certificates,
        app: &'a mut Parts,
    ) -> BoxFuture<'a, anyhow::Result<Box<dyn ClusterLink>>>;
}

/// A way to services and other servers that is not at work yet.
pub(crate) trait ClusterLink: Send {
    /// This server as the others know it.
    fn member(&self) -> Arc<dyn Member>;

    /// The sessions of the other servers, as those of this one reach them.
    fn remote_sessions(&self) -> Arc<dyn RemoteSessions>;

    /// Serves until the server has stopped: what comes in, and what goes out. At the end what was
    /// queued still goes out, within a bound.
    fn run(
        self: Box<Self>,
        sessions: Sessions,
        one_a_user: bool,
        own: Box<dyn Fn() -> NodeStatus + Send>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()>;
}

/// This server among others.
pub(crate) trait Member: Send + Sync {
    /// Its name, which no other server has.
    fn name(&self) -> &str;

    /// What it knows of its connection.
    fn status(&self) -> NatsStatus;

    /// The other servers that answer, as they see themselves.
    fn others(&self) -> BoxFuture<'_, Vec<NodeStatus>>;
}
