//! The state that a polling session shares with its requests: the payload that one request brings,
//! and the packets that another request fetches. Each request runs in the task of its HTTP
//! connection. Everything else runs in the session's task.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Buf as _, Bytes};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::packet::{Broken, Frame};
use super::transport::WebSocket;
use crate::meter::RateMeter;
use crate::rate_wait::RateWait;

/// The separator of the packets in a payload.
const SEPARATOR: u8 = 0x1e;

/// The memory that a waiting packet takes in addition to its bytes. It is counted, so that empty
/// packets cannot wait without bound.
const PACKET: usize = 64;

/// How many bytes may wait to be fetched before no more packets are accepted. A WebSocket writes as
/// many at once.
const WAITING: usize = 64 << 10;

/// How long a fetching request is held while its session changes to WebSocket. The client waits for
/// the answer before it changes, and may send one more such request.
const WHILE_UPGRADING: Duration = Duration::from_millis(100);

/// The polling sessions, by their ids.
#[derive(Clone, Default)]
pub(super) struct Sessions {
    open: Arc<Mutex<HashMap<String, Arc<Polling>>>>,
}

impl Sessions {
    /// Adds a session.
    pub(super) fn open(&self, sid: String, meter: RateMeter) -> Registered {
        let polling = Arc::new(Polling { meter, state: Mutex::default(), changed: Notify::new() });
        self.lock().insert(sid.clone(), Arc::clone(&polling));
        Registered { sessions: self.clone(), sid, polling, wait: RateWait::default() }
    }

    /// Returns the session with this id.
    pub(super) fn get(&self, sid: &str) -> Option<Arc<Polling>> {
        self.lock().get(sid).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Polling>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The session's own handle. Requests find the session until this handle is dropped.
pub(super) struct Registered {
    sessions: Sessions,
    sid: String,
    polling: Arc<Polling>,
    /// The wait until the client may be read again.
    wait: RateWait,
}

impl Registered {
    /// Returns the next frame that a request has brought.
    ///
    /// # Errors
    /// Returns an error if the client breaks the protocol, or if it is over its rate and its
    /// connection must end for that.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Frame>> {
        ready!(self.wait.poll(&self.polling.meter, cx))?;
        self.polling.poll_frame(cx)
    }
}

impl Deref for Registered {
    type Target = Polling;

    fn deref(&self) -> &Polling {
        &self.polling
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.sid);
        let mut state = self.polling.lock();
        state.over = true;
        (state.payload, state.websocket) = (None, None);
        drop(state);
        self.polling.changed.notify_waiters();
    }
}

/// The state that a session and its requests share.
pub(super) struct Polling {
    /// Counts packets, and the bytes of requests.
    meter: RateMeter,
    state: Mutex<State>,
    /// Wakes the requests that wait.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// The payload of a request that the session has not read completely. No other payload is
    /// accepted meanwhile.
    payload: Option<Bytes>,
    /// Whether a request is bringing packets.
    posting: bool,
    /// The frames that wait to be fetched.
    waiting: VecDeque<Frame>,
    bytes: usize,
    /// Whether a request waits for packets.
    fetching: bool,
    /// Whether the client is changing to WebSocket.
    upgrading: bool,
    /// The WebSocket connection on which the session continues.
    websocket: Option<WebSocket>,
    broken: Option<Broken>,
    /// Whether the session has ended.
    over: bool,
    session: Option<Waker>,
    /// The bytes of the requests that have arrived.
    read: u64,
    /// The bytes that were fetched.
    fetched: u64,
}

/// A request cannot be served, because its session has ended or the client has broken the protocol.
#[derive(Debug)]
pub(super) struct Gone;

/// A request that brings packets, until it is answered.
pub(super) struct Post<'a>(&'a Polling);

/// A request that fetches packets, until it is answered.
struct Fetch<'a>(&'a Polling);

/// The change of a session to WebSocket, until it has succeeded or failed.
pub(super) struct Upgrade(Arc<Polling>);

impl Polling {
    /// Returns the meter that counts the client's packets and bytes.
    pub(super) fn meter(&self) -> &RateMeter {
        &self.meter
    }

    // === requests ===

    /// Registers a request that brings packets. `bytes` is the size of its head. Only one such
    /// request may run at a time.
    pub(super) fn post(&self, bytes: u64) -> Result<Post<'_>, Gone> {
        let mut state = self.lock();
        if state.over {
            return Err(Gone);
        }
        self.count(&mut state, bytes);
        if mem::replace(&mut state.posting, true) || state.payload.is_some() {
            return Err(state.break_off("two requests with packets at once"));
        }
        Ok(Post(self))
    }

    /// Waits for packets, and returns them as a payload. `bytes` is the size of the request. Only
    /// one such request may run at a time.
    pub(super) async fn fetch(&self, bytes: u64) -> Result<String, Gone> {
        let _fetch = self.begin_fetch(bytes)?;
        loop {
            let changed = self.changed.notified();
            let upgrading = {
                let mut state = self.lock();
                if !state.waiting.is_empty() && !state.upgrading {
                    return Ok(state.payload());
                }
                if state.over {
                    return Err(Gone);
                }
                state.upgrading
            };
            if upgrading {
                sleep(WHILE_UPGRADING).await;
                return Ok("6".to_owned());
            }
            changed.await;
        }
    }

    fn begin_fetch(&self, bytes: u64) -> Result<Fetch<'_>, Gone> {
        let mut state = self.lock();
        if state.over {
            return Err(Gone);
        }
        self.count(&mut state, bytes);
        if mem::replace(&mut state.fetching, true) {
            return Err(state.break_off("two polls at once"));
        }
        Ok(Fetch(self))
    }

    /// Counts the bytes of a request. Packets are counted when they are read. A request with
    /// packets brings at least one packet, and a request that fetches packets gets an answer that
    /// the server had to send anyway.
    fn count(&self, state: &mut State, bytes: u64) {
        state.read += bytes;
        self.meter.take(0, bytes);
        // The client may be over its rate now, so the session's task must check.
        state.wake();
    }

    /// Begins the change to WebSocket. Only one connection may try at a time.
    pub(super) fn upgrade(self: &Arc<Self>) -> Result<Upgrade, Gone> {
        let mut state = self.lock();
        if state.over || state.websocket.is_some() || mem::replace(&mut state.upgrading, true) {
            return Err(Gone);
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(Upgrade(Arc::clone(self)))
    }

    // === the session ===

    /// Returns the next frame that a request has brought. Returns an error if requests overlap or a
    /// payload is invalid.
    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<io::Result<Frame>> {
        let mut state = self.lock();
        if let Some(broken) = state.broken {
            return Poll::Ready(Err(broken.into()));
        }
        let Some(payload) = &mut state.payload else {
            state.session = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let length = payload.iter().position(|byte| *byte == SEPARATOR);
        let mut packet = payload.split_to(length.unwrap_or(payload.len()));
        self.meter.take(1, 0);
        match length {
            Some(_) => payload.advance(1),
            None => {
                state.payload = None;
                drop(state);
                self.changed.notify_waiters();
            }
        }
        Poll::Ready(Ok(match packet.first() {
            Some(b'b') => {
                packet.advance(1);
                let bytes = BASE64.decode(packet).map_err(|_| Broken("an attachment that is no base64"))?;
                Frame::Binary(bytes.into())
            }
            _ => Frame::Text(packet),
        }))
    }

    /// Appends a frame to those that wait to be fetched.
    pub(super) fn send(&self, frame: Frame) {
        let mut state = self.lock();
        state.bytes += frame.len() + PACKET;
        state.waiting.push_back(frame);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits until a frame may be sent.
    pub(super) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_below(WAITING, cx)
    }

    /// Waits until all frames have been fetched.
    pub(super) fn poll_fetched(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_below(1, cx)
    }

    fn poll_below(&self, limit: usize, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.bytes < limit {
            return Poll::Ready(());
        }
        state.session = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Returns the WebSocket connection on which the session continues, and the frames that were
    /// not fetched. Returns `None` until the connection is there and the session has read every
    /// payload.
    pub(super) fn take_websocket(&self) -> Option<(WebSocket, VecDeque<Frame>)> {
        let mut state = self.lock();
        if state.payload.is_some() {
            return None;
        }
        let websocket = state.websocket.take()?;
        state.bytes = 0;
        Some((websocket, mem::take(&mut state.waiting)))
    }

    /// Returns the bytes of the requests, and the bytes that were fetched.
    pub(super) fn passed(&self) -> (u64, u64) {
        let state = self.lock();
        (state.read, state.fetched)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns all waiting frames as one payload.
    fn payload(&mut self) -> String {
        let mut payload = String::with_capacity(self.bytes);
        for frame in self.waiting.drain(..) {
            if !payload.is_empty() {
                payload.push(char::from(SEPARATOR));
            }
            match frame {
                Frame::Text(text) => payload.push_str(&String::from_utf8_lossy(&text)),
                Frame::Binary(bytes) => {
                    payload.push('b');
                    BASE64.encode_string(bytes, &mut payload);
                }
            }
        }
        self.waiting.shrink_to(16);
        self.bytes = 0;
        self.fetched += payload.len() as u64;
        self.wake();
        payload
    }

    fn break_off(&mut self, why: &'static str) -> Gone {
        self.broken = Some(Broken(why));
        self.wake();
        Gone
    }

    fn wake(&mut self) {
        if let Some(session) = self.session.take() {
            session.wake();
        }
    }
}

impl Post<'_> {
    /// Hands a payload over, and waits until the session has read all of it. So the next request of
    /// a client that is over its rates is not read.
    pub(super) async fn bring(self, payload: Bytes) -> Result<(), Gone> {
        {
            let mut state = self.0.lock();
            self.0.count(&mut state, payload.len() as u64);
            state.payload = Some(payload);
        }
        loop {
            let changed = self.0.changed.notified();
            {
                let state = self.0.lock();
                if state.over || state.broken.is_some() {
                    return Err(Gone);
                }
                if state.payload.is_none() {
                    return Ok(());
                }
            }
            changed.await;
        }
    }
}

impl Drop for Post<'_> {
    fn drop(&mut self) {
        self.0.lock().posting = false;
    }
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        self.0.lock().fetching = false;
    }
}

impl Upgrade {
    /// Gives the session the WebSocket connection to which the client has changed.
    pub(super) fn finish(self, websocket: WebSocket) {
        let mut state = self.0.lock();
        if !state.over {
            state.websocket = Some(websocket);
            state.wake();
        }
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        self.0.lock().upgrading = false;
        self.0.changed.notify_waiters();
    }
}
