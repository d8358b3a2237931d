//! Handles the events of the client library: keeps the state for which other tasks wait, writes the
//! lines in the log, and chooses which server is tried next.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::{Auth, AuthError, ClientError, Event, ReconnectToServer, Server, ServerAddr, ServerError};
use tokio::sync::{Notify, watch};
use tokio::task::JoinError;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::health::{Health, Reach, ServerSaid};
use wireplug_base::LogLimit;

/// The most log lines of each kind in a [`PERIOD`]. A misconfigured server would cause many a
/// second.
const LINES: u32 = 4;
const PERIOD: Duration = Duration::from_secs(30);

/// How the subjects of JetStream begin.
const JETSTREAM: &str = "\"$JS.API.";

/// The observed state of the connection, and the limits of its log lines.
pub(super) struct Observer {
    health: Mutex<Health>,
    reach: watch::Sender<Reach>,
    /// How often messages were lost on this node because they came faster than they were handled.
    lost: watch::Sender<u64>,
    /// Notified when something has happened to the client.
    event: Notify,
    /// The index of the server that is tried next.
    next: AtomicUsize,
    /// The server that is being tried.
    tried: Mutex<Option<ServerAddr>>,
    /// Why the files with this node's credentials could not be read.
    unread: Mutex<Option<String>>,
    /// How many messages the server refused to publish.
    unpublished: AtomicU64,
    /// Whether no more connections may be made.
    stopped: AtomicBool,
    changes: LogLimit,
    failures: LogLimit,
    deafness: LogLimit,
    refusals: LogLimit,
    losses: LogLimit,
}

impl Observer {
    pub(super) fn new(subjects: [String; 3]) -> Self {
        let limit = || LogLimit::every(PERIOD, LINES);
        Self {
            health: Mutex::new(Health::new(subjects, Instant::now())),
            reach: watch::Sender::default(),
            lost: watch::Sender::default(),
            event: Notify::new(),
            next: AtomicUsize::new(0),
            tried: Mutex::default(),
            unread: Mutex::default(),
            unpublished: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            changes: limit(),
            failures: limit(),
            deafness: limit(),
            refusals: limit(),
            losses: limit(),
        }
    }

    pub(super) fn reach(&self) -> watch::Receiver<Reach> {
        self.reach.subscribe()
    }

    pub(super) fn now(&self) -> Reach {
        *self.reach.borrow()
    }

    pub(super) fn lost(&self) -> watch::Receiver<u64> {
        self.lost.subscribe()
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.with(|health| health.problem())
    }

    pub(super) fn unpublished(&self) -> u64 {
        self.unpublished.load(Ordering::Relaxed)
    }

    /// Wakes the task that observes the client.
    pub(super) fn wake(&self) {
        self.event.notify_one();
    }

    /// Waits until the client must be observed.
    pub(super) async fn woken(&self) {
        self.event.notified().await;
    }

    /// Stops making connections.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        locked(&self.health)
    }

    pub(super) fn with<T>(&self, read: impl FnOnce(&Health) -> T) -> T {
        read(&self.health())
    }

    /// Changes the state, logs what the change means, and notifies the tasks that wait for it.
    pub(super) fn update(&self, change: impl FnOnce(&mut Health)) {
        let mut health = self.health();
        let (before, deaf_before) = (health.reach(), health.deafness());
        change(&mut health);
        let (now, deaf_now) = (health.reach(), health.deafness());
        // This is sent under the lock, so that receivers see the changes in order.
        self.reach.send_if_modified(|reach| std::mem::replace(reach, now) != now);
        drop(health);
        match (before.connection, now.connection) {
            (None, Some(_)) => self.changes.log(|left_out| info!(left_out, "NATS is reached")),
            // When the server stops, it logs that by itself.
            (Some(_), None) if self.is_stopped() => {}
            (Some(_), None) => self.changes.log(|left_out| {
                warn!(left_out, "NATS is gone: requests to services are answered with 503 until it is back");
            }),
            _ => {}
        }
        match (deaf_before, deaf_now) {
            (before, Some(why)) if before.as_ref() != Some(&why) => self.deafness.log(|left_out| {
                warn!(left_out, why, "NATS does not let this node hear what it should: see its permissions");
            }),
            (Some(_), None) => {
                self.deafness.log(|left_out| info!(left_out, "NATS lets this node hear again what it should"))
            }
            _ => {}
        }
    }

    /// Notes the current connection of the client, if there is one.
    pub(super) fn look(&self, connection: Option<u64>) {
        self.update(|health| {
            health.connection(connection);
            health.tick(Instant::now());
        });
    }

    /// Handles an event of the client library.
    pub(super) fn event(&self, event: Event) {
        let now = Instant::now();
        self.update(|health| health.event(now));
        match event {
            Event::Connected => {
                self.next.store(0, Ordering::Relaxed);
                self.update(|health| health.connected(now));
            }
            Event::SlowConsumer(_) => {
                self.lost.send_modify(|count| *count += 1);
                self.losses.log(|left_out| {
                    warn!(left_out, "messages from NATS came faster than they were handled, and were lost");
                });
            }
            Event::ServerError(ServerError::Other(error)) => self.server_error(&error, now),
            Event::LameDuckMode => self.changes.log(|left_out| {
                info!(left_out, "the server of NATS is about to stop, and will close the connection");
            }),
            // When the next server is chosen, the client library knows more about a failed try.
            Event::ClientError(ClientError::Other(error)) => debug!(error, "NATS"),
            Event::ServerError(_) | Event::ClientError(_) | Event::Draining => debug!(%event, "NATS"),
            Event::Disconnected | Event::Closed => {}
        }
        self.wake();
    }

    fn server_error(&self, error: &str, now: Instant) {
        match ServerSaid::read(error) {
            // A node without these permissions takes part in no rollout, and asks again and again.
            ServerSaid::PublishRefused if error.contains(JETSTREAM) => debug!(error, "NATS"),
            ServerSaid::PublishRefused => {
                self.unpublished.fetch_add(1, Ordering::Relaxed);
                self.refusals.log(|left_out| {
                    warn!(
                        left_out,
                        error, "NATS does not let this node say what it should: see its permissions"
                    );
                });
            }
            ServerSaid::SubscriptionRefused(_) | ServerSaid::TooManySubscriptions => {
                self.update(|health| health.server_said(error, now));
            }
            ServerSaid::Other => self.refusals.log(|left_out| warn!(left_out, error, "NATS")),
        }
    }

    /// Returns the server that is tried next. After a connection was lost, it is the first server
    /// of the configuration, and then one after the other. Servers that NATS servers have announced
    /// come after those of the configuration.
    pub(super) async fn choose(&self, servers: &[Server]) -> Option<ReconnectToServer> {
        if self.is_stopped() {
            // This never returns, because the client library would try for ever.
            return std::future::pending().await;
        }
        self.note_failure(servers);
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let addr = servers.get(next % servers.len().max(1))?.addr.clone();
        *locked(&self.tried) = Some(addr.clone());
        Some(ReconnectToServer { addr, delay: None })
    }

    /// Notes why the try before this one has failed, if it has.
    fn note_failure(&self, servers: &[Server]) {
        let (tried, unread) = (locked(&self.tried).take(), locked(&self.unread).take());
        let Some(server) = servers.iter().find(|server| tried.as_ref() == Some(&server.addr)) else { return };
        let error = match unread.as_ref().or(server.last_error.as_ref()) {
            Some(error) => error,
            None if server.did_connect => return,
            // The library does not note this as a failure of the server.
            None => "its name cannot be resolved",
        };
        let address = server.addr.as_url_str();
        self.update(|health| health.failed(format!("{address}: {error}")));
        self.failures.log(|left_out| warn!(left_out, server = address, error, "NATS is not reached"));
    }

    /// Returns the credentials that were read, or notes why they could not be read.
    pub(super) fn credentials(
        &self,
        read: Result<anyhow::Result<Auth>, JoinError>,
    ) -> Result<Auth, AuthError> {
        read.map_err(anyhow::Error::from).flatten().map_err(|error| {
            let error = format!("{error:#}");
            *locked(&self.unread) = Some(error.clone());
            AuthError::new(error)
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn server(address: &str) -> Server {
        let addr = address.parse().unwrap();
        Server { addr, failed_attempts: 0, did_connect: false, is_discovered: false, last_error: None }
    }

    async fn chosen(observer: &Observer, servers: &[Server]) -> String {
        observer.choose(servers).await.unwrap().addr.host().to_owned()
    }

    #[tokio::test]
    async fn servers_are_chosen_in_order_and_from_the_first_on_after_a_connection() {
        let observer = Observer::new(["a", "b", "c"].map(str::to_owned));
        let servers = ["nats://one", "nats://two", "nats://named-by-them"].map(server);
        for host in ["one", "two", "named-by-them", "one", "two"] {
            assert_eq!(chosen(&observer, &servers).await, host);
        }
        observer.event(Event::Connected);
        assert_eq!(chosen(&observer, &servers).await, "one");
        // After the stop there are no more tries. Otherwise the client library would try for ever.
        observer.stop();
        assert!(observer.choose(&servers).now_or_never().is_none());
    }

    #[tokio::test]
    async fn why_a_try_failed_is_reported() {
        let observer = Observer::new(["a", "b", "c"].map(str::to_owned));
        let mut servers = [server("nats://one:1")];
        chosen(&observer, &servers).await;
        chosen(&observer, &servers).await;
        assert_eq!(observer.problem().as_deref(), Some("nats://one:1: its name cannot be resolved"));
        servers[0].last_error = Some("timed out".to_owned());
        chosen(&observer, &servers).await;
        assert_eq!(observer.problem().as_deref(), Some("nats://one:1: timed out"));
        let unread = observer.credentials(Ok(Err(anyhow::anyhow!("cannot read a.token"))));
        assert!(unread.is_err());
        chosen(&observer, &servers).await;
        assert_eq!(observer.problem().as_deref(), Some("nats://one:1: cannot read a.token"));
    }
}
