//! The listeners of a running server: starting one, changing one, and taking one away.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accepting::accept;
use super::admission::Admission;
use super::listener::{Resolved, cannot_listen};
use super::live::Live;
use super::{ListenerContext, ListenerSettings, ServerState, StartError};
use crate::config::ServerConfig;
use crate::session::Origin;
use crate::slot::Slot;
use crate::stats::Counters;
use wireplug_connectors::certificates::Certificates;
use wireplug_connectors::running_time::RunningTime;
use wireplug_connectors::{BoxError, Connector, Health, ListenOptions};

/// What listeners share when they start.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) certificates: Certificates,
    pub(super) time: RunningTime,
    pub(super) health: Health,
    pub(super) counters: Arc<Counters>,
}

/// A listener that has its address, and accepts nobody yet. Dropping it frees the address.
pub(super) struct Bound {
    configured: Option<String>,
    descriptors: u32,
    connector: Box<dyn Connector>,
    context: ListenerContext,
}

impl Bound {
    /// Checks a listener, and binds its address.
    pub(super) async fn bind(
        listener: Resolved,
        slot: Slot,
        config: &ServerConfig,
        common: &Common,
    ) -> Result<Self, StartError> {
        let options = listener.options(config, common);
        listener.check(&slot, &options, config)?;
        let Resolved { configured, mut connector, access, limits, .. } = listener;
        let url = connector.url();
        connector.start(&options).await.map_err(cannot_listen(&url))?;
        let max_datagram = connector.max_datagram();
        slot.add_listener(connector.url(), connector.kinds(), max_datagram.is_some())
            .map_err(StartError::Fit)?;
        let settings = Live::new(ListenerSettings { limits, access });
        let admission = Admission::default();
        // Only now is the port known.
        let origin = Arc::new(Origin { listener: connector.url(), codec: slot.name().to_owned() });
        let counters = common.counters.listener(&origin.listener, &origin.codec);
        let connections = AtomicU64::new(0);
        let context =
            ListenerContext { slot, admission, settings, max_datagram, origin, connections, counters };
        Ok(Self { configured, descriptors: connector.descriptors(), connector, context })
    }

    /// Begins to accept clients.
    pub(super) fn open(
        self,
        state: &Arc<ServerState>,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Listening {
        let Self { configured, descriptors, connector, context } = self;
        let (orders, received) = mpsc::channel(1);
        let (url, context) = (connector.url(), Arc::new(context));
        let closed = stop.child_token();
        let accepting = Accepting { connector, listener: Arc::clone(&context), orders: received };
        tasks.spawn(accept(Arc::clone(state), accepting, closed.clone(), stop.clone(), tasks.clone()));
        Listening { configured, url, descriptors, context, orders, closed }
    }

    /// Frees the address again.
    pub(super) fn abandon(mut self, certificates: &Certificates) {
        certificates.set(&self.connector.url(), Vec::new());
        self.context.slot.remove_listener(&self.connector.url());
        self.connector.stop();
    }
}

/// What the task that accepts clients owns.
pub(super) struct Accepting {
    pub(super) connector: Box<dyn Connector>,
    pub(super) listener: Arc<ListenerContext>,
    pub(super) orders: mpsc::Receiver<Update>,
}

/// Other options for a connector.
pub(super) struct Update {
    options: ListenOptions,
    done: oneshot::Sender<Result<(), BoxError>>,
}

impl Update {
    /// Passes the options to the connector, and reports whether it took them.
    pub(super) fn apply(self, connector: &mut dyn Connector) {
        let updated = connector.check(&self.options).and_then(|()| connector.update(&self.options));
        // Whoever asked may have gone.
        let _ = self.done.send(updated);
    }
}

/// A listener that accepts clients.
#[derive(Clone)]
pub(super) struct Listening {
    /// The URL in the configuration, where the port may be 0. `None` if it was added by code.
    pub(super) configured: Option<String>,
    /// The URL with the port that was bound.
    pub(super) url: String,
    /// The file descriptors that each client takes.
    pub(super) descriptors: u32,
    pub(super) context: Arc<ListenerContext>,
    orders: mpsc::Sender<Update>,
    /// Ends the acceptance of clients.
    closed: CancellationToken,
}

impl Listening {
    /// Gives the connector other options, for later clients.
    ///
    /// # Errors
    /// Returns an error if the connector refuses them. It goes on with those that it has.
    pub(super) async fn update(&self, options: ListenOptions) -> Result<(), StartError> {
        let (done, updated) = oneshot::channel();
        let stopped = || cannot_listen(&self.url)("the listener has stopped".into());
        self.orders.send(Update { options, done }).await.map_err(|_| stopped())?;
        updated.await.map_err(|_| stopped())?.map_err(cannot_listen(&self.url))
    }

    /// Stops accepting clients, and frees the address. Open connections stay.
    pub(super) fn close(&self, certificates: &Certificates) {
        self.closed.cancel();
        self.context.slot.remove_listener(&self.url);
        certificates.set(&self.url, Vec::new());
    }

    /// Returns how many connections are open.
    pub(super) fn connections(&self) -> u64 {
        self.context.connections.load(Ordering::Relaxed)
    }
}

/// The listeners of a running server, in the order of the configuration.
#[derive(Default)]
pub(super) struct Listeners(Mutex<Vec<Listening>>);

impl Listeners {
    pub(super) fn new(listeners: Vec<Listening>) -> Self {
        Self(Mutex::new(listeners))
    }

    pub(super) fn all(&self) -> Vec<Listening> {
        self.lock().clone()
    }

    pub(super) fn set(&self, listeners: Vec<Listening>) {
        *self.lock() = listeners;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Listening>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
