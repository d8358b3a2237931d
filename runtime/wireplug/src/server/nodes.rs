//! This server as a node, and the other nodes that serve together with it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::awake::AwakeStatus;
use super::cluster::{Cluster, ClusterLink, Member};
use super::services::Services;
use super::slots::SlotList;
use super::{ServerState, StartError};
use crate::app::Parts;
use crate::config::{ServiceConfig, SessionsPerUser};
use crate::rollout::{RolloutReport, Rollouts};
use crate::session::{RemoteSessions, SessionObserver};
#[cfg(feature = "nats")]
use crate::slot::ObjectStores;
use crate::slot::{Slot, SlotStatus};
use wireplug_connectors::certificates::{CertificateStatus, Certificates, TokenStatus};
use wireplug_wasm::{CompileJob, Compiler};

/// The state of a node.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct NodeStatus {
    /// The name of the node, which no other node has. `None` if the node serves alone.
    pub node: Option<String>,
    /// The version of wireplug.
    pub version: String,
    /// How long the node has been running, in seconds.
    pub uptime: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Sessions that are established.
    pub sessions: u64,
    /// Users with a session.
    pub users: u64,
    /// The sessions that are awake. Each codec slot has the number of those that sleep.
    pub awake: AwakeStatus,
    /// The state of the node's NATS connection. `None` if the node does not use NATS.
    pub nats: Option<NatsStatus>,
    /// The certificates that the node uses, each with the time at which it expires.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
    /// The tokens of the node's control API that expire.
    #[serde(default)]
    pub tokens: Vec<TokenStatus>,
    /// The node's codec slots.
    pub codecs: Vec<SlotStatus>,
    /// The components that the node is compiling and those that wait to be compiled, in the order
    /// in which they were submitted.
    pub compiling: Vec<CompileJob>,
    /// What the node reports about the rollouts of its codecs.
    #[serde(default)]
    pub rollouts: Vec<RolloutReport>,
}

/// The state of a node's NATS connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct NatsStatus {
    /// Whether the node is connected to NATS and all its subscriptions are in effect.
    pub connected: bool,
    /// Why `connected` is false. `None` if it is true.
    pub problem: Option<String>,
    /// How many messages this node could not send since it started: pushes and kicks for other
    /// nodes, and events. This includes every message that NATS refused to publish, also requests.
    pub dropped: u64,
}

/// This server and the nodes that serve together with it. Cheap to clone.
#[derive(Clone)]
pub struct Nodes {
    own: Arc<Own>,
    /// `None` if this server serves alone.
    member: Option<Arc<dyn Member>>,
    services: Arc<Services>,
    /// Stops the task that exchanges messages with the other nodes. It is cancelled only after all
    /// sessions have ended, so that the ends of sessions are published too.
    stop: CancellationToken,
    task: TaskTracker,
}

/// The sources of the state that this server reports about itself.
struct Own {
    /// Weak, because a task of the server itself holds this value and must not keep the server
    /// alive.
    server: Weak<ServerState>,
    slots: Arc<SlotList>,
    compiler: Compiler,
    certificates: Certificates,
    /// The rollouts of this server's codecs, if it shares their state with other nodes.
    rollouts: Option<Arc<Rollouts>>,
    started: Instant,
}

impl Nodes {
    /// Returns the state of each node, this one first. Asks the other nodes for theirs, and waits
    /// until no answer has come for 0.3 s, for at most one second in all. A node that has not
    /// answered by then is missing.
    pub async fn status(&self) -> Vec<NodeStatus> {
        let mut nodes = vec![self.own.status(self.member.as_deref())];
        if let Some(member) = &self.member {
            let mut others = member.others().await.unwrap_or_default();
            others.sort_by(|a, b| a.node.cmp(&b.node));
            nodes.extend(others);
        }
        nodes
    }

    /// Returns the state of this node.
    #[cfg(feature = "metrics")]
    pub(super) fn own_status(&self) -> NodeStatus {
        self.own.status(self.member.as_deref())
    }

    /// Returns the rollouts of this node's codecs, or `None` if the node shares their state with no
    /// other one.
    #[cfg(feature = "control")]
    pub(crate) fn rollouts(&self) -> Option<&Rollouts> {
        self.own.rollouts.as_deref()
    }

    /// Returns the name of this node in the addresses of its sessions.
    #[cfg(feature = "control")]
    pub(crate) fn address(&self) -> &str {
        self.services.node()
    }

    /// Returns the interface through which other nodes are reached, or `None` if this server serves
    /// alone.
    #[cfg(feature = "control")]
    pub(crate) fn member(&self) -> Option<&dyn Member> {
        self.member.as_deref()
    }

    /// Returns the services that answer requests.
    pub(super) fn services(&self) -> &Services {
        &self.services
    }

    /// Returns the times at which certificates and tokens expire.
    #[cfg(feature = "control")]
    pub(crate) fn expiries(&self) -> &Certificates {
        &self.own.certificates
    }

    /// Leaves the other nodes, and waits until the task has ended.
    pub(super) async fn leave(&self) {
        self.stop.cancel();
        self.task.close();
        self.task.wait().await;
    }

    /// Returns why this node is not ready although it runs: it is not connected to NATS, or a
    /// subscription is not in effect. Returns `None` if it is ready. This is for readiness checks.
    pub fn problem(&self) -> Option<String> {
        self.member.as_ref().and_then(|member| member.status().problem)
    }

    /// Returns the name of this node, or `None` if it serves alone.
    pub fn own_name(&self) -> Option<&str> {
        self.member.as_deref().map(Member::name)
    }
}

impl Own {
    fn status(&self, member: Option<&dyn Member>) -> NodeStatus {
        let server = self.server.upgrade();
        let count = |count: fn(&ServerState) -> u64| server.as_deref().map(count).unwrap_or_default();
        NodeStatus {
            node: member.map(|member| member.name().to_owned()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: self.started.elapsed().as_secs(),
            connections: count(|server| server.counters.snapshot().connections_open),
            sessions: count(|server| server.sessions.len() as u64),
            users: count(|server| server.sessions.users() as u64),
            awake: server.as_deref().map(|server| server.awake.status()).unwrap_or_default(),
            nats: member.map(Member::status),
            certificates: self.certificates.status(),
            tokens: self.certificates.tokens(),
            codecs: self.slots.all().iter().map(Slot::status).collect(),
            compiling: self.compiler.jobs(),
            rollouts: self.rollouts.as_ref().map(|rollouts| rollouts.reports()).unwrap_or_default(),
        }
    }
}

/// A server that is about to join the other nodes.
pub(super) struct Joining {
    link: Option<Box<dyn ClusterLink>>,
    services: Arc<Services>,
    certificates: Certificates,
}

/// Begins to connect to services and other nodes, if this is configured, and registers the routes
/// that services answer.
pub(super) async fn join(
    cluster: Option<Box<dyn Cluster>>,
    services: &BTreeMap<String, ServiceConfig>,
    app: &mut Parts,
    certificates: Certificates,
) -> Result<Joining, StartError> {
    let link = match cluster {
        Some(cluster) => {
            let connected = cluster.connect(certificates.clone()).await;
            Some(connected.map_err(|error| StartError::Nats(error.into()))?)
        }
        None => None,
    };
    let services = Services::new(link.as_ref().map(|link| link.member()), services, app)?;
    services.answer(app);
    Ok(Joining { link, services, certificates })
}

impl Joining {
    /// Returns the interface through which this server reaches the sessions of other nodes, or
    /// `None` if this server serves alone.
    pub(super) fn remote_sessions(&self) -> Option<Arc<dyn RemoteSessions>> {
        Some(self.link.as_ref()?.remote_sessions())
    }

    /// Returns the object stores in which codecs may be, or `None` if this server serves alone.
    #[cfg(feature = "nats")]
    pub(super) fn objects(&self) -> Option<Arc<dyn ObjectStores>> {
        Some(self.link.as_ref()?.member().objects())
    }

    /// Returns what passes the events of sessions to services and other nodes.
    pub(super) fn observers(&self) -> Vec<Arc<dyn SessionObserver>> {
        let remote = self.remote_sessions().map(|remote| remote as Arc<dyn SessionObserver>);
        remote.into_iter().chain([self.services.observer()]).collect()
    }

    /// Starts the task that exchanges messages with the other nodes. It runs until `Nodes::leave`
    /// is called.
    pub(super) fn start(
        self,
        server: &Arc<ServerState>,
        slots: &Arc<SlotList>,
        compiler: &Compiler,
    ) -> Nodes {
        let (stop, task) = (CancellationToken::new(), TaskTracker::new());
        let member = self.link.as_ref().map(|link| link.member());
        let rollouts = member.as_ref().map(|member| Rollouts::new(member.rollouts(), Arc::clone(slots)));
        let own = Arc::new(Own {
            server: Arc::downgrade(server),
            slots: Arc::clone(slots),
            compiler: compiler.clone(),
            certificates: self.certificates.clone(),
            rollouts: rollouts.clone(),
            started: Instant::now(),
        });
        task.spawn(self.certificates.watch(stop.clone()));
        let services = self.services;
        let (Some(link), Some(member), Some(rollouts)) = (self.link, member, rollouts) else {
            return Nodes { own, member: None, services, stop, task };
        };
        let status = {
            let (own, member) = (Arc::clone(&own), Arc::clone(&member));
            Box::new(move || own.status(Some(&*member)))
        };
        let one_a_user = server.config.get().sessions_per_user == SessionsPerUser::One;
        task.spawn(rollouts.run(Arc::clone(&member), stop.clone()));
        task.spawn(link.run(server.sessions.clone(), one_a_user, status, stop.clone()));
        Nodes { own, member: Some(member), services, stop, task }
    }
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nodes").field("own", &self.own_name()).finish_non_exhaustive()
    }
}
