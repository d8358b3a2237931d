//! Sends messages to services and other nodes, in the order of their causes.
//!
//! Sending never waits. A message goes into a queue that a task empties. While NATS is not reached,
//! or if the queue is full, the message is dropped and counted, so that nothing is sent late.

use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};

use super::link::Link;
use super::subject::Subjects;
use crate::server::client_commands::Verb;
use crate::server::service_headers::{self, ROUTE, USER};
use crate::session::{Command, RemoteSessions, Session, SessionEvent, SessionObserver, Target, User};
use wireplug_base::limited;

/// The length of the queue, in messages. A message holds at most one push. So with pushes of 1 KiB
/// the queue takes about 4 MiB.
const QUEUE: usize = 1 << 12;

/// Queues this node's messages to services and other nodes.
pub(crate) struct Outgoing {
    subjects: Subjects,
    link: Link,
    queue: mpsc::Sender<Queued>,
    dropped: AtomicU64,
    /// Notified when bindings were dropped, so that all of them must be sent again.
    unsent: Notify,
}

/// The messages that are queued and not published yet.
pub(super) struct Queue(mpsc::Receiver<Queued>);

struct Queued {
    /// The connection for which the message was queued. It is not sent on a later one.
    connection: u64,
    subject: String,
    /// The subject of the reply, if one is wanted.
    reply: Option<String>,
    headers: HeaderMap,
    payload: Bytes,
}

/// Bindings of one node, each a user and the time of the binding.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Bindings {
    pub(super) node: String,
    pub(super) bindings: Vec<(User, u64)>,
}

impl Outgoing {
    pub(super) fn new(subjects: Subjects, link: Link) -> (Self, Queue) {
        let (queue, queued) = mpsc::channel(QUEUE);
        let unsent = Notify::new();
        (Self { subjects, link, queue, dropped: AtomicU64::new(0), unsent }, Queue(queued))
    }

    /// Queues a message. Returns false if the message was dropped.
    pub(super) fn send(&self, subject: String, headers: HeaderMap, payload: impl Into<Bytes>) -> bool {
        self.queue(subject, None, headers, payload.into())
    }

    /// Queues a message to which another node replies. Returns false if the message was dropped.
    #[cfg(feature = "control")]
    pub(super) fn send_with_reply(
        &self,
        subject: String,
        reply: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> bool {
        self.queue(subject, Some(reply), headers, payload)
    }

    fn queue(&self, subject: String, reply: Option<String>, headers: HeaderMap, payload: Bytes) -> bool {
        let queued = self.link.connection().is_some_and(|connection| {
            let message = Queued { connection, subject, reply, headers, payload };
            self.queue.try_send(message).is_ok()
        });
        if !queued {
            self.drop_one();
        }
        queued
    }

    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks all other nodes for their bindings.
    pub(super) fn ask_for_bindings(&self) {
        if !self.send(self.subjects.nodes("sync"), HeaderMap::new(), "") {
            self.unsent.notify_one();
        }
    }

    /// Returns when bindings could not be sent.
    pub(super) async fn unsent(&self) {
        self.unsent.notified().await;
    }

    pub(super) fn send_bindings(&self, bindings: Vec<(User, u64)>) {
        let bindings = Bindings { node: self.subjects.node.clone(), bindings };
        if let Ok(json) = serde_json::to_vec(&bindings)
            && !self.send(self.subjects.nodes("bindings"), HeaderMap::new(), json)
        {
            self.unsent.notify_one();
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Queue {
    /// Publishes the queued messages, until no more messages can be queued.
    pub(super) async fn run(&mut self, link: &Link, outgoing: &Outgoing) {
        let mut reach = link.reach();
        while let Some(Queued { connection, subject, reply, headers, payload }) = self.0.recv().await {
            let client = link.client().1;
            let publish = async {
                match (reply, headers.is_empty()) {
                    (Some(reply), true) => client.publish_with_reply(subject, reply, payload).await,
                    (Some(reply), false) => {
                        client.publish_with_reply_and_headers(subject, reply, headers, payload).await
                    }
                    (None, true) => client.publish(subject, payload).await,
                    (None, false) => client.publish_with_headers(subject, headers, payload).await,
                }
            };
            let published = tokio::select! {
                biased;
                _ = reach.wait_for(|now| now.connection != Some(connection)) => false,
                // This fails if the message is larger than the server accepts, or if the client has
                // ended.
                published = publish => published.inspect_err(|error| limited!(DEBUG, %error, "not published")).is_ok(),
            };
            if !published {
                outgoing.drop_one();
            }
        }
    }

    /// Publishes the messages that are already queued, and no more.
    pub(super) async fn finish(&mut self, link: &Link, outgoing: &Outgoing) {
        self.0.close();
        self.run(link, outgoing).await;
    }
}

impl RemoteSessions for Outgoing {
    fn node(&self) -> &str {
        &self.subjects.node
    }

    fn apply(&self, target: &Target, command: &Command) {
        let mut headers = HeaderMap::new();
        let (verb, payload) = match command {
            Command::Push(message) => {
                put(&mut headers, ROUTE, &message.route);
                (Verb::Push, message.body.clone())
            }
            Command::Kick(reason) => (Verb::Kick, Bytes::copy_from_slice(reason.as_str().as_bytes())),
            Command::Join(group) => (Verb::Join, Bytes::copy_from_slice(group.as_bytes())),
            Command::Leave(group) => (Verb::Leave, Bytes::copy_from_slice(group.as_bytes())),
            // These commands concern a single session, which is on this node.
            Command::Bind(_) | Command::Unbind | Command::Set(_) => return,
        };
        self.send(self.subjects.command(verb, target), headers, payload);
    }
}

impl SessionObserver for Outgoing {
    fn event(&self, session: &Session, event: &SessionEvent, bound_at: Option<u64>) {
        let mut headers = of_session(session, &self.subjects);
        if let (SessionEvent::Bound(user), Some(at)) = (event, bound_at) {
            self.send_bindings(vec![(user.clone(), at)]);
        }
        if let Some(user) = event.user() {
            put(&mut headers, USER, user);
        }
        self.send(self.subjects.event(event.name()), headers, event.reason().unwrap_or_default());
    }
}

// === headers ===

/// Returns the headers that tell services about a session.
pub(super) fn of_session(session: &Session, subjects: &Subjects) -> HeaderMap {
    let mut headers = HeaderMap::new();
    service_headers::of_session(session, &subjects.node, |name, value| put(&mut headers, name, value));
    headers
}

/// Sets a header, unless its value is invalid. A line break in the value would begin another
/// header.
pub(super) fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    if let Ok(value) = value.parse::<HeaderValue>() {
        headers.insert(name, value);
    }
}
