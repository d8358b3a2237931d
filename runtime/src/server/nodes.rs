//! This server and those that serve with it as one.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ServerState;
use super::cluster::{Cluster, ClusterLink, Member};
use crate::app::Parts;
use crate::codec::wasm::{CompileJob, Compiler};
use crate::config::SessionsPerUser;
use crate::session::Elsewhere;
use crate::slot::{Slot, SlotStatus};
use wireplug_connectors::certificates::{CertificateStatus, Certificates};

/// A node as it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NodeStatus {
    /// Its name, which no other has; none: it serves alone.
    pub node: Option<String>,
    /// The version of wireplug.
    pub version: String,
    /// How long it has been at work, in seconds.
    pub uptime: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Sessions that are established.
    pub sessions: u64,
    /// Users with a session.
    pub users: u64,
    /// What it knows of its NATS; none: it has none.
    pub nats: Option<NatsStatus>,
    /// The certificates that it uses, each with the time at which it expires.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
    /// Its codecs.
    pub codecs: Vec<SlotStatus>,
    /// The components that it compiles, and those that wait for that, in the order in which they came.
    pub compiling: Vec<CompileJob>,
}

/// What a node knows of its NATS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NatsStatus {
    /// Whether it is reached, and this node hears all that it subscribes to.
    pub connected: bool,
    /// Why not.
    pub problem: Option<String>,
    /// What this node had to tell and could not, since it started: pushes and kicks for other nodes, and events. What
    /// NATS refused to publish is among it, requests too.
    pub dropped: u64,
}

/// This server and those that serve with it as one. Cheap to clone.
#[derive(Clone)]
pub struct Nodes {
    own: Arc<Own>,
    /// None: it serves alone.
    member: Option<Arc<dyn Member>>,
    /// Of the task that serves with the others: it stops after all sessions have ended, so that they are served until
    /// then and their ends are told.
    stop: CancellationToken,
    task: TaskTracker,
}

/// What this server says of itself.
struct Own {
    /// It is asked by a task of the server's own, which must not keep it.
    server: Weak<ServerState>,
    slots: Vec<Slot>,
    compiler: Compiler,
    certificates: Certificates,
    started: Instant,
}

impl Nodes {
    /// How each node is, this one first. The others are asked; those are missing that do not answer within a second,
    /// or 0.3 s after the one before them.
    pub async fn status(&self) -> Vec<NodeStatus> {
        let mut nodes = vec![self.own.status(self.member.as_deref())];
        if let Some(member) = &self.member {
            let mut others = member.others().await;
            others.sort_by(|a, b| a.node.cmp(&b.node));
            nodes.extend(others);
        }
        nodes
    }

    /// Leaves the others.
    pub(super) async fn leave(&self) {
        self.stop.cancel();
        self.task.close();
        self.task.wait().await;
    }

    /// Why this node does not serve as it should though it runs: NATS is not reached, or does not let it hear what it
    /// subscribes to. For checks of readiness.
    pub fn problem(&self) -> Option<String> {
        self.member.as_ref().and_then(|member| member.status().problem)
    }

    /// The name of this node; none: it serves alone.
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
            nats: member.map(Member::status),
            certificates: self.certificates.status(),
            codecs: self.slots.iter().map(Slot::status).collect(),
            compiling: self.compiler.jobs(),
        }
    }
}

/// A server that is about to serve with others.
pub(super) struct Joining {
    link: Option<Box<dyn ClusterLink>>,
    certificates: Certificates,
}

/// Begins to connect with the others, if there is a way to them, and has services answer the routes of theirs.
pub(super) async fn join(
    cluster: Option<Box<dyn Cluster>>,
    app: &mut Parts,
    certificates: Certificates,
) -> anyhow::Result<Joining> {
    let link = match cluster {
        Some(cluster) => Some(cluster.connect(certificates.clone(), app).await?),
        None => None,
    };
    Ok(Joining { link, certificates })
}

impl Joining {
    /// What the sessions of this server tell the others.
    pub(super) fn elsewhere(&self) -> Option<Arc<dyn Elsewhere>> {
        Some(self.link.as_ref()?.elsewhere())
    }

    /// Serves with the others from now on, until it leaves them.
    pub(super) fn start(self, server: &Arc<ServerState>, slots: &[Slot], compiler: &Compiler) -> Nodes {
        let (stop, task) = (CancellationToken::new(), TaskTracker::new());
        let own = Arc::new(Own {
            server: Arc::downgrade(server),
            slots: slots.to_vec(),
            compiler: compiler.clone(),
            certificates: self.certificates.clone(),
            started: Instant::now(),
        });
        task.spawn(self.certificates.watch(stop.clone()));
        let Some(link) = self.link else { return Nodes { own, member: None, stop, task } };
        let member = link.member();
        let status = {
            let (own, member) = (Arc::clone(&own), Arc::clone(&member));
            Box::new(move || own.status(Some(&*member)))
        };
        let one_a_user = server.config.sessions_per_user == SessionsPerUser::One;
        task.spawn(link.run(server.sessions.clone(), one_a_user, status, stop.clone()));
        Nodes { own, member: Some(member), stop, task }
    }
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nodes").field("own", &self.own_name()).finish_non_exhaustive()
    }
}
