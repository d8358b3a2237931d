//! The new process of an upgrade: takes the sockets and the sessions of the old one.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use tracing::{error, info, warn};

use super::link::Link;
use super::message::{PassedSocket, SavedCodec, Sockets, ToNew, ToOld};
use super::queue::{Queue, Queued};
use crate::server::arriving::Arrived;
use crate::server::{HandedListener, InheritedSocket, InheritedSockets, Running};
use crate::session::{Command, Directed, Relay, SessionId, Sessions, Target, User};
use wireplug_connectors::{HANDOVER_PROTOCOL, HandedSocket};

/// What a process takes over from the one that started it for an upgrade. A clone is the same.
#[derive(Clone, Debug)]
pub struct Takeover(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    link: Arc<Link>,
    sockets: Mutex<TakenSockets>,
}

#[derive(Debug)]
struct TakenSockets {
    /// The URLs of the listeners in the order of the old process, each with whether it passes its
    /// sockets on. `None` once a listener of this process has its place.
    listeners: Vec<Option<(String, bool)>>,
    sockets: InheritedSockets,
}

/// What the old process says when it accepts nobody any more.
pub(crate) struct Begun {
    /// The number of the first session that opens in this process.
    pub(crate) next_id: u64,
    /// What the application has saved.
    pub(crate) app: Option<Vec<u8>>,
}

impl Takeover {
    /// Takes over from the process that started this one, through standard input. Standard input is
    /// empty afterwards. Must be called in a runtime of tokio, before anything reads it.
    ///
    /// # Errors
    /// Returns an error if standard input is not the socket of an upgrade, the process at its other
    /// end is of another user, or that process does not speak this version of the protocol.
    pub async fn from_stdin() -> io::Result<Self> {
        let socket = io::stdin().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        let peer = rustix::net::sockopt::socket_peercred(&socket)?;
        if peer.uid != rustix::process::getuid() {
            let why = format!("the process at its other end runs as user {}", peer.uid.as_raw());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Self::over(Link::new(socket)?).await
    }

    async fn over(link: Link) -> io::Result<Self> {
        let hello =
            ToOld::Hello { protocol: HANDOVER_PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() };
        link.send(&hello, &[]).await?;
        let gone = || io::Error::new(io::ErrorKind::UnexpectedEof, "the old process has ended");
        let (first, descriptors) = link.receive().await?.ok_or_else(gone)?;
        let ToNew::Sockets(Sockets { listeners, others }) = first else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the first message has no sockets"));
        };
        let count: usize =
            listeners.iter().chain(&others).map(|passed| usize::from(passed.descriptors)).sum();
        if count != descriptors.len() {
            let why = format!(
                "{} of {count} sockets came: this process has too few file descriptors",
                descriptors.len()
            );
            return Err(io::Error::other(why));
        }
        let mut descriptors = descriptors.into_iter();
        let passed = listeners.iter().chain(&others).filter(|passed| passed.descriptors > 0);
        let sockets = passed.map(|PassedSocket { key, descriptors: count, stays }| {
            let descriptors = descriptors.by_ref().take((*count).into()).collect();
            let mut socket = InheritedSocket::of_process(&**key, descriptors);
            socket.stays = *stays;
            socket
        });
        let sockets = sockets.collect();
        let passes = |passed: PassedSocket| Some((passed.key, passed.descriptors > 0));
        let listeners = listeners.into_iter().map(passes).collect();
        let taken = TakenSockets { listeners, sockets };
        Ok(Self(Arc::new(Taken { link: Arc::new(link), sockets: Mutex::new(taken) })))
    }

    /// Takes out the listening sockets, for
    /// [`Server::inherit_sockets`](crate::Server::inherit_sockets) and for what the program itself
    /// listens at.
    pub fn sockets(&self) -> InheritedSockets {
        std::mem::take(&mut self.lock().sockets)
    }

    /// Tells the old process that this one cannot serve, so that it says why. To be called before
    /// the server has started.
    pub async fn failed(&self, why: &str) {
        // It may have gone.
        let _ = self.0.link.send(&ToOld::Failed(why.to_owned()), &[]).await;
    }

    /// Takes the place of a listener with this URL, as it was asked for. Returns its number, and
    /// whether the old process passes its sockets on. Returns `None` if the old process has no such
    /// listener that has not been taken.
    pub(crate) fn take_listener(&self, url: &str) -> Option<(usize, bool)> {
        let mut sockets = self.lock();
        let is_it = |listener: &Option<(String, bool)>| matches!(listener, Some((other, _)) if other == url);
        let number = sockets.listeners.iter().position(is_it)?;
        let (_, passes) = sockets.listeners[number].take()?;
        Some((number, passes))
    }

    /// Tells the old process that this one is ready, and waits until it accepts nobody any more.
    /// Returns `None` if it is gone: then this process is an ordinary server from now on.
    pub(crate) async fn begin(&self) -> Option<Begun> {
        if self.0.link.send(&ToOld::Ready, &[]).await.is_err() {
            return None;
        }
        match self.0.link.receive().await {
            Ok(Some((ToNew::Begin { next_id, app }, _))) => Some(Begun { next_id, app }),
            Ok(Some(_)) => {
                warn!("the old process speaks out of turn");
                None
            }
            Ok(None) => None,
            Err(error) => {
                warn!(%error, "the old process does not speak the hand-over protocol");
                None
            }
        }
    }

    /// Takes over the sessions. `listeners` are the listeners with the numbers of the old process.
    /// Returns when the old process has ended.
    pub(crate) async fn run(
        self,
        Answers { answer, answers }: Answers,
        running: Arc<Running>,
        listeners: Vec<Option<HandedListener>>,
    ) {
        answers.send_to(Arc::clone(&self.0.link));
        let mut taking = Taking { running, answer, listeners, codecs: Vec::new(), came: 0, is_over: false };
        loop {
            match self.0.link.receive().await {
                Ok(Some((message, descriptors))) => taking.take(message, descriptors).await,
                Ok(None) => break,
                Err(error) => {
                    error!(%error, "the old process does not speak the hand-over protocol");
                    break;
                }
            }
        }
        taking.end().await;
    }

    fn lock(&self) -> MutexGuard<'_, TakenSockets> {
        self.0.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects the sessions of this process with those of the old one. To be called before the
/// first client is accepted here.
pub(crate) fn connect(sessions: &Sessions) -> Answers {
    let (answer, answers) = Queue::new();
    let relay = Arc::new(ToOldProcess { answer: answer.clone(), sent: Mutex::default() });
    sessions.set_relay(Some(relay));
    Answers { answer, answers }
}

/// What this process says to the old one.
pub(crate) struct Answers {
    pub(super) answer: Queue<ToOld>,
    pub(super) answers: Queued<ToOld>,
}

/// The way to the old process.
struct ToOldProcess {
    answer: Queue<ToOld>,
    /// How many commands and bindings were sent. Locked while one is sent, so that they are counted
    /// in their order.
    sent: Mutex<u64>,
}

impl ToOldProcess {
    fn send(&self, message: ToOld) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        *sent += 1;
        self.answer.put(message, Vec::new());
    }
}

impl Relay for ToOldProcess {
    fn command(&self, target: &Target, command: &Command, seen: u64) -> u64 {
        self.send(ToOld::Command(target.into(), command.into(), seen));
        // Sessions do not leave this process, so the place means nothing.
        0
    }

    fn directed(&self, _: SessionId, _: Directed) {}

    fn sent(&self) -> u64 {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_the_nodes(&self) -> bool {
        true
    }

    fn bound(&self, user: &User, at: u64, seen: u64) {
        self.send(ToOld::Bound(user.clone(), at, seen));
    }

    fn flush(&self) -> BoxFuture<'static, ()> {
        self.answer.flush()
    }
}

/// The sessions that come.
struct Taking {
    running: Arc<Running>,
    answer: Queue<ToOld>,
    listeners: Vec<Option<HandedListener>>,
    codecs: Vec<Arc<SavedCodec>>,
    came: u64,
    /// Whether no session comes any more.
    is_over: bool,
}

impl Taking {
    async fn take(&mut self, message: ToNew, descriptors: Vec<OwnedFd>) {
        let sessions = self.running.sessions();
        match message {
            ToNew::Codec(codec) => self.codecs.push(Arc::new(codec)),
            ToNew::Session(place, saved) => {
                let id = saved.id;
                let listener = self.listeners.get(saved.listener as usize).and_then(Option::as_ref);
                let codec = self.codecs.get(saved.codec as usize);
                let (Some(listener), Some(codec)) = (listener, codec) else {
                    let why = "its listener is not in the new configuration".to_owned();
                    self.answer.put(ToOld::Refused(id, why, Vec::new()), Vec::new());
                    // Later: a command that was sent before the refusal has not seen the session.
                    sessions.arrive(place, []);
                    return;
                };
                let mut saved = *saved;
                let state = std::mem::take(&mut saved.socket);
                let socket = HandedSocket { descriptor: descriptors.into_iter().next(), state };
                let arrived = Arrived::new(&self.running, listener, Arc::clone(codec), saved, socket);
                sessions.arrive(place, [arrived.session().clone()]);
                self.came += 1;
                let (answer, table) = (self.answer.clone(), sessions.clone());
                arrived.serve(&self.running, move |id, served| match served {
                    Ok(()) => answer.put(ToOld::Served(id.0), Vec::new()),
                    Err(why) => table.turn_back(id, |held| {
                        let held = held.iter().map(Into::into).collect();
                        answer.put(ToOld::Refused(id.0, why, held), Vec::new());
                    }),
                });
            }
            ToNew::Command(place, target, command) => {
                sessions.apply_from_old(place, &target.into(), &command.into());
            }
            ToNew::Directed(place, id, directed) => sessions.direct(place, SessionId(id), &directed.into()),
            ToNew::Bound(place, user, at) => sessions.bound_in_old(place, &user, at),
            ToNew::Heard(count) => sessions.heard(count),
            ToNew::Resume { listener, state } => {
                if let Some(listener) = self.listeners.get(listener as usize).and_then(Option::as_ref) {
                    listener.go_on(Some(state)).await;
                }
            }
            ToNew::End => {
                self.is_over = true;
                self.own_listeners().await;
                self.answer.put(ToOld::Took, Vec::new());
                self.running.set_settled();
                info!(sessions = self.came, "took over the sessions of the old process");
            }
            ToNew::Sockets(_) | ToNew::Begin { .. } => warn!("the old process speaks out of turn"),
        }
    }

    /// The old process is gone.
    async fn end(self) {
        self.running.sessions().set_relay(None);
        // Nothing comes from it any more.
        self.running.sessions().heard(u64::MAX);
        if self.is_over {
            info!("the old process has ended");
            return;
        }
        self.own_listeners().await;
        self.running.set_settled();
        error!(sessions = self.came, "the old process ended before it gave all its sessions: these came");
        for listener in self.listeners.iter().flatten() {
            listener.go_on(None).await;
        }
    }

    async fn own_listeners(&self) {
        for listener in self.listeners.iter().flatten() {
            listener.own().await;
        }
    }
}
