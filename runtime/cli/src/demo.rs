//! The demo application: an echo, the time, and a small chat.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use wireplug::app::{Error, Json};
use wireplug::{App, Session, Sessions, User};

/// The group of the sessions that have joined the chat.
const CHAT: &str = "chat";

/// The route of the push that carries a chat message.
const ON_CHAT: &str = "onChat";

/// Builds the application.
pub(super) fn app() -> App {
    App::new()
        .route("connector.entryHandler.echo", |body: Bytes| async move { body })
        .route("connector.entryHandler.time", || async { time() })
        .route("chat.chatHandler.join", join)
        .route("chat.chatHandler.send", send)
        .push_route(ON_CHAT)
}

#[derive(Deserialize)]
struct Join {
    name: User,
}

#[derive(Deserialize)]
struct Say {
    text: String,
}

fn time() -> Result<Json<Value>, Error> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Json(json!({ "time": since.as_millis() as u64 })))
}

async fn join(Json(Join { name }): Json<Join>, session: Session) -> Result<Json<Value>, Error> {
    session.bind(&name)?;
    session.join(CHAT)?;
    Ok(Json(json!({ "name": name })))
}

/// Pushes a member's message to all members. Answers with 403 if the user has not joined.
async fn send(Json(Say { text }): Json<Say>, from: Option<User>, sessions: Sessions) -> Result<(), Error> {
    let from = from.ok_or_else(|| Error::status(403))?;
    sessions.group(CHAT).push(ON_CHAT, &json!({ "from": from, "text": text }))?;
    Ok(())
}
