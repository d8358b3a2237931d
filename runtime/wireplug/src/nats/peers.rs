//! Exchanges messages between nodes: their status and, if each user may have only one session, the
//! users to whom sessions are bound.

use std::time::Duration;

use async_nats::{HeaderMap, Message};
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::kept::Kept;
use super::link::Link;
use super::outgoing::{Bindings, Outgoing};
use super::subject::Subjects;
use crate::codec::Reason;
use crate::server::NodeStatus;
use crate::session::Sessions;
use wireplug_base::limited;

/// The most bindings in one message, which then has about 100 KiB at most.
const CHUNK: usize = 500;

/// The shortest interval at which all bindings are sent, however many nodes ask for them.
const PAUSE: Duration = Duration::from_secs(1);

/// The interval at which all bindings are sent and requested, even if nothing seems to have been
/// missed.
const PERIOD: Duration = Duration::from_secs(60);

/// How long a node waits for the answers of other nodes: `QUIET` after the last answer, and
/// `GATHER` in all.
const QUIET: Duration = Duration::from_millis(300);
const GATHER: Duration = Duration::from_secs(1);

/// Answers other nodes, and exchanges bindings with them. Never returns.
pub(super) async fn run(
    mut said: Kept,
    link: &Link,
    subjects: &Subjects,
    outgoing: &Outgoing,
    sessions: &Sessions,
    one_a_user: bool,
    own: impl Fn() -> NodeStatus + Send + 'static,
) {
    let [bindings, sync, status] = ["bindings", "sync", "status"].map(|what| subjects.nodes(what));
    let mut missed = link.nothing_missed();
    // All bindings are exchanged at the start, when something may have been missed, and at
    // intervals. The intervals are needed because NATS servers can lose each other without their
    // clients noticing.
    let mut meet_at = Instant::now();
    // When all bindings are sent, for example because other nodes have asked for them.
    let mut send_at: Option<Instant> = None;
    let mut sent_at = Instant::now() - PAUSE;
    loop {
        let due = send_at;
        tokio::select! {
            message = said.next() => match message {
                message if *message.subject == *bindings => take(&message, sessions),
                message if *message.subject == *sync => {
                    send_at.get_or_insert(Instant::now().max(sent_at + PAUSE));
                }
                Message { subject, reply: Some(reply), .. } if *subject == *status => {
                    if let Ok(json) = serde_json::to_vec(&own()) {
                        outgoing.send(reply.to_string(), HeaderMap::new(), json);
                    }
                }
                message => limited!(DEBUG, subject = %Reason::new(&*message.subject), "another version of a node said something"),
            },
            () = link.missed(&mut missed) => meet_at = meet_at.min(Instant::now().max(sent_at + PAUSE)),
            () = outgoing.unsent() => meet_at = meet_at.min(Instant::now() + PAUSE),
            () = sleep_until(meet_at), if one_a_user => {
                (meet_at, send_at) = (Instant::now() + PERIOD, Some(Instant::now()));
                if link.is_up() {
                    outgoing.ask_for_bindings();
                }
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                (send_at, sent_at) = (None, Instant::now());
                if one_a_user && link.is_up() {
                    sessions.bindings().chunks(CHUNK).for_each(|chunk| outgoing.send_bindings(chunk.to_vec()));
                }
            }
        }
    }
}

fn take(message: &Message, sessions: &Sessions) {
    match serde_json::from_slice(&message.payload) {
        Ok(Bindings { node, bindings }) => {
            bindings.iter().for_each(|(user, at)| sessions.bound_elsewhere(user, *at, &node));
        }
        Err(error) => {
            limited!(DEBUG, error = %Reason::new(error.to_string()), "bindings of another node cannot be read")
        }
    }
}

/// Returns the state of the other nodes that answer, or `None` if they cannot be asked. It takes at
/// most [`GATHER`], whatever NATS does.
pub(super) async fn others(link: &Link, subjects: &Subjects) -> Option<Vec<NodeStatus>> {
    if !link.is_up() {
        return None;
    }
    let client = link.client().1;
    let end = Instant::now() + GATHER;
    let ask = async {
        let inbox = client.new_inbox();
        let answers = client.subscribe(inbox.clone()).await.ok()?;
        client.publish_with_reply(subjects.nodes("status"), inbox, "".into()).await.ok()?;
        Some(answers)
    };
    // The question has a time limit, because it waits for a server that does not read.
    let mut answers = timeout_at(end, ask).await.ok()??;
    let mut nodes = Vec::new();
    loop {
        let until = end.min(Instant::now() + QUIET);
        let Ok(Some(answer)) = timeout_at(until, answers.next()).await else { return Some(nodes) };
        // An answer without a payload means that no node subscribes.
        if let Ok(node) = serde_json::from_slice(&answer.payload) {
            nodes.push(node);
        }
    }
}
