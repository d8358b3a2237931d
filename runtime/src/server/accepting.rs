//! Accepts clients, as long as that is possible, and refuses them where it is not.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::field::Empty;
use tracing::{Instrument as _, info_span};

use super::{Door, Shared, connection};
use wireplug_connectors::listening::{AcceptErrors, is_out_of_descriptors};

use crate::connector::Connector;
use crate::session::{CloseReason, SessionId};

/// How many clients a listener refuses at a time for want of file descriptors, before it waits for some.
const REFUSED_AT_A_TIME: usize = 1024;

/// Accepts clients until the server stops; each gets a task of its own.
pub(super) async fn accept(
    shared: Arc<Shared>,
    mut connector: Box<dyn Connector>,
    door: Arc<Door>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let url = connector.url();
    let mut errors = AcceptErrors::of(url.clone());
    loop {
        let incoming = tokio::select! {
            () = stop.cancelled() => return connector.stop(),
            incoming = connector.accept() => incoming,
        };
        match incoming {
            Ok(incoming) => {
                errors.accepted();
                let id = SessionId(shared.next_id.fetch_add(1, Ordering::Relaxed));
                let codec = door.slot.name();
                let span = info_span!("connection", %id, listener = %url, codec, peer = incoming.address, client = Empty);
                shared.counters.accepted();
                let connection =
                    connection(Arc::clone(&shared), Arc::clone(&door), id, incoming, stop.clone());
                tasks.spawn(connection.instrument(span));
            }
            Err(error) => {
                let pause = errors.failed(&error);
                if is_out_of_descriptors(&error) {
                    refuse(&shared, &mut *connector);
                }
                if !pause.is_zero() {
                    sleep(pause).await;
                }
            }
        }
    }
}

/// Closes the clients that wait to be accepted, where there is no file descriptor for them: one that waits without
/// an answer would not try another server.
fn refuse(shared: &Shared, connector: &mut dyn Connector) {
    if shared.spare.give_up() {
        for _ in 0..REFUSED_AT_A_TIME {
            let Some(Ok(incoming)) = connector.accept().now_or_never() else { break };
            drop(incoming);
            shared.counters.accepted();
            shared.counters.closed(&CloseReason::ServerFull);
        }
    }
    shared.spare.keep();
}
