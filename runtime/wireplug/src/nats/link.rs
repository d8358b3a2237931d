//! The connection to NATS: the library's client, which is replaced if it ends, and its state when
//! it was last observed.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_nats::connection::State::Connected;
use async_nats::{Client, ConnectOptions};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, warn};

use super::credentials::Credentials;
use super::health::{Reach, Subscription};
use super::observer::Observer;
use crate::config::NatsConfig;
use wireplug_connectors::certificates::{self, Certificates, Expiry};

/// How often the client pings the server. It gives the connection up at the third ping, after about
/// 6 s, if the two before were not answered.
const PING: Duration = Duration::from_secs(2);

/// The longest pause between two tries to connect.
const RETRY: Duration = Duration::from_secs(2);

/// How long connecting to one address of a server may take, including the login. A server that
/// accepts the connection and sends nothing delays the next try by this time.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long a start waits for the connection, so that the first requests have one.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long each of the last two steps may take: writing what is left, and closing the connection.
/// A server that does not read must not delay the end.
const FAREWELL: Duration = Duration::from_millis(200);

/// How often the client is observed, in addition to each event. Events can get lost if there are
/// very many.
const LOOK: Duration = Duration::from_millis(250);

/// How often the certificates are read, to see when they expire.
const CERTIFICATES: Duration = Duration::from_secs(3600);

/// The most messages of one subscription that wait to be handled on this node. At a hundred
/// thousand messages a second, that covers a pause of a sixth of a second. With payloads of 1 KiB,
/// it takes about 16 MiB.
const WAITING: usize = 1 << 14;

/// The most messages that wait in the client library to be written. The library keeps them when the
/// connection is lost, and writes them on the next one. So at most this many messages are sent
/// late.
const UNWRITTEN: usize = 64;

/// The connection, which is restored automatically after it was lost.
#[derive(Clone)]
pub(super) struct Link {
    observer: Arc<Observer>,
    clients: Arc<Clients>,
    _certificates: Arc<AbortOnDropHandle<()>>,
}

/// The current client.
struct Clients {
    config: NatsConfig,
    credentials: Arc<Credentials>,
    /// The number of clients before the current one, and the current one. A client that has ended,
    /// by a fault of the library, is replaced.
    current: RwLock<(u64, Client)>,
    /// When the current client was made. Locked while the client is replaced.
    made: tokio::sync::Mutex<Instant>,
}

impl Link {
    /// Begins to connect, and waits at most [`PATIENCE`] for the connection. `subjects` are those
    /// of replies, commands and peers.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or its content is invalid, or if an address is
    /// invalid.
    pub(super) async fn connect(
        config: &NatsConfig,
        certificates: Certificates,
        subjects: [String; 3],
    ) -> anyhow::Result<Self> {
        let credentials = Arc::new(Credentials::new(config));
        // An error in a file is reported at the start. Later it only makes a try to connect fail.
        let read = Arc::clone(&credentials);
        spawn_blocking(move || read.read(b"")).await.context("the files of [nats] were not read")??;
        let observer = Arc::new(Observer::new(subjects));
        let client = new_client(config, &credentials, &observer).await?;
        let clients = Arc::new(Clients {
            config: config.clone(),
            credentials,
            current: RwLock::new((0, client)),
            made: tokio::sync::Mutex::new(Instant::now()),
        });
        tokio::spawn(look(Arc::clone(&observer), Arc::downgrade(&clients)));
        let watching = tokio::spawn(look_at_certificates(config.clone(), certificates));
        let link = Self { observer, clients, _certificates: Arc::new(AbortOnDropHandle::new(watching)) };
        let mut reach = link.reach();
        if timeout(PATIENCE, reach.wait_for(|reach| reach.connection.is_some())).await.is_err() {
            let why = link.problem().unwrap_or_default();
            let servers = config.servers.join(", ");
            warn!(
                servers,
                why, "NATS is not reached yet: requests to services are answered with 503 until it is"
            );
        }
        Ok(link)
    }

    /// Returns the number of clients before the current one, and the current one.
    pub(super) fn client(&self) -> (u64, Client) {
        self.clients.current()
    }

    pub(super) fn reach(&self) -> watch::Receiver<Reach> {
        self.observer.reach()
    }

    /// Returns what this node can do over NATS now. The observed state may be outdated, so this
    /// also asks the client itself.
    pub(super) fn now(&self) -> Reach {
        let clients = self.clients.current.read().unwrap_or_else(PoisonError::into_inner);
        if clients.1.connection_state() == Connected { self.observer.now() } else { Reach::default() }
    }

    /// Returns the number of the connection, or `None` while there is no connection.
    pub(super) fn connection(&self) -> Option<u64> {
        self.now().connection
    }

    pub(super) fn is_up(&self) -> bool {
        self.connection().is_some()
    }

    /// Waits until there is a connection.
    pub(super) async fn up(&self) {
        let mut reach = self.reach();
        while !self.is_up() {
            if reach.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Waits until the connection with this number is no longer the current one.
    pub(super) async fn lost(&self, connection: u64) {
        let mut reach = self.reach();
        while self.connection() == Some(connection) {
            if reach.changed().await.is_err() {
                return;
            }
        }
    }

    /// Returns why this node is not ready, or `None` if it is connected and receives all messages
    /// that it should.
    pub(super) fn problem(&self) -> Option<String> {
        self.observer.problem()
    }

    /// Returns how many messages the server refused to publish.
    pub(super) fn unpublished(&self) -> u64 {
        self.observer.unpublished()
    }

    pub(super) fn subject(&self, which: Subscription) -> String {
        self.observer.with(|health| health.subject(which).to_owned())
    }

    /// Notes that a subscription is about to be made again.
    pub(super) fn made_again(&self, which: Subscription) {
        self.observer.update(|health| health.made_again(which, Instant::now()));
    }

    /// Notes that a subscription is not in effect.
    pub(super) fn unheld(&self, which: Subscription, why: &str) {
        let why = format!("{which}: {why}");
        self.observer.update(|health| health.refused(which, &why, Instant::now()));
    }

    /// Returns when messages may have been missed, and there is a connection: the state of the
    /// connection has changed, or messages were lost on this node.
    pub(super) async fn missed(&self, seen: &mut Missed) {
        loop {
            let changed = tokio::select! {
                changed = seen.reach.changed() => changed,
                changed = seen.lost.changed() => changed,
            };
            if changed.is_err() {
                return std::future::pending().await;
            }
            if self.is_up() {
                return;
            }
        }
    }

    /// Returns the state for [`Link::missed`] in which it has not reported anything yet.
    pub(super) fn nothing_missed(&self) -> Missed {
        Missed { reach: self.reach(), lost: self.observer.lost() }
    }

    /// Replaces the client that has ended, unless another task has already replaced it. `dead` is
    /// the number of clients before the one that has ended.
    pub(super) async fn renew(&self, dead: u64) {
        let mut made = self.clients.made.lock().await;
        if self.client().0 != dead {
            return;
        }
        sleep_until(*made + RETRY).await;
        *made = Instant::now();
        error!("the client of NATS has ended, which is a fault of its library: another one takes its place");
        let Clients { config, credentials, current, .. } = &*self.clients;
        match new_client(config, credentials, &self.observer).await {
            Ok(client) => *current.write().unwrap_or_else(PoisonError::into_inner) = (dead + 1, client),
            Err(error) => error!(%error, "there is no other client of NATS"),
        }
        self.observer.wake();
    }

    /// Writes what waits to be written, closes the connection, and makes no other one.
    pub(super) async fn close(&self) {
        self.observer.stop();
        let client = self.client().1;
        // If the connection is already gone, nothing can be written.
        if self.is_up() {
            let _ = timeout(FAREWELL, client.flush()).await;
        }
        let _ = timeout(FAREWELL, client.drain()).await;
    }
}

/// The changes that [`Link::missed`] has not reported yet.
pub(super) struct Missed {
    reach: watch::Receiver<Reach>,
    lost: watch::Receiver<u64>,
}

impl Clients {
    fn current(&self) -> (u64, Client) {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Returns a client that begins to connect, and tries until it is connected.
async fn new_client(
    config: &NatsConfig,
    credentials: &Arc<Credentials>,
    observer: &Arc<Observer>,
) -> anyhow::Result<Client> {
    let read = Arc::clone(credentials);
    let (auth_observer, choose_observer, event_observer) =
        (Arc::clone(observer), Arc::clone(observer), Arc::clone(observer));
    let options = ConnectOptions::with_auth_callback(move |nonce| {
        let (credentials, observer) = (Arc::clone(&read), Arc::clone(&auth_observer));
        async move { observer.credentials(spawn_blocking(move || credentials.read(&nonce)).await) }
    })
    .name("wireplug")
    .custom_inbox_prefix(config.inbox_prefix.clone())
    .no_echo()
    .retry_on_initial_connect()
    .max_reconnects(None)
    .connection_timeout(HANDSHAKE)
    .ping_interval(PING)
    .subscription_capacity(WAITING)
    .client_capacity(UNWRITTEN)
    .reconnect_delay_callback(|tries| {
        RETRY.min(Duration::from_millis(50) * 2_u32.saturating_pow(tries.min(8) as u32))
    })
    .reconnect_to_server_callback(move |servers, _| {
        let observer = Arc::clone(&choose_observer);
        async move { observer.choose(&servers).await }
    })
    .event_callback(move |event| {
        event_observer.event(event);
        std::future::ready(())
    });
    let servers = config.servers.join(", ");
    let connected = with_files(options, config).connect(&config.servers).await;
    connected.map_err(|error| anyhow!("NATS at {servers}: {error}; see [nats]"))
}

/// Adds the files of TLS, which the client library itself reads at each connect.
pub(super) fn with_files(mut options: ConnectOptions, config: &NatsConfig) -> ConnectOptions {
    if let Some(file) = &config.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    if let (Some(certificate), Some(key)) = (&config.certificate_file, &config.key_file) {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    options
}

/// Notes the state of the client at each event, and every [`LOOK`], until the link is dropped.
async fn look(observer: Arc<Observer>, clients: Weak<Clients>) {
    loop {
        let Some(clients) = clients.upgrade() else { return };
        let (generation, client) = clients.current();
        drop(clients);
        // Each connection has a number that no other connection of this node had.
        let connects = client.statistics().connects.load(std::sync::atomic::Ordering::Relaxed);
        let number = (generation << 32) + connects;
        let connection = (client.connection_state() == Connected).then_some(number);
        drop(client);
        observer.look(connection);
        let _ = timeout(LOOK, observer.woken()).await;
    }
}

/// Watches when the certificates of the configuration expire. Returns if it names none.
async fn look_at_certificates(config: NatsConfig, certificates: Certificates) {
    let files = [("ca-file", config.ca_file), ("certificate-file", config.certificate_file)];
    let files = files.map(|(key, file)| file.map(|file| (key, file)));
    if files.iter().all(Option::is_none) {
        return;
    }
    loop {
        let files = files.clone();
        let read = spawn_blocking(move || {
            let files = files.into_iter().flatten();
            // An error in a file is reported where the file is used.
            let expiry = |(key, file): (&'static str, PathBuf)| {
                let expires = certificates::earliest(&file).ok()??;
                Some(Expiry { key, file, token: None, expires })
            };
            files.filter_map(expiry).collect()
        });
        if let Ok(expiries) = read.await {
            certificates.set("nats", expiries);
        }
        sleep(CERTIFICATES).await;
    }
}

/// Returns the prefix of the subjects of replies to this node. No other node has the same prefix,
/// and nobody can guess it.
pub(super) fn inbox(prefix: &str) -> String {
    let random = || getrandom::u64().unwrap_or_else(|_| std::process::id().into());
    format!("{prefix}.{:016x}{:016x}", random(), random())
}
