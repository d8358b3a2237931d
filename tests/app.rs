//! The application behind most test servers. It does the same as the demo, which belongs to the
//! binary and cannot be used here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use wireplug::app::{Error, Json};
use wireplug::session::SessionId;
use wireplug::{App, Session};

/// The route that answers a request with its own body.
pub const ECHO: &str = "connector.entryHandler.echo";

/// The route that answers with the time, in milliseconds since 1970.
pub const TIME: &str = "connector.entryHandler.time";

/// The route that joins the chat.
pub const JOIN: &str = "chat.chatHandler.join";

/// The route that sends a message to all members of the chat.
pub const SAY: &str = "chat.chatHandler.send";

/// The push that carries a chat message.
pub const ON_CHAT: &str = "onChat";

/// The route of every message of a guest of [`crate::hostile`].
pub const GUEST: &str = "a.b.c";

/// Returns an application like the demo: an echo, the time, and a chat. Routes may be added to it.
pub fn demo() -> App {
    let room: Arc<Mutex<BTreeMap<SessionId, (String, Session)>>> = Arc::default();
    let other = Arc::clone(&room);
    App::new()
        .route(ECHO, |body: Bytes| async move { body })
        .route(TIME, || async {
            let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
            Ok::<_, Error>(Json(json!({ "time": since.as_millis() as u64 })))
        })
        .route(JOIN, move |join: Json<Join>, session: Session| {
            let mut room = room.lock().expect("no test panics here");
            room.retain(|_, (_, session)| !session.is_closed());
            room.insert(session.id(), (join.0.name, session));
            let members: Vec<_> = room.values().map(|(name, _)| name.clone()).collect();
            async move { Json(json!({ "members": members })) }
        })
        .route(SAY, move |say: Json<Say>, id: SessionId| {
            let room = other.lock().expect("no test panics here");
            let said = match room.get(&id) {
                None => Err(Error::status(403)),
                Some((from, _)) => {
                    let said = json!({ "from": from, "text": say.0.text });
                    room.values().for_each(|(_, member)| drop(member.push(ON_CHAT, &said)));
                    Ok(Json(json!({})))
                }
            };
            async move { said }
        })
        .push_route(ON_CHAT)
}

/// Returns [`demo`] with an echo for the guests of [`crate::hostile`].
pub fn with_guests() -> App {
    demo().route(GUEST, |body: Bytes| async move { body })
}

#[derive(Deserialize)]
struct Join {
    name: String,
}

#[derive(Deserialize)]
struct Say {
    text: String,
}
