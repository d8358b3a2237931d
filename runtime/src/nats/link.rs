//! The connection to NATS, and whether it is there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_nats::connection::State::Connected;
use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::config::NatsConfig;
use crate::ownership::{self, SecretFile};

/// How often the server is asked whether it is there. It is given up at the third time, after some 6 s, when the two before
/// were not answered.
const PING: Duration = Duration::from_secs(2);

/// The longest pause between two tries to connect.
const RETRY: Duration = Duration::from_secs(2);

/// How long a start waits for the connection, so that the first requests have one.
const PATIENCE: Duration = Duration::from_secs(2);

/// Messages that wait to be handled here, of one subscription. At a hundred thousand a second it is a pause of a
/// sixth of a second; with payloads of 1 KiB some 16 MiB.
const WAITING: usize = 1 << 14;

/// What waits in the client library to be written. It is kept when the connection goes, and written on the next: so
/// much may be said late, and no more.
const UNWRITTEN: usize = 64;

/// The largest file of a secret, in bytes: credentials have 1 KiB, a key in PEM up to some 12 KiB.
const MAX_SECRET: u64 = 1 << 20;

/// The connection as it is now: its number since the start; none while there is none.
pub(super) type State = watch::Receiver<Option<u64>>;

/// The connection. It comes back by itself.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) client: Client,
    state: State,
    /// Counts the times at which messages were lost here, since they came faster than they were handled.
    lost: watch::Receiver<u64>,
}

impl Link {
    /// Begins to connect, and waits for a moment.
    pub(super) async fn connect(config: &NatsConfig) -> anyhow::Result<Self> {
        let (set, state) = watch::channel(None);
        let (lose, lost) = watch::channel(0);
        let options = credentials(config)?
            .name("wireplug")
            .no_echo()
            .retry_on_initial_connect()
            .max_reconnects(None)
            .ping_interval(PING)
            .subscription_capacity(WAITING)
            .client_capacity(UNWRITTEN)
            .reconnect_delay_callback(|tries| {
                RETRY.min(Duration::from_millis(50) * 2_u32.saturating_pow(tries.min(8) as u32))
            });
        let mut number = 0;
        let mut told = String::new();
        let options = options.event_callback({
            let state = std::sync::Mutex::new(move |event: Event| match event {
                Event::Connected => {
                    number += 1;
                    told.clear();
                    info!("NATS is reached");
                    set.send_replace(Some(number));
                }
                Event::Disconnected | Event::Closed => {
                    if set.send_replace(None).is_some() {
                        warn!("NATS is gone: requests to services are answered with 503 until it is back");
                    }
                }
                Event::SlowConsumer(_) => lose.send_modify(|count| *count += 1),
                Event::ServerError(_) | Event::ClientError(_) => {
                    // One that cannot connect says so at each try.
                    let error = event.to_string();
                    if told != error {
                        warn!(%error, "NATS");
                        told = error;
                    }
                }
                Event::LameDuckMode | Event::Draining => info!(%event, "NATS"),
            });
            let state = std::sync::Arc::new(state);
            move |event| {
                let state = std::sync::Arc::clone(&state);
                async move {
                    if let Ok(mut handle) = state.lock() {
                        handle(event);
                    }
                }
            }
        });
        let servers = config.servers.join(", ");
        let client = options
            .connect(&config.servers)
            .await
            .map_err(|error| anyhow!("NATS at {servers}: {error}; see [nats]"))?;
        let mut waiting = state.clone();
        if timeout(PATIENCE, waiting.wait_for(Option::is_some)).await.is_err() {
            warn!(servers, "NATS is not reached yet: requests to services are answered with 503 until it is");
        }
        Ok(Self { client, state, lost })
    }

    pub(super) fn state(&self) -> State {
        self.state.clone()
    }

    pub(super) fn is_up(&self) -> bool {
        self.connection().is_some()
    }

    /// The number of the connection; none while there is none.
    pub(super) fn connection(&self) -> Option<u64> {
        // Events can get lost where there are very many; what the client itself says cannot.
        self.state.borrow().filter(|_| self.client.connection_state() == Connected)
    }

    /// Returns when something may have been missed: the connection is there, again, or messages were lost here.
    pub(super) async fn missed(&mut self) {
        loop {
            let changed = tokio::select! {
                changed = self.state.changed() => changed,
                changed = self.lost.changed() => {
                    warn!("messages from NATS came faster than they were handled, and some were lost");
                    changed
                }
            };
            if changed.is_err() {
                return std::future::pending().await;
            }
            if self.is_up() {
                return;
            }
        }
    }
}

/// How this node shows who it is.
pub(super) fn credentials(config: &NatsConfig) -> anyhow::Result<ConnectOptions> {
    let mut options = ConnectOptions::new();
    if let Some(file) = &config.credentials_file {
        let credentials = secret(file)?;
        options = options
            .credentials(&credentials)
            .with_context(|| format!("{} holds no NATS credentials", file.display()))?;
    }
    if let Some(file) = &config.token_file {
        options = options.token(secret(file)?);
    }
    if let (Some(user), Some(file)) = (&config.user, &config.password_file) {
        options = options.user_and_password(user.clone(), secret(file)?);
    }
    if let Some(file) = &config.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    if let (Some(certificate), Some(key)) = (&config.certificate_file, &config.key_file) {
        // The client library reads it.
        secret(key)?;
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}

/// Reads a file with a secret, and warns if others can read it too.
fn secret(file: &Path) -> anyhow::Result<String> {
    let read = || -> anyhow::Result<_> {
        let SecretFile { content, warning } = ownership::read_secret(file, MAX_SECRET)?;
        if let Some(warning) = warning {
            warn!(warning, "a secret of NATS is not kept");
        }
        // The error of a conversion would show the content.
        String::from_utf8(content).ok().context("it is not UTF-8 text")
    };
    let text = read().with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim().to_owned())
}

/// A name that no other node has, nor this one when it is started again.
pub(super) fn node(configured: Option<&str>) -> String {
    let host = || fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = configured.map_or_else(host, str::to_owned);
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = name.chars().filter(plain).take(64).collect();
    let name = if name.is_empty() { "node" } else { &name };
    // Without randomness there is no TLS either; the process's number is better than nothing.
    let number = getrandom::u32().unwrap_or_else(|_| std::process::id());
    format!("{name}-{number:08x}")
}
