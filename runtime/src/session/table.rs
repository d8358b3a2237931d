//! All sessions of a server.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::broadcast::send_to_all;
use super::{CloseReason, Message, Session, SessionId};

/// All sessions of a server. Cheap to clone. Locked when a session comes or goes and when somebody asks for
/// many, never on the way of a packet.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<RwLock<HashMap<SessionId, Session>>>);

impl Sessions {
    /// How many are established.
    pub fn len(&self) -> usize {
        self.read(|sessions| sessions.values().filter(|session| session.is_established()).count())
    }

    /// Whether none is established.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them, if its connection has not ended.
    pub fn get(&self, id: SessionId) -> Option<Session> {
        self.read(|sessions| sessions.get(&id).cloned())
    }

    /// Sends a message to all that are established. Returns how many took it: one whose outbox is full does
    /// not, and loses this message alone.
    pub fn send_all(&self, message: &Message) -> usize {
        let all = self.all();
        send_to_all(all.iter().filter(|session| session.is_established()), message)
    }

    pub(crate) fn insert(&self, session: Session) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(session.id(), session);
    }

    pub(crate) fn remove(&self, id: SessionId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    pub(crate) fn close_all(&self, reason: &CloseReason) {
        self.all().iter().for_each(|session| session.close(reason.clone()));
    }

    /// A copy, so that nobody who comes or goes waits for a long loop.
    fn all(&self) -> Vec<Session> {
        self.read(|sessions| sessions.values().cloned().collect())
    }

    fn read<R>(&self, f: impl FnOnce(&HashMap<SessionId, Session>) -> R) -> R {
        f(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
