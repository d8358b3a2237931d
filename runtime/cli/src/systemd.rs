//! What `wireplug serve` reports to the service manager, as `sd_notify(3)` of systemd defines it.
//! [`sockets`] has what it gets from the service manager.
//!
//! A message is a datagram to the socket that `NOTIFY_SOCKET` names. Without that variable, nothing
//! is sent. The server never waits long for the service manager, and goes on if it is not reached.

pub(crate) mod sockets;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

/// How long a message may take. The service manager reads at once, unless it hangs.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// How often the status is looked at. It is sent if it has changed.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// The connection to the service manager, if there is one.
#[derive(Clone)]
pub(super) struct Notifier {
    /// The value of `NOTIFY_SOCKET`.
    socket: Option<OsString>,
    /// The time after which the service manager ends a process that sends no `WATCHDOG=1`.
    watchdog: Option<Duration>,
    /// Whether the last message did not get there.
    is_lost: Arc<AtomicBool>,
}

impl Notifier {
    /// Reads the variables that the service manager has set.
    pub(super) fn from_env() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let watchdog = watchdog(env::var_os("WATCHDOG_USEC"), env::var_os("WATCHDOG_PID"));
        Self { socket, watchdog, is_lost: Arc::default() }
    }

    /// Reports that this process is the main one of the service, and has started.
    ///
    /// A process that was started by another process of the service thereby takes its place. For
    /// that, the unit needs `NotifyAccess=all`.
    pub(super) async fn main_pid(&self) {
        self.send(&format!("MAINPID={}\nREADY=1", std::process::id())).await;
    }

    /// Reports that a reload begins. [`Notifier::ready`] reports its end.
    pub(super) async fn reloading(&self) {
        // `Type=notify-reload` compares this time with that of its signal.
        let now = clock_gettime(ClockId::Monotonic);
        let micros = Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32).as_micros();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}")).await;
    }

    /// Reports that a reload has ended.
    pub(super) async fn ready(&self) {
        self.send("READY=1").await;
    }

    /// Reports that the process ends.
    pub(super) async fn stopping(&self) {
        self.send("STOPPING=1").await;
    }

    /// Reports that this process works, as often as the service manager wants it. The task ends
    /// with the runtime.
    ///
    /// It is a task like those of connections: if no thread of the runtime takes its turn, nothing
    /// is sent, and the service manager ends the process.
    pub(super) fn spawn_watchdog(&self) {
        let Some(limit) = self.watchdog else { return };
        let this = self.clone();
        tokio::spawn(async move {
            let mut ticks = interval(limit / 2);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                this.send("WATCHDOG=1").await;
            }
        });
    }

    /// Reports the status, one line, whenever it has changed. Never returns.
    pub(super) async fn report(&self, status: impl Fn() -> String) {
        let mut last = String::new();
        let mut ticks = interval(STATUS_EVERY);
        loop {
            ticks.tick().await;
            let status = status().replace('\n', " ");
            if status != last {
                self.send(&format!("STATUS={status}")).await;
                last = status;
            }
        }
    }

    async fn send(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        let sent = timeout(SEND_TIMEOUT, send_to(socket, message)).await;
        let sent = sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let was_lost = self.is_lost.swap(sent.is_err(), Ordering::Relaxed);
        if let Err(error) = sent
            && !was_lost
        {
            let socket = socket.display();
            warn!(%socket, %error, "the service manager is not reached at NOTIFY_SOCKET");
        }
    }
}

/// Sends one datagram.
async fn send_to(socket: &OsStr, message: &str) -> io::Result<()> {
    let datagrams = UnixDatagram::unbound()?;
    datagrams.set_nonblocking(true)?;
    datagrams.connect_addr(&address(socket)?)?;
    tokio::net::UnixDatagram::from_std(datagrams)?.send(message.as_bytes()).await?;
    Ok(())
}

/// Returns the address of a socket: a path, or `@NAME` for an abstract one.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(socket),
    }
}

/// Returns the time of the watchdog. Without a process id, the watchdog is that of any process.
fn watchdog(micros: Option<OsString>, process: Option<OsString>) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    let is_ours = process.is_none_or(|process| number(process) == Some(std::process::id().into()));
    let micros = number(micros?).filter(|micros| *micros > 0)?;
    is_ours.then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notifier(socket: &str) -> Notifier {
        Notifier { socket: Some(socket.into()), watchdog: None, is_lost: Arc::default() }
    }

    #[test]
    fn the_watchdog_is_that_of_this_process_or_of_any() {
        let of = |micros: &str, process: Option<&str>| watchdog(Some(micros.into()), process.map(Into::into));
        let own = std::process::id().to_string();
        let second = Some(Duration::from_secs(1));
        assert_eq!([of("1000000", Some(&own)), of("1000000", None)], [second, second]);
        assert_eq!(of("1000000", Some("1")), None);
        assert_eq!([of("0", None), of("soon", None), watchdog(None, None)], [None; 3]);
    }

    #[tokio::test]
    async fn a_service_manager_that_is_gone_is_no_error() {
        let notifier = notifier("/nonexistent/notify");
        notifier.main_pid().await;
        assert!(notifier.is_lost.load(Ordering::Relaxed));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_abstract_socket_is_reached() {
        let name = format!("wireplug-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("it is short");
        let manager = UnixDatagram::bind_addr(&address).expect("nobody has the name");
        notifier(&format!("@{name}")).stopping().await;
        let mut message = [0; 64];
        let length = manager.recv(&mut message).expect("it was sent");
        assert_eq!(&message[..length], b"STOPPING=1");
    }
}
