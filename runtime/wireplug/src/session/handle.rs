//! A session as the application holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use serde::Serialize;

use super::broadcast::{ShareClass, SharedPush};
use super::command::Command;
use super::queue::{Full, MessageQueue};
use super::{CloseReason, Group, Message, NameError, Outbox, Sessions, User};
use crate::codec::Reason;

/// The number of a session; unique in its process, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a client came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The transport: `tcp`, `ws`, `unix`, `pipe`, `memory`, or that of another crate.
    pub transport: String,
    /// `ip:port`, `[v6]:port`, or empty where the transport has none.
    pub address: String,
    /// What the transport knows besides. WebSocket: `path`, `query`, `host`, `origin`,
    /// `subprotocol`, and `header:NAME` for each header field that the listener names. TLS: `tls`,
    /// its version, `sni`, and `client-certificate`, the SHA-256 of the one that the client showed.
    /// Unix sockets: `uid`, `gid`, `pid`.
    pub attributes: Vec<(String, String)>,
}

/// One client, from connect to close. Cheap to clone; may be kept, and outlives the connection as
/// an empty shell.
///
/// A handler gets it as an argument:
///
/// ```
/// use wireplug::app::{Error, Json};
/// use wireplug::testing::TestServer;
/// use wireplug::{App, Session, User};
///
/// async fn sign_in(Json(name): Json<User>, session: Session) -> Result<(), Error> {
///     session.bind(&name)?;
///     session.push("onWelcome", &format!("hello {name}"))?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let server = TestServer::new(App::new().route("sign-in", sign_in));
/// let mut client = server.connect();
/// client.request("sign-in", &"ann").await;
/// assert_eq!(client.take_pushes()[0].1, "hello ann");
/// # }
/// ```
#[derive(Clone)]
pub struct Session(Arc<SessionState>);

struct SessionState {
    id: SessionId,
    client: ClientInfo,
    /// What waits for the client. The session's machine has it too.
    outbox: Outbox,
    state: Mutex<ApplicationState>,
    /// Somebody wants the connection to end: the task must look under the lock.
    close_wanted: AtomicBool,
    /// All sessions of the server.
    sessions: Sessions,
    /// The handshake is over.
    established: AtomicBool,
    /// The connection's task.
    task: AtomicWaker,
}

/// What the application wants of the session, and keeps with it.
#[derive(Default)]
struct ApplicationState {
    /// Why somebody wants the connection to end.
    close: Option<CloseReason>,
    /// It is over, but for answers that it still owes: it is bound to nobody any more, and joins
    /// nothing.
    leaving: bool,
    /// What the application knows it by. Most sessions of some applications have none.
    profile: Option<Box<Profile>>,
}

/// What the application knows a session by. User and groups are changed under the table's lock
/// only, so that the two never differ.
#[derive(Default)]
struct Profile {
    binding: Option<Binding>,
    groups: BTreeSet<Group>,
    settings: BTreeMap<Arc<str>, Arc<str>>,
}

/// Whom a session is bound to, and since when.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) user: User,
    /// In microseconds since 1970, and later than every binding that was known then.
    #[cfg_attr(
        not(feature = "nats"),
        allow(dead_code, reason = "only services and other servers compare bindings")
    )]
    pub(super) at: u64,
}

impl Wake for SessionState {
    fn wake(self: Arc<Self>) {
        self.task.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.task.wake();
    }
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection has ended.
    #[error("the session is closed")]
    Closed,
    /// The client does not read as fast as the application pushes.
    #[error("the session's outbox is full")]
    Full,
    /// The body is not to be had as JSON.
    #[error("the body cannot be serialized: {0}")]
    Serialize(#[from] serde_json::Error),
}

/// Why a session was not bound to a user, or did not join a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The connection has ended.
    #[error("the session is closed")]
    Closed,
    /// The name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl Session {
    pub(crate) fn new(id: SessionId, client: ClientInfo, outbox: Outbox, sessions: Sessions) -> Self {
        Self(Arc::new(SessionState {
            id,
            client,
            outbox,
            state: Mutex::default(),
            close_wanted: AtomicBool::new(false),
            sessions,
            established: AtomicBool::new(false),
            task: AtomicWaker::new(),
        }))
    }

    /// Its number.
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// All sessions of its server.
    pub fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// Where the client came from.
    pub fn client(&self) -> &ClientInfo {
        &self.0.client
    }

    /// Whether the handshake is over.
    pub fn is_established(&self) -> bool {
        self.0.established.load(Ordering::Relaxed)
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.0.outbox.is_closed()
    }

    /// Sends a message nobody asked for. It goes out behind all that was sent to this client
    /// before; while the handshake lasts it waits.
    ///
    /// # Errors
    /// [`SendError::Closed`] and [`SendError::Full`]; the message is dropped then.
    pub fn send(&self, message: Message) -> Result<(), SendError> {
        self.send_with(|queue| queue.push(message))
    }

    /// Sends messages that belong together: they follow each other, and are encoded and written
    /// together as far as one batch holds them.
    ///
    /// # Errors
    /// As [`Session::send`]. Where the outbox is full, those before the first that did not fit are
    /// sent.
    pub fn send_batch(&self, messages: Vec<Message>) -> Result<(), SendError> {
        self.send_with(|queue| messages.into_iter().try_for_each(|message| queue.push(message)))
    }

    /// Sends a push that goes to many.
    pub(crate) fn send_shared(&self, push: &Arc<SharedPush>) -> Result<(), SendError> {
        self.send_with(|queue| queue.push(Arc::clone(push)))
    }

    fn send_with(&self, push: impl FnOnce(&mut MessageQueue) -> Result<(), Full>) -> Result<(), SendError> {
        let sent = self.0.outbox.push_with(push).ok_or(SendError::Closed)?;
        if sent.is_err_and(|full| full.closes) {
            self.close(CloseReason::Overflow);
        } else {
            self.0.task.wake();
        }
        sent.map_err(|_| SendError::Full)
    }

    /// Pushes a JSON body: [`Session::send`] for the common case.
    ///
    /// # Errors
    /// As [`Session::send`], and [`SendError::Serialize`].
    pub fn push<T: Serialize + ?Sized>(&self, route: &str, body: &T) -> Result<(), SendError> {
        self.send(Message::push(route, Bytes::from(serde_json::to_vec(body)?)))
    }

    /// Throws the client out: what was sent before is written, the codec's farewell carries the
    /// reason, and the connection ends.
    pub fn kick(&self, reason: &str) {
        self.close(CloseReason::Kicked(Reason::new(reason)));
    }

    // === what the application knows it by ===

    /// Binds it to a user, from now on: then [`Sessions::user`] finds it. One that was bound to
    /// another user before is so no more. A user may have many sessions, unless
    /// [`ServerConfig::sessions_per_user`](crate::config::ServerConfig::sessions_per_user) says
    /// otherwise: then the earlier ones end, with [`CloseReason::Displaced`].
    ///
    /// # Errors
    /// Where it has ended, or the name cannot be one.
    pub fn bind(&self, user: &str) -> Result<(), SessionError> {
        self.0.sessions.bind(self, User::new(user)?)
    }

    /// Ends its binding, if there is one.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn unbind(&self) -> Result<(), SessionError> {
        self.0.sessions.unbind(self)
    }

    /// The user that it is bound to; of one that has ended, the one that it was bound to.
    pub fn user(&self) -> Option<User> {
        self.binding().map(|binding| binding.user)
    }

    /// Has it join a group: then [`Sessions::group`] has it. A member stays one until it leaves or
    /// ends.
    ///
    /// # Errors
    /// Where it has ended, or the name cannot be one.
    pub fn join(&self, group: &str) -> Result<(), SessionError> {
        self.0.sessions.join(self, &Group::new(group)?)
    }

    /// Has it leave a group, if it is a member.
    pub fn leave(&self, group: &str) {
        if let Ok(group) = Group::new(group) {
            self.0.sessions.leave(self, &group);
        }
    }

    /// The groups that it is in; of one that has ended, those that it was in.
    pub fn groups(&self) -> Vec<Group> {
        self.with_profile(|profile| profile.groups.iter().cloned().collect())
    }

    /// The value of a setting: text that the application keeps with the session, and that goes with
    /// it.
    pub fn setting(&self, name: &str) -> Option<Arc<str>> {
        self.with_profile(|profile| profile.settings.get(name).cloned())
    }

    /// Gives a setting a value, or takes it away.
    pub fn set(&self, name: &str, value: Option<&str>) {
        let mut state = self.lock();
        let settings = &mut state.profile.get_or_insert_default().settings;
        match value {
            Some(value) => settings.insert(name.into(), value.into()),
            None => settings.remove(name),
        };
    }

    /// Applies a command. False: it was not taken.
    pub(super) fn apply(&self, command: &Command) -> bool {
        let sessions = &self.0.sessions;
        match command {
            Command::Push(message) => self.send(message.clone()).is_ok(),
            Command::Kick(reason) => {
                self.close(CloseReason::Kicked(reason.clone()));
                true
            }
            Command::Bind(user) => sessions.bind(self, user.clone()).is_ok(),
            Command::Unbind => sessions.unbind(self).is_ok(),
            Command::Join(group) => sessions.join(self, group).is_ok(),
            Command::Leave(group) => {
                sessions.leave(self, group);
                true
            }
            Command::Set(settings) => {
                settings.iter().for_each(|(name, value)| self.set(name, value.as_deref()));
                true
            }
        }
    }

    pub(super) fn binding(&self) -> Option<Binding> {
        self.with_profile(|profile| profile.binding.clone())
    }

    pub(super) fn set_binding(&self, binding: Option<Binding>) {
        self.lock().profile.get_or_insert_default().binding = binding;
    }

    /// False: it is in the group already.
    pub(super) fn add_group(&self, group: &Group) -> bool {
        self.lock().profile.get_or_insert_default().groups.insert(group.clone())
    }

    /// False: it is not in the group.
    pub(super) fn remove_group(&self, group: &Group) -> bool {
        self.lock().profile.as_mut().is_some_and(|profile| profile.groups.remove(group))
    }

    fn with_profile<R: Default>(&self, f: impl FnOnce(&Profile) -> R) -> R {
        self.lock().profile.as_deref().map(f).unwrap_or_default()
    }

    pub(crate) fn close(&self, reason: CloseReason) {
        let mut state = self.lock();
        state.close.get_or_insert(reason);
        self.0.close_wanted.store(true, Ordering::Relaxed);
        drop(state);
        self.0.task.wake();
    }

    // === the connection's side ===

    /// Wakes the connection's task, whichever it is.
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    /// What waits for the client.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// Sets with which sessions it shares encodings from now on.
    pub(crate) fn set_share_class(&self, share: Option<ShareClass>) {
        self.0.outbox.set_share_class(share);
    }

    /// Has the task woken at the next send or close.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.0.task.register(cx.waker());
    }

    pub(crate) fn respond(&self, message: Message) {
        self.0.outbox.respond(message);
    }

    /// What waits in the outbox, in bytes.
    pub(crate) fn waiting(&self) -> usize {
        self.0.outbox.waiting()
    }

    /// Why somebody wants the connection to end, if anybody does.
    pub(crate) fn close_wanted(&self) -> Option<CloseReason> {
        if !self.0.close_wanted.load(Ordering::Relaxed) {
            return None;
        }
        self.lock().close.clone()
    }

    /// The connection is over, but for answers that it still owes.
    pub(crate) fn set_leaving(&self) {
        self.lock().leaving = true;
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.lock().leaving
    }

    pub(crate) fn set_established(&self) {
        self.0.established.store(true, Ordering::Relaxed);
    }

    /// The connection has ended. What the application keeps of the session keeps no codec.
    pub(crate) fn set_closed(&self) {
        self.0.outbox.close();
    }

    fn lock(&self) -> MutexGuard<'_, ApplicationState> {
        // Nothing that runs under this lock can leave it half done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.0.id.0)
            .field("client", &self.0.client)
            .finish_non_exhaustive()
    }
}
