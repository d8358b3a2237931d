//! The demo application: an echo, the time, and a small chat.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wireplug::app::{App, Error, Json, Response};
use wireplug::session::{Session, SessionId};

/// The push that carries what was said in the chat.
const ON_CHAT: &str = "onChat";

/// Builds the application.
pub(super) fn app() -> App {
    let room = Room::default();
    let other = room.clone();
    App::new()
        .route("connector.entryHandler.echo", |body: Bytes| async move { body })
        .route("connector.entryHandler.time", || async { time() })
        .route("chat.chatHandler.join", move |join: Json<Join>, session: Session| {
            let members = room.join(join.0.name, session);
            async move { Json(json!({ "members": members })) }
        })
        .route("chat.chatHandler.send", move |say: Json<Say>, id: SessionId| {
            let said = other.say(&say.0.text, id);
            async move { said }
        })
        .push_route(ON_CHAT)
}

#[derive(Deserialize)]
struct Join {
    name: String,
}

#[derive(Deserialize)]
struct Say {
    text: String,
}

#[derive(Serialize)]
struct Said<'a> {
    from: &'a str,
    text: &'a str,
}

fn time() -> Result<Json<serde_json::Value>, Error> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Json(json!({ "time": since.as_millis() as u64 })))
}

/// Who is in the chat.
#[derive(Clone, Default)]
struct Room(Arc<Mutex<BTreeMap<SessionId, (String, Session)>>>);

impl Room {
    /// Lets a session in, and returns the names of all who are there.
    fn join(&self, name: String, session: Session) -> Vec<String> {
        let mut members = self.members();
        members.insert(session.id(), (name, session));
        members.values().map(|(name, _)| name.clone()).collect()
    }

    /// Pushes what a member says to all members. 403 for one who has not joined.
    fn say(&self, text: &str, id: SessionId) -> Result<Response, Error> {
        let members = self.members();
        let (from, _) = members.get(&id).ok_or_else(|| Error::status(403))?;
        for (_, member) in members.values() {
            // Who does not read misses a message; nobody else does.
            let _ = member.push(ON_CHAT, &Said { from, text });
        }
        Ok(Response { status: 200, body: Bytes::from_static(b"{}") })
    }

    /// The members whose connections are open.
    fn members(&self) -> MutexGuard<'_, BTreeMap<SessionId, (String, Session)>> {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|_, (_, session)| !session.is_closed());
        members
    }
}
