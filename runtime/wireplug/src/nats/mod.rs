//! Connects a server with services behind NATS and with other nodes. `docs/nats.md` is the
//! contract.
//!
//! | file | its job |
//! |---|---|
//! | `subject` | writes and parses subjects |
//! | `link` | the connection, whose client is replaced if it ends |
//! | `credentials` | the files with which a node authenticates |
//! | `observer` | handles the events of the client library |
//! | `health` | whether the node is connected, and which subscriptions are in effect |
//! | `kept` | a subscription that is made again when it is no longer in effect |
//! | `requests` | passes clients' requests and hellos to services |
//! | `replies` | passes replies to the callers that wait for them |
//! | `client_requests` | sends the requests of services to clients |
//! | `commands` | applies the commands of services and other nodes to sessions |
//! | `remote_commands` | sends commands for sessions of other nodes |
//! | `outgoing` | sends messages to services and other nodes, in order |
//! | `peers` | exchanges bindings and status with other nodes |
//! | `rollouts` | the state of rollouts, which all nodes share |
//! | `objects` | codecs in object stores: fetches them, and watches for other versions |
//! | `store` | reads, puts and lists objects |
//! | `client` | a client of object stores, for programs that are no nodes |
//!
//! Delivery is at most once. A message that cannot be sent at once is dropped and counted, and
//! never sent late. So only the requests of clients wait for NATS, each with its timeout.

mod client;
mod client_requests;
mod commands;
mod credentials;
mod health;
mod kept;
mod link;
mod objects;
mod observer;
mod outgoing;
mod peers;
#[cfg(feature = "control")]
mod remote_commands;
mod replies;
mod requests;
mod rollouts;
mod store;
mod subject;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::kv::Store;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use self::client::{ObjectClient, ObjectError};
use self::credentials::Credentials;
use self::health::Subscription;
use self::kept::Kept;
use self::link::Link;
use self::outgoing::{Outgoing, Queue};
use self::replies::Replies;
use self::requests::NatsService;
use self::subject::Subjects;
use crate::config::{NatsConfig, ServiceConfig};
use crate::rollout::RolloutStore;
#[cfg(feature = "control")]
use crate::server::client_commands::{CommandDetails, RemoteSession, Verb};
#[cfg(feature = "control")]
use crate::server::cluster::CommandReply;
use crate::server::cluster::{Cluster, ClusterLink, Member};
use crate::server::services::{ServiceLink, node_name};
use crate::server::{NatsStatus, NodeStatus, Server};
use crate::session::{RemoteSessions, Sessions};
use crate::slot::ObjectStores;
use wireplug_connectors::certificates::Certificates;

/// How long the node may take at the end to send what is left, before the connection is closed.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A node's side of NATS.
#[derive(Clone)]
struct Nats(Arc<Shared>);

struct Shared {
    link: Link,
    subjects: Subjects,
    outgoing: Arc<Outgoing>,
    replies: Arc<Replies>,
    /// The bucket with the state of rollouts, and the number of the client to which it belongs.
    rollouts: Mutex<Option<(u64, Store)>>,
}

/// A node's side of NATS that does not serve yet.
struct Starting {
    nats: Nats,
    queue: Queue,
    /// Receives the commands of services and other nodes.
    commands: Kept,
    /// Receives the messages between nodes.
    peers: Kept,
    /// Receives the replies of services.
    replies: Kept,
}

/// The configuration of NATS.
#[derive(Debug)]
struct Configured(NatsConfig);

impl Server {
    /// Lets this server serve as one with other servers on the same NATS, and reach its
    /// [services](Server::services) over NATS. `docs/nats.md` says what a service is.
    ///
    /// NATS does not have to be reachable when the server starts.
    pub fn nats(self, nats: NatsConfig) -> Self {
        self.cluster(Configured(nats))
    }
}

impl Cluster for Configured {
    fn check(&self) -> anyhow::Result<()> {
        Credentials::new(&self.0).read(b"").map(drop)
    }

    fn connect(
        self: Box<Self>,
        certificates: Certificates,
    ) -> BoxFuture<'static, anyhow::Result<Box<dyn ClusterLink>>> {
        async move {
            let starting = Nats::connect(&self.0, certificates).await?;
            Ok(Box::new(starting) as Box<dyn ClusterLink>)
        }
        .boxed()
    }
}

impl Nats {
    /// Begins to connect. NATS does not have to be reachable yet. Notes in `certificates` when the
    /// certificates of NATS expire.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or its content is invalid, or if an address is
    /// invalid.
    async fn connect(config: &NatsConfig, certificates: Certificates) -> anyhow::Result<Starting> {
        let subjects = Subjects { prefix: config.prefix.clone(), node: node_name(config.node.as_deref()) };
        let inbox = link::inbox(&config.inbox_prefix);
        let heard = [format!("{inbox}.*"), subjects.clients(), subjects.nodes("*")];
        let link = Link::connect(config, certificates, heard).await?;
        let (outgoing, queue) = Outgoing::new(subjects.clone(), link.clone());
        // The node subscribes before the first request goes out, so that it misses no command that
        // a service sends at once.
        let commands = Kept::subscribe(&link, Subscription::Commands).await;
        let peers = Kept::subscribe(&link, Subscription::Peers).await;
        let answers = Kept::subscribe(&link, Subscription::Replies).await;
        let replies = Arc::new(Replies::new(inbox));
        let nats = Self(Arc::new(Shared {
            link,
            subjects,
            outgoing: Arc::new(outgoing),
            replies,
            rollouts: Mutex::default(),
        }));
        Ok(Starting { nats, queue, commands, peers, replies: answers })
    }
}

impl Member for Nats {
    fn name(&self) -> &str {
        &self.0.subjects.node
    }

    fn status(&self) -> NatsStatus {
        let Shared { link, outgoing, .. } = &*self.0;
        let problem = link.problem();
        let dropped = outgoing.dropped() + link.unpublished();
        NatsStatus { connected: problem.is_none(), problem, dropped }
    }

    fn service(&self, name: &str, config: &ServiceConfig) -> Arc<dyn ServiceLink> {
        Arc::new(NatsService::new(self.clone(), name, config))
    }

    fn others(&self) -> BoxFuture<'_, Option<Vec<NodeStatus>>> {
        peers::others(&self.0.link, &self.0.subjects).boxed()
    }

    fn rollouts(&self) -> Arc<dyn RolloutStore> {
        Arc::new(self.clone())
    }

    fn objects(&self) -> Arc<dyn ObjectStores> {
        Arc::new(self.clone())
    }

    #[cfg(feature = "control")]
    fn command(
        &self,
        session: &RemoteSession,
        verb: Verb,
        given: &CommandDetails<'_>,
    ) -> BoxFuture<'static, CommandReply> {
        self.command_elsewhere(session, verb, given)
    }
}

impl ClusterLink for Starting {
    fn member(&self) -> Arc<dyn Member> {
        Arc::new(self.nats.clone())
    }

    fn remote_sessions(&self) -> Arc<dyn RemoteSessions> {
        Arc::clone(&self.nats.0.outgoing) as _
    }

    fn run(
        self: Box<Self>,
        sessions: Sessions,
        one_a_user: bool,
        own: Box<dyn Fn() -> NodeStatus + Send>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        async move {
            let Self { nats: Nats(shared), mut queue, commands, peers, replies: answers } = *self;
            let Shared { link, subjects, outgoing, replies, rollouts: _ } = &*shared;
            tokio::select! {
                () = stop.cancelled() => {}
                () = queue.run(link, outgoing) => {}
                () = replies.run(answers) => {}
                () = commands::run(commands, subjects, outgoing, &sessions) => {}
                () = peers::run(peers, link, subjects, outgoing, &sessions, one_a_user, own) => {}
            }
            // A NATS server that does not read must not delay the end.
            let _ = timeout(LAST_WORDS, queue.finish(link, outgoing)).await;
            link.close().await;
        }
        .boxed()
    }
}
