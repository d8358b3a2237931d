//! The application's handle of a session.

mod debug;
mod moving;
mod operators;
mod profile;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Wake, Waker};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use serde::Serialize;

pub(crate) use self::moving::{Leaving, SavedProfile};
pub(super) use self::profile::Binding;
use self::profile::Profile;
use super::broadcast::{BroadcastClass, SharedPush};
use super::command::Command;
use super::outbox::Pushed;
use super::queue::{Full, MessageQueue};
use super::{ClientRequest, CloseReason, Directed, Message, NameError, Outbox, Sessions, Vitals};
use crate::codec::Reason;
use crate::session_trace::Order;
use crate::upgrade::MoveOrder;
use wireplug_connectors::StartTls;

/// A close was requested. The reason is in [`ApplicationState::close`].
const CLOSE: u8 = 1;

/// There are [`ApplicationState::orders`].
const ORDERS: u8 = 2;

/// The task is asked to do something in an upgrade.
const MOVES: u8 = 4;

/// The number of a session. It is unique in its process, and counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The transport, the address and the attributes of a client.
///
/// Its `Debug` output has the names of the attributes only, because a header field may be a
/// password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The name of the transport: `tcp`, `ws`, `unix`, `pipe`, `memory`, or the name of another
    /// crate's transport.
    pub transport: String,
    /// The client's address: `ip:port`, `[v6]:port`, or empty if the transport has no addresses.
    pub address: String,
    /// Further attributes that the transport knows, as names and values. WebSocket: `path`,
    /// `query`, `host`, `origin`, `subprotocol`, and `header:NAME` for each header field that the
    /// listener names. TLS: `tls-version`, `tls-sni`, `tls-alpn`, and of the client's certificate
    /// `tls-client-subject` (as RFC 4514 writes it) and `tls-client-sha256`. A stream that can
    /// switch to TLS later: `starttls`. Unix sockets: `uid`, `gid`, `pid`.
    pub attributes: Vec<(String, String)>,
}

/// A handle to one client's session, from connect to close.
///
/// A session is cheap to clone. The application may keep it after the connection has ended; then
/// nothing can be sent any more ([`SendError::Closed`]).
///
/// A handler gets the session as an argument:
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
    /// The client since TLS has begun in the middle of its stream, if it has.
    secured: OnceLock<Box<ClientInfo>>,
    /// The messages that wait for the client. The session's machine has a handle to the same
    /// outbox.
    outbox: Outbox,
    state: Mutex<ApplicationState>,
    /// What the task is to look for under the lock, such as [`CLOSE`].
    wanted: AtomicU8,
    /// All sessions of the server.
    sessions: Sessions,
    /// Whether the handshake is over.
    established: AtomicBool,
    /// The connection's task.
    task: AtomicWaker,
    /// What the connection's task publishes for operators.
    vitals: Vitals,
}

/// The state that the application requests of the session, or keeps with it.
#[derive(Default)]
struct ApplicationState {
    /// The reason for which the connection is to end, if a close was requested.
    close: Option<CloseReason>,
    /// What the task is asked to do about traces.
    orders: Vec<Order>,
    /// What the task is asked to do in an upgrade.
    move_order: Option<MoveOrder>,
    /// Whether the session has ended, except for responses that are still to be sent. It can no
    /// longer be bound to a user or join a group.
    leaving: bool,
    /// The user, groups and settings of the session. In some applications most sessions have none.
    profile: Option<Box<Profile>>,
}

impl Wake for SessionState {
    fn wake(self: Arc<Self>) {
        self.task.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.task.wake();
    }
}

/// The reason why a message was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection has ended.
    #[error("the session is closed")]
    Closed,
    /// The client does not read as fast as the application pushes.
    #[error("the session's outbox is full")]
    Full,
    /// The body cannot be serialized as JSON.
    #[error("the body cannot be serialized: {0}")]
    Serialize(#[from] serde_json::Error),
}

/// The reason why a session was not bound to a user, or did not join a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The connection has ended.
    #[error("the session is closed")]
    Closed,
    /// The name is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl Session {
    pub(crate) fn new(id: SessionId, client: ClientInfo, outbox: Outbox, sessions: Sessions) -> Self {
        Self::with_vitals(id, client, outbox, sessions, Vitals::default())
    }

    /// Creates a session of which `vitals` says where it comes from.
    pub(crate) fn with_vitals(
        id: SessionId,
        client: ClientInfo,
        outbox: Outbox,
        sessions: Sessions,
        vitals: Vitals,
    ) -> Self {
        Self(Arc::new(SessionState {
            id,
            client,
            secured: OnceLock::new(),
            outbox,
            state: Mutex::default(),
            wanted: AtomicU8::new(0),
            sessions,
            established: AtomicBool::new(false),
            task: AtomicWaker::new(),
            vitals,
        }))
    }

    /// Returns the number of the session.
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// Returns all sessions of the server.
    pub fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// Returns the transport, the address and the attributes of the client. The attributes change
    /// once if TLS begins in the middle of the client's stream (STARTTLS).
    pub fn client(&self) -> &ClientInfo {
        self.0.secured.get().map_or(&self.0.client, |client| client)
    }

    /// Returns whether the handshake is over.
    pub fn is_established(&self) -> bool {
        self.0.established.load(Ordering::Relaxed)
    }

    /// Returns whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.0.outbox.is_closed()
    }

    /// Sends a message that answers no request. It is sent after all messages that were sent to
    /// this client before. It waits in the outbox until the handshake is over.
    ///
    /// # Errors
    /// Returns [`SendError::Closed`] if the connection has ended, and [`SendError::Full`] if the
    /// message does not fit into the outbox. The message is dropped in both cases. With
    /// [`Overflow::Close`](crate::config::Overflow::Close), a message that does not fit also ends
    /// the connection.
    pub fn send(&self, message: Message) -> Result<(), SendError> {
        self.send_with(None, |queue| queue.push(message))
    }

    /// Sends messages that belong together. No other message comes between them, and they are
    /// encoded and written together as far as they fit into one batch.
    ///
    /// # Errors
    /// Returns the same errors as [`Session::send`]. If the outbox is full, the messages before the
    /// first one that does not fit are sent.
    pub fn send_batch(&self, messages: Vec<Message>) -> Result<(), SendError> {
        self.send_with(None, |queue| messages.into_iter().try_for_each(|message| queue.push(message)))
    }

    /// Sends a push that goes to many sessions. `place` is the place of the command in the order of
    /// frames, if it was sent to the other process of an upgrade.
    pub(crate) fn send_shared(&self, push: &Arc<SharedPush>, place: Option<u64>) -> Result<(), SendError> {
        self.send_with(place, |queue| queue.push(Arc::clone(push)))
    }

    fn send_with(
        &self,
        place: Option<u64>,
        push: impl FnOnce(&mut MessageQueue) -> Result<(), Full>,
    ) -> Result<(), SendError> {
        let Pushed { fit, forward } = self.0.outbox.push_with(place, push);
        forward.into_iter().for_each(|message| self.forward(Directed::Command(Command::Push(message))));
        let sent = fit.ok_or(SendError::Closed)?;
        if sent.is_err_and(|full| full.closes) {
            self.close(CloseReason::Overflow);
        } else {
            self.0.task.wake();
        }
        sent.map_err(|_| SendError::Full)
    }

    /// Pushes a JSON body. This is [`Session::send`] for the common case.
    ///
    /// # Errors
    /// Returns the same errors as [`Session::send`], and [`SendError::Serialize`] if the body
    /// cannot be serialized.
    pub fn push<T: Serialize + ?Sized>(&self, route: &str, body: &T) -> Result<(), SendError> {
        self.send(Message::push(route, Bytes::from(serde_json::to_vec(body)?)))
    }

    /// Prepares a request to the client with a JSON body. It is sent when it is awaited.
    pub fn request<T: Serialize + ?Sized>(&self, route: &str, body: &T) -> ClientRequest {
        ClientRequest::new(self.clone(), route, serde_json::to_vec(body).map(Bytes::from))
    }

    /// Prepares a request to the client with these bytes as its body. It is sent when it is
    /// awaited.
    pub fn request_bytes(&self, route: &str, body: impl Into<Bytes>) -> ClientRequest {
        ClientRequest::new(self.clone(), route, Ok(body.into()))
    }

    /// Disconnects the client. The server first writes the messages that were sent before, and then
    /// the codec's farewell with the reason, if the codec has a farewell.
    pub fn kick(&self, reason: &str) {
        self.close(CloseReason::Kicked(Reason::new(reason)));
    }

    /// Applies a command. Returns `false` if the session did not accept the command.
    pub(super) fn apply(&self, command: &Command) -> bool {
        match command {
            Command::Push(message) => self.send(message.clone()).is_ok(),
            Command::Kick(reason) => {
                self.close(CloseReason::Kicked(reason.clone()));
                true
            }
            Command::Bind(user) => self.bind(user).is_ok(),
            Command::Unbind => self.unbind().is_ok(),
            Command::Join(group) => self.join(group).is_ok(),
            Command::Leave(group) => {
                self.leave(group);
                true
            }
            Command::Set(settings) => {
                settings.iter().for_each(|(name, value)| self.set(name, value.as_deref()));
                true
            }
        }
    }

    pub(crate) fn close(&self, reason: CloseReason) {
        self.follow_close(&reason);
        let mut state = self.lock();
        state.close.get_or_insert(reason);
        self.0.wanted.fetch_or(CLOSE, Ordering::Relaxed);
        drop(state);
        self.0.task.wake();
    }

    // === the connection's side ===

    /// Returns a waker that wakes the connection's task, even if the task registers later.
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    /// Returns the outbox: the messages that wait for the client.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// Sets the class of sessions with which this one shares encodings from now on.
    pub(crate) fn set_broadcast_class(&self, share: Option<BroadcastClass>) {
        self.0.outbox.set_broadcast_class(share);
    }

    /// Wakes the connection's task.
    pub(super) fn wake(&self) {
        self.0.task.wake();
    }

    /// Registers the task to be woken at the next send or close.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.0.task.register(cx.waker());
    }

    pub(crate) fn respond(&self, message: Message) {
        self.0.outbox.respond(message);
    }

    /// Returns the size of the messages in the outbox, in bytes.
    pub(crate) fn waiting(&self) -> usize {
        self.0.outbox.waiting()
    }

    /// Returns the reason for which the connection is to end, if a close was requested.
    pub(crate) fn close_wanted(&self) -> Option<CloseReason> {
        if self.0.wanted.load(Ordering::Relaxed) & CLOSE == 0 {
            return None;
        }
        self.lock().close.clone()
    }

    /// Notes that the session has ended, except for responses that are still to be sent.
    pub(crate) fn set_leaving(&self) {
        self.lock().leaving = true;
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.lock().leaving
    }

    /// Notes that TLS has begun in the middle of the client's stream, and has added these
    /// attributes.
    pub(crate) fn set_secured(&self, attributes: &[(String, String)]) {
        let mut client = Box::new(self.0.client.clone());
        client.attributes.retain(|(name, _)| name != StartTls::ATTRIBUTE);
        client.attributes.extend_from_slice(attributes);
        // TLS begins at most once.
        let _ = self.0.secured.set(client);
    }

    pub(crate) fn set_established(&self) {
        self.0.established.store(true, Ordering::Relaxed);
    }

    /// Notes that the connection has ended. A session that the application keeps then holds no
    /// codec.
    pub(crate) fn set_closed(&self) {
        self.0.outbox.close();
    }

    fn lock(&self) -> MutexGuard<'_, ApplicationState> {
        // Nothing that runs under this lock can leave it half done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
