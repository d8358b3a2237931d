//! Services behind NATS, and other nodes: `docs/nats.md` is the contract.
//!
//! | file | its job |
//! |---|---|
//! | `subject` | subjects, both ways |
//! | `link` | the connection, and whether it is there |
//! | `requests` | has services answer requests |
//! | `replies` | hands replies to those who wait |
//! | `commands` | does with sessions what services and other nodes ask for |
//! | `outgoing` | tells services and other nodes what happens here, in its order |
//! | `peers` | bindings and status of nodes |
//!
//! Delivery is at most once. What cannot be told at once is dropped and counted, and never said late: so nothing
//! here waits for NATS but the requests of clients, each with its time-out.

mod commands;
mod link;
mod outgoing;
mod peers;
mod replies;
mod requests;
mod subject;

use std::sync::Arc;

use async_nats::Subscriber;
use tokio_util::sync::CancellationToken;

use self::link::Link;
use self::outgoing::{Outgoing, Queue};
use self::replies::Replies;
pub(crate) use self::requests::Service;
use self::subject::Subjects;
pub(crate) use self::subject::is_token;
use crate::config::{NatsConfig, ServiceConfig};
use crate::server::{NatsStatus, NodeStatus};
use crate::session::Sessions;

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
    commands: Subscriber,
    /// What other nodes say.
    peers: Subscriber,
    /// What services answer.
    replies: Subscriber,
}

/// Looks at the files of a configuration, and does not connect.
///
/// # Errors
/// Returns an error if [`Nats::connect`] would refuse them.
pub(crate) fn check(config: &NatsConfig) -> anyhow::Result<()> {
    link::credentials(config).map(drop)
}

impl Nats {
    /// Begins to connect. NATS need not be there yet.
    ///
    /// # Errors
    /// Where a file cannot be read, or a value of the configuration makes no sense.
    pub(crate) async fn connect(config: &NatsConfig) -> anyhow::Result<Starting> {
        let link = Link::connect(config).await?;
        let subjects = Subjects { prefix: config.prefix.clone(), node: link::node(config.node.as_deref()) };
        let (outgoing, queue) = Outgoing::new(subjects.clone(), link.clone());
        // Before the first request goes out, so that what a service asks for at once is not missed.
        let commands = link.client.subscribe(subjects.clients()).await?;
        let peers = link.client.subscribe(subjects.nodes("*")).await?;
        let (replies, answers) = Replies::subscribe(&link.client).await?;
        let nats = Self(Arc::new(Shared { link, subjects, outgoing: Arc::new(outgoing), replies }));
        Ok(Starting { nats, queue, commands, peers, replies: answers })
    }

    /// The name of this node, which no other has, nor this one when it is started again.
    pub(crate) fn node(&self) -> &str {
        &self.0.subjects.node
    }

    pub(crate) fn status(&self) -> NatsStatus {
        NatsStatus { connected: self.0.link.is_up(), dropped: self.0.outgoing.dropped() }
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

    /// Serves until the server has stopped: what comes in, and what goes out. At the end what was told goes out.
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
        queue.finish(link, outgoing).await;
    }
}
