//! Accepts clients, and refuses them while there are no file descriptors for them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::field::Empty;
use tracing::{Instrument as _, error, info_span};

use super::listeners::Order;
use super::serving::serve_client;
use super::{ListenerContext, ServerState};
use crate::session::{CloseReason, SessionId};
use wireplug_base::Chain;
use wireplug_connectors::listening::{AcceptErrors, is_out_of_descriptors};
use wireplug_connectors::{Connector, ListenOptions, Pace};

/// The most clients that a listener refuses in a row because there are no file descriptors, before
/// it waits for descriptors.
const REFUSED_AT_A_TIME: usize = 1024;

/// A connector, as the task that accepts clients owns it.
pub(super) struct Accepting {
    pub(super) connector: Box<dyn Connector>,
    pub(super) options: Box<ListenOptions>,
    /// Whether the service manager keeps the listening sockets.
    pub(super) stays: bool,
    /// Whether another process of an upgrade may still go on with them.
    pub(super) is_shared: bool,
    /// Why nobody is accepted, if so.
    pub(super) pause: Option<Pause>,
}

/// Why no client is accepted. Those who connect wait in the queue of the system.
pub(super) enum Pause {
    /// Until the next order, because of an upgrade.
    Held,
    /// Until the next order. The address is left to the other process.
    Left,
    /// For some time: too many clients came at once, or the system cannot accept one.
    Until(Instant),
}

/// Accepts clients until the listener is closed, and spawns a task for each. Carries out `orders`
/// meanwhile, also while it pauses: sessions that come from another process wait for them. The
/// server stops when `stop` is cancelled, which also closes its listeners.
pub(super) async fn accept(
    server: Arc<ServerState>,
    listener: Arc<ListenerContext>,
    mut accepting: Accepting,
    mut orders: mpsc::Receiver<Order>,
    closed: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let accept_rate = server.accept_rate.clone();
    let url = accepting.connector.url();
    let mut errors = AcceptErrors::of(url.clone());
    loop {
        let pause_ends = match accepting.pause {
            Some(Pause::Until(until)) => Some(until),
            _ => None,
        };
        let incoming = tokio::select! {
            biased;
            () = closed.cancelled() => return accepting.close(),
            Some(order) = orders.recv() => {
                accepting.obey(order).await;
                continue;
            }
            () = sleep_until(pause_ends.unwrap_or_else(Instant::now)), if pause_ends.is_some() => {
                accepting.pause = None;
                continue;
            }
            incoming = accepting.connector.accept(), if accepting.pause.is_none() => incoming,
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
                if !refused && let Pace::Wait(until) = accept_rate.take(1, 0) {
                    accepting.pause = Some(Pause::Until(until));
                }
            }
            Err(error) => {
                let pause = errors.failed(&error);
                if is_out_of_descriptors(&error) {
                    refuse(&server, &listener, &mut *accepting.connector);
                }
                if !pause.is_zero() {
                    accepting.pause = Some(Pause::Until(Instant::now() + pause));
                }
            }
        }
    }
}

impl Accepting {
    async fn obey(&mut self, order: Order) {
        let Self { connector, options, is_shared, pause, .. } = self;
        // Whoever asked may have gone.
        match order {
            Order::Update(new, done) => {
                let updated = connector.check(&new).and_then(|()| connector.update(&new));
                if updated.is_ok() {
                    *options = new;
                }
                let _ = done.send(updated);
            }
            Order::Sockets(done) => drop(done.send(connector.sockets())),
            Order::Hold(done) => {
                *pause = Some(Pause::Held);
                let _ = done.send(());
            }
            Order::Pause(done) => drop(done.send(connector.pause())),
            Order::GoOn(state) => {
                if let Some(Pause::Left) = pause
                    && let Err(error) = connector.start(options).await
                {
                    let (url, error) = (connector.url(), Chain::of(&*error).to_string());
                    error!(url, error, "A LISTENER IS MISSING after an upgrade that broke off: restart");
                    return;
                }
                connector.resume(state.as_deref());
                *pause = None;
            }
            Order::Leave(done) => {
                connector.leave();
                *pause = Some(Pause::Left);
                let _ = done.send(());
            }
            Order::Own(done) => {
                *is_shared = false;
                let _ = done.send(());
            }
            Order::Adopt(client, done) => drop(done.send(connector.adopt(client))),
        }
    }

    /// Stops listening.
    fn close(mut self) {
        match self.stays || self.is_shared {
            true => self.connector.leave(),
            false => self.connector.stop(),
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
