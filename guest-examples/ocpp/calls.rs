//! The requests to one station: in order, and one at a time.
//!
//! OCPP-J allows one CALL at a time in each direction. The codec refuses a second one, so this
//! queue keeps it until the first one is answered or given up.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use wireplug::Session;
use wireplug::session::{ClientResponse, RequestError};

/// How many requests may wait for their turn. An operator sends a few.
const MAX_WAITING: usize = 16;

/// The time between giving up on a request and sending the next one. The codec learns that a
/// request was given up when its connection has its next turn.
const PAUSE: Duration = Duration::from_millis(50);

/// The queue of one station. It ends with its last handle.
#[derive(Clone)]
pub(crate) struct Calls(mpsc::Sender<Call>);

struct Call {
    action: &'static str,
    payload: Value,
    timeout: Duration,
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<ClientResponse, RequestError>;

impl Calls {
    /// Starts the queue of a session.
    pub(crate) fn start(session: Session) -> Self {
        let (calls, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(send(session, waiting));
        Self(calls)
    }

    /// Puts a request into the queue. When its turn comes, the station has `timeout` to answer. The
    /// receiver gets nothing if the queue is full, or ends.
    pub(crate) fn call(
        &self,
        action: &'static str,
        payload: Value,
        timeout: Duration,
    ) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.try_send(Call { action, payload, timeout, answer });
        answered
    }
}

/// Sends the requests of a queue, each when the one before has its answer.
async fn send(session: Session, mut waiting: mpsc::Receiver<Call>) {
    while let Some(Call { action, payload, timeout, answer }) = waiting.recv().await {
        let answered = session.request(action, &payload).timeout(timeout).await;
        let is_late = matches!(answered, Err(RequestError::TimedOut));
        // The operator may have gone.
        let _ = answer.send(answered);
        if is_late {
            sleep(PAUSE).await;
        }
    }
}
