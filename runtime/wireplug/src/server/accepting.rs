//! Accepts clients, and refuses them while there are no file descriptors for them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt as _;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::field::Empty;
use tracing::{Instrument as _, info_span};

use super::listeners::Accepting;
use super::{ListenerContext, ServerState, serve_client};
use crate::session::{CloseReason, SessionId};
use wireplug_connectors::listening::{AcceptErrors, is_out_of_descriptors};
use wireplug_connectors::{Connector, Pace};

/// The most clients that a listener refuses in a row because there are no file descriptors, before
/// it waits for descriptors.
const REFUSED_AT_A_TIME: usize = 1024;

/// Accepts clients until the listener is closed, and spawns a task for each. The server stops when
/// `stop` is cancelled, which also closes its listeners.
pub(super) async fn accept(
    server: Arc<ServerState>,
    accepting: Accepting,
    closed: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let Accepting { mut connector, stays, listener, mut orders } = accepting;
    let mut holds = false;
    let accept_rate = server.accept_rate.clone();
    let url = connector.url();
    let mut errors = AcceptErrors::of(url.clone());
    loop {
        let incoming = tokio::select! {
            // Sessions that come from another process wait for their orders.
            biased;
            () = closed.cancelled() => {
                return if stays { connector.leave() } else { connector.stop() };
            }
            Some(order) = orders.recv() => {
                holds = order.apply(&mut *connector, holds);
                continue;
            }
            incoming = connector.accept(), if !holds => incoming,
        };
        match incoming {
            Ok(incoming) => {
                errors.accepted();
                let id = SessionId(server.next_id.fetch_add(1, Ordering::Relaxed));
                let codec = listener.slot.name();
                let span = info_span!("connection", %id, listener = %url, codec, peer = incoming.address, client = Empty);
                listener.counters.accepted();
                // An address that is denied cannot use up the rate of the others.
                let access = &listener.settings.get().access;
                let refused = !incoming.behind_proxy && !access.allows_client(&incoming.address);
                let (server, listener) = (Arc::clone(&server), Arc::clone(&listener));
                let served = serve_client(server, listener, id, incoming, stop.clone());
                tasks.spawn(served.instrument(span));
                if refused {
                    continue;
                }
                if let Pace::Wait(until) = accept_rate.take(1, 0) {
                    // Others wait in the kernel's queue.
                    closed.run_until_cancelled(sleep_until(until)).await;
                }
            }
            Err(error) => {
                let pause = errors.failed(&error);
                if is_out_of_descriptors(&error) {
                    refuse(&server, &listener, &mut *connector);
                }
                if !pause.is_zero() {
                    sleep(pause).await;
                }
            }
        }
    }
}

/// Closes the connections of clients that wait to be accepted, while there are no file descriptors
/// for them. A client that waits without an answer would not try another server.
fn refuse(server: &ServerState, listener: &ListenerContext, connector: &mut dyn Connector) {
    if server.spare.give_up() {
        for _ in 0..REFUSED_AT_A_TIME {
            let Some(Ok(incoming)) = connector.accept().now_or_never() else { break };
            drop(incoming);
            listener.counters.accepted();
            listener.counters.closed(&CloseReason::ServerFull);
        }
    }
    server.spare.keep();
}
