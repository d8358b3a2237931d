//! The listeners of a running server: starting one, changing one, and taking one away.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accepting::{Accepting, accept};
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
use wireplug_connectors::{BoxError, Connector, HandedSocket, Health, ListenOptions, Opened};

/// How many orders may wait for a listener. Sessions that come from another process give most of
/// them, a few hundred at a time.
const ORDERS: usize = 64;

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
    asked: String,
    stays: bool,
    descriptors: u32,
    connector: Box<dyn Connector>,
    options: Box<ListenOptions>,
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
        let options = Box::new(listener.options(config, common));
        listener.check(&slot, &options, config)?;
        let Resolved { configured, asked, mut connector, stays, access, limits, .. } = listener;
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
        let descriptors = connector.descriptors();
        Ok(Self { configured, asked, stays, descriptors, connector, options, context })
    }

    /// Begins to accept clients. `is_shared` says whether another process may still go on with the
    /// listening sockets, until [`Order::Own`].
    pub(super) fn open(
        self,
        is_shared: bool,
        state: &Arc<ServerState>,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Listening {
        let Self { configured, asked, stays, descriptors, connector, options, context } = self;
        let (orders, received) = mpsc::channel(ORDERS);
        let (url, context) = (connector.url(), Arc::new(context));
        let closed = stop.child_token();
        let connector = Accepting { connector, options, stays, is_shared, pause: None };
        let (listener, state) = (Arc::clone(&context), Arc::clone(state));
        tasks.spawn(accept(
            state,
            listener,
            connector,
            received,
            closed.clone(),
            stop.clone(),
            tasks.clone(),
        ));
        Listening { configured, asked, stays, url, descriptors, context, orders, closed }
    }

    /// Frees the address again.
    pub(super) fn abandon(mut self, certificates: &Certificates) {
        certificates.set(&self.connector.url(), Vec::new());
        self.context.slot.remove_listener(&self.connector.url());
        self.connector.stop();
    }
}

/// What the task that accepts clients is asked to do with its connector.
pub(super) enum Order {
    /// Take other options.
    Update(Box<ListenOptions>, oneshot::Sender<Result<(), BoxError>>),
    /// Return duplicates of the listening sockets.
    Sockets(oneshot::Sender<io::Result<Vec<OwnedFd>>>),
    /// Accept nobody until the next order. Clients wait in the queue of the system.
    Hold(oneshot::Sender<()>),
    /// Stop reading a socket that sessions share, if there is one.
    Pause(oneshot::Sender<Option<Vec<u8>>>),
    /// Accept clients again, and read a socket that sessions share, with this state of the process
    /// that read it before. A listener that has left its address takes it again.
    GoOn(Option<Vec<u8>>),
    /// Leave the address to another process.
    Leave(oneshot::Sender<()>),
    /// The process that had the listening sockets before has left them.
    Own(oneshot::Sender<()>),
    /// Go on with a client of another process.
    Adopt(HandedSocket, oneshot::Sender<io::Result<Opened>>),
}

/// A listener that accepts clients.
#[derive(Clone)]
pub(super) struct Listening {
    /// The URL in the configuration, where the port may be 0. `None` if it was added by code.
    pub(super) configured: Option<String>,
    /// The URL as it was asked for, where the port may be 0.
    pub(super) asked: String,
    /// Whether another process keeps the listening sockets when this one ends.
    pub(super) stays: bool,
    /// The URL with the port that was bound.
    pub(super) url: String,
    /// The file descriptors that each client takes.
    pub(super) descriptors: u32,
    pub(super) context: Arc<ListenerContext>,
    orders: mpsc::Sender<Order>,
    /// Ends the acceptance of clients.
    closed: CancellationToken,
}

impl Listening {
    /// Gives the connector other options, for later clients.
    ///
    /// # Errors
    /// Returns an error if the connector refuses them. It goes on with those that it has.
    pub(super) async fn update(&self, options: ListenOptions) -> Result<(), StartError> {
        let updated = self.order(|done| Order::Update(Box::new(options), done)).await;
        updated.unwrap_or_else(|| Err("the listener has stopped".into())).map_err(cannot_listen(&self.url))
    }

    /// Gives an order, and waits for the answer. Returns `None` if the listener has stopped.
    pub(super) async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let (done, answer) = oneshot::channel();
        self.orders.send(order(done)).await.ok()?;
        answer.await.ok()
    }

    /// Accepts clients again, with the state of the process that read a shared socket before.
    pub(super) async fn go_on(&self, state: Option<Vec<u8>>) {
        // A listener that has stopped accepts nobody.
        let _ = self.orders.send(Order::GoOn(state)).await;
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
