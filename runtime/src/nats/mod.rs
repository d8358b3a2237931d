//! Services behind NATS, and other nodes: `docs/nats.md` is the contract.
//!
//! | file | its job |
//! |---|---|
//! | `subject` | subjects, both ways |
//! | `link` | the connection, on whichever client there is |
//! | `credentials` | the files by which a node shows who it is |
//! | `observer` | what the client library says, and what follows from it |
//! | `health` | whether NATS is reached, and which subscriptions hold |
//! | `kept` | a subscription that is made again when it does not hold |
//! | `requests` | has services answer requests |
//! | `replies` | hands replies to those who wait |
//! | `commands` | does with sessions what services and other nodes ask for |
//! | `outgoing` | tells services and other nodes what happens here, in its order |
//! | `peers` | bindings and status of nodes |
//!
//! Delivery is at most once. What cannot be told at once is dropped and counted, and never said late: so nothing
//! here waits for NATS but the requests of clients, each with its time-out.

mod commands;
mod credentials;
mod health;
mod kept;
mod link;
mod observer;
mod outgoing;
mod peers;
mod replies;
mod requests;
mod subject;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::credentials::Credentials;
use self::health::Subscription;
use self::kept::Kept;
use self::link::Link;
use self::outgoing::{Outgoing, Queue};
use self::replies::Replies;
pub(crate) use self::requests::Service;
use self::subject::Subjects;
pub(crate) use self::subject::is_token;
use crate::config::{NatsConfig, ServiceConfig};
use crate::server::{NatsStatus, NodeStatus};
use crate::session::Sessions;
use wireplug_connectors::certificates::Certificates;

/// How long what is left to be told may take at the end, before the connection is closed.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A node's side of NATS.
#[derive(Clone)]
pub(crate) struct Nats(Arc<Shared>);

struct Shared {
    link: Link,
    subjects: Subjects,
    outgoing: Arc<Outgoing>,
    replies: Replies,
}

/// A node's side that is not at work yet.
pub(crate) struct Starting {
    nats: Nats,
    queue: Queue,
    /// What is to be done with clients.
    commands: Kept,
    /// What other nodes say.
    peers: Kept,
    /// What services answer.
    replies: Kept,
}

/// Looks at the files of a configuration, and does not connect.
///
/// # Errors
/// Returns an error if [`Nats::connect`] would refuse them.
pub(crate) fn check(config: &NatsConfig) -> anyhow::Result<()> {
    Credentials::new(config).read(b"").map(drop)
}

impl Nats {
    /// Begins to connect. NATS need not be there yet. `certificates` are told when those of NATS expire.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or holds something else, or an address is none.
    pub(crate) async fn connect(config: &NatsConfig, certificates: Certificates) -> anyhow::Result<Starting> {
        let subjects = Subjects { prefix: config.prefix.clone(), node: link::node(config.node.as_deref()) };
        let inbox = link::inbox();
        let heard = [format!("{inbox}.*"), subjects.clients(), subjects.nodes("*")];
        let link = Link::connect(config, certificates, heard).await?;
        let (outgoing, queue) = Outgoing::new(subjects.clone(), link.clone());
        // Before the first request goes out, so that what a service asks for at once is not missed.
        let commands = Kept::subscribe(&link, Subscription::Commands).await;
        let peers = Kept::subscribe(&link, Subscription::Peers).await;
        let answers = Kept::subscribe(&link, Subscription::Replies).await;
        let replies = Replies::new(inbox);
        let nats = Self(Arc::new(Shared { link, subjects, outgoing: Arc::new(outgoing), replies }));
        Ok(Starting { nats, queue, commands, peers, replies: answers })
    }

    /// The name of this node, which no other has, nor this one when it is started again.
    pub(crate) fn node(&self) -> &str {
        &self.0.subjects.node
    }

    pub(crate) fn status(&self) -> NatsStatus {
        let Shared { link, outgoing, .. } = &*self.0;
        let problem = link.problem();
        let dropped = outgoing.dropped() + link.unpublished();
        NatsStatus { connected: problem.is_none(), problem, dropped }
    }

    /// The other nodes that answer, as they see themselves.
    pub(crate) async fn others(&self) -> Vec<NodeStatus> {
        peers::others(&self.0.link, &self.0.subjects).await
    }
}

impl Starting {
    pub(crate) fn nats(&self) -> &Nats {
        &self.nats
    }

    /// What the sessions of this node tell the others.
    pub(crate) fn elsewhere(&self) -> Arc<Outgoing> {
        Arc::clone(&self.nats.0.outgoing)
    }

    /// What answers the routes of a server type.
    pub(crate) fn service(&self, config: &ServiceConfig) -> Service {
        Service::new(self.nats.clone(), config)
    }

    /// Serves until the server has stopped: what comes in, and what goes out. At the end what was told goes out, within
    /// [`LAST_WORDS`], and the connection is closed.
    pub(crate) async fn run(
        self,
        sessions: Sessions,
        one_a_user: bool,
        own: impl Fn() -> NodeStatus + Send + 'static,
        stop: CancellationToken,
    ) {
        let Self { nats: Nats(shared), mut queue, commands, peers, replies: answers } = self;
        let Shared { link, subjects, outgoing, replies } = &*shared;
        tokio::select! {
            () = stop.cancelled() => {}
            () = queue.run(link, outgoing) => {}
            () = replies.run(answers) => {}
            () = commands::run(commands, subjects, outgoing, &sessions) => {}
            () = peers::run(peers, link, subjects, outgoing, &sessions, one_a_user, own) => {}
        }
        // A server that does not read must not hold up the end.
        let _ = timeout(LAST_WORDS, queue.finish(link, outgoing)).await;
        link.close().await;
    }
}
