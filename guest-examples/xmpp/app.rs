//! The application behind the codec `xmpp`: a small chat server with two users, who are contacts of
//! each other.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use wireplug::app::{Error, Handler as _, Json, Response};
use wireplug::session::RequestError;
use wireplug::{App, Session, Sessions, User};

/// The domain in the option of the codec.
const DOMAIN: &str = "localhost";

/// The users and their passwords. A real application keeps only hashes of passwords.
const USERS: [(&str, &str); 2] = [("ann", "ann's secret"), ("bob", "bob's secret")];

const MESSAGE: &str = "xmpp.message";
const PRESENCE: &str = "xmpp.presence";

/// The setting of a session that holds the last presence of its client, while it is available.
const LAST_PRESENCE: &str = "presence";

const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// The namespace of contact lists.
const CONTACTS: &str = "jabber:iq:roster";
const PING: &str = "urn:xmpp:ping";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::new()
        .hello(log_in)
        .route(MESSAGE, message)
        .route(PRESENCE, presence)
        .route(&format!("xmpp.get.{PING}"), || async {})
        .route(&format!("xmpp.get.{CONTACTS}"), contacts)
        .route(&format!("xmpp.get.{DISCO_INFO}"), disco_info)
        .route(&format!("xmpp.get.{DISCO_ITEMS}"), disco_items)
        // A client that answers slowly delays no other request of the one who asks.
        .route("xmpp.iq", relay_query.concurrent())
        .on_closed(|session, _| leave(session));
    wireplug_gallery::serve(app).await
}

#[derive(Deserialize)]
struct Login {
    user: User,
    password: String,
}

async fn log_in(Json(login): Json<Login>, session: Session) -> Result<(), Error> {
    if !USERS.contains(&(&login.user, &login.password)) {
        return Err(Error::status(401));
    }
    session.bind(&login.user)?;
    Ok(())
}

/// The user in an address of this domain.
fn user_of(address: &str) -> Option<&str> {
    let bare = address.split('/').next()?;
    bare.split_once('@').filter(|(_, domain)| *domain == DOMAIN).map(|(user, _)| user)
}

fn no_such(condition: &str) -> Error {
    Error::with_body(404, json!({ "condition": condition }).to_string())
}

/// Passes a message on to all clients of the user to whom it is addressed.
async fn message(Json(message): Json<Value>, session: Session, sessions: Sessions) -> Result<(), Error> {
    match message["to"].as_str() {
        None | Some(DOMAIN) => answer(&message, &session).await,
        Some(to) => {
            let user = user_of(to).ok_or_else(|| no_such("remote-server-not-found"))?;
            // The sender gets an error stanza.
            let taken = sessions.user(user).push(MESSAGE, &message)?;
            if taken > 0 { Ok(()) } else { Err(Error::status(503)) }
        }
    }
}

/// Answers a message to the server itself: measures how fast the client answers a ping.
async fn answer(message: &Value, session: &Session) -> Result<(), Error> {
    let begun = Instant::now();
    let ping = json!({ "payload": ["ping", { "xmlns": PING }] });
    let pong = session.request("xmpp.get", &ping).timeout(Duration::from_secs(5)).await?;
    let body = match pong.status {
        200 => format!("Your client answered a ping in {} ms.", begun.elapsed().as_millis()),
        status => format!("Your client refused a ping with status {status}."),
    };
    session.push(MESSAGE, &json!({ "from": DOMAIN, "to": message["from"], "type": "chat", "body": body }))?;
    Ok(())
}

/// Tells the contacts of a client about its presence, and the client about theirs.
async fn presence(
    Json(presence): Json<Value>,
    user: User,
    session: Session,
    sessions: Sessions,
) -> Result<(), Error> {
    if let Some(to) = presence["to"].as_str() {
        let user = user_of(to).ok_or_else(|| no_such("remote-server-not-found"))?;
        sessions.user(user).push(PRESENCE, &presence)?;
        return Ok(());
    }
    let is_available = presence["type"].is_null();
    let is_first = is_available && session.setting(LAST_PRESENCE).is_none();
    session.set(LAST_PRESENCE, is_available.then(|| presence.to_string()).as_deref());
    for (contact, _) in USERS.iter().filter(|(contact, _)| **contact != *user) {
        let contacts = sessions.user(contact);
        contacts.push(PRESENCE, &presence)?;
        if is_first {
            for theirs in contacts.sessions().iter().filter_map(|contact| contact.setting(LAST_PRESENCE)) {
                session.push(PRESENCE, &serde_json::from_str::<Value>(&theirs)?)?;
            }
        }
    }
    Ok(())
}

/// Tells the contacts of a client that it has gone, unless the client has done so itself.
fn leave(session: &Session) {
    let (Some(user), Some(last)) = (session.user(), session.setting(LAST_PRESENCE)) else { return };
    let last: Value = serde_json::from_str(&last).unwrap_or_default();
    let gone = json!({ "from": last["from"], "type": "unavailable" });
    for (contact, _) in USERS.iter().filter(|(contact, _)| **contact != *user) {
        // A JSON value can always be written.
        let _ = session.sessions().user(contact).push(PRESENCE, &gone);
    }
}

async fn contacts(user: User) -> Json<Value> {
    let mut query = vec![json!("query"), json!({ "xmlns": CONTACTS })];
    for (contact, _) in USERS.iter().filter(|(contact, _)| **contact != *user) {
        query.push(json!(["item", { "jid": format!("{contact}@{DOMAIN}"), "subscription": "both" }]));
    }
    Json(Value::Array(query))
}

async fn disco_info() -> Json<Value> {
    let feature = |name| json!(["feature", { "var": name }]);
    Json(json!([
        "query",
        { "xmlns": DISCO_INFO },
        ["identity", { "category": "server", "type": "im", "name": "wireplug" }],
        feature(DISCO_INFO),
        feature(DISCO_ITEMS),
        feature(PING),
    ]))
}

async fn disco_items() -> Json<Value> {
    Json(json!(["query", { "xmlns": DISCO_ITEMS }]))
}

#[derive(Deserialize)]
struct Query {
    to: String,
    from: String,
    #[serde(rename = "type")]
    kind: String,
    payload: Value,
}

/// Passes a query on to the client of another user, and passes the answer back as it is.
async fn relay_query(Json(query): Json<Query>, sessions: Sessions) -> Result<Response, Error> {
    let user = user_of(&query.to).ok_or_else(|| no_such("remote-server-not-found"))?;
    // The configuration allows one session for each user.
    let client = sessions.user(user).sessions().into_iter().next().ok_or(Error::status(503))?;
    let body = json!({ "from": query.from, "to": query.to, "payload": query.payload });
    match client.request(&format!("xmpp.{}", query.kind), &body).await {
        Ok(answer) => Ok(Response { status: answer.status, body: answer.body }),
        Err(RequestError::TimedOut) => Err(Error::status(504)),
        Err(error) => Err(Error::status(503).because(error)),
    }
}
