//! The application behind the codec `sip`: a small telephone exchange without media.
//!
//! Phones register, call, and send each other messages. A call to the user `busy` is refused, a
//! call to `ring` rings until the caller gives up, and a call to `brief` ends as soon as it is
//! established. Any other call is answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time;
use wireplug::app::{Error, Handler as _, Json, State};
use wireplug::session::SessionId;
use wireplug::{App, Session, Sessions};

/// How long a phone rings before the caller hears that nobody answers.
const RING: Duration = Duration::from_secs(60);
/// How long a registration is valid if the phone does not say, in seconds: RFC 3261, section 10.3.
const EXPIRES: u32 = 3600;
/// The answer to an offer: one stream of audio, in which nothing is sent.
const SDP: &str = "v=0\r\no=wireplug 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                   m=audio 9 RTP/AVP 0\r\na=inactive\r\n";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let exchange = Arc::new(Exchange::default());
    let ended = Arc::clone(&exchange);
    let app = App::with_state(exchange)
        .route("sip.register", register)
        .route("sip.options", async || Json(json!({ "headers": { "Accept": ["application/sdp"] } })))
        .route("sip.message", message.concurrent())
        .route("sip.invite", invite.concurrent())
        .route("sip.cancel", cancel)
        .route("sip.ack", ack)
        .route("sip.noack", no_ack)
        .route("sip.bye", bye)
        .on_closed(move |session, _| ended.forget(session.id()));
    wireplug_gallery::serve(app).await
}

// === what the codec passes on ===

/// A request of a phone.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Incoming {
    id: u64,
    /// The tag of this server in the call.
    tag: String,
    uri: String,
    from: Address,
    to: Address,
    call_id: String,
    contacts: Vec<Address>,
    headers: HashMap<String, Vec<String>>,
    content_type: Option<String>,
    body: Option<String>,
}

#[derive(Clone, Deserialize, Serialize)]
struct Address {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default)]
    params: HashMap<String, String>,
}

/// The client has not confirmed the call that began with this INVITE.
#[derive(Deserialize)]
struct NoAck {
    id: u64,
}

/// Returns the user of `sip:USER@HOST`.
fn user_of(uri: &str) -> Result<&str, Error> {
    let (_, rest) = uri.split_once(':').ok_or(Error::status(400))?;
    rest.split_once('@').map(|(user, _)| user).ok_or(Error::status(404))
}

// === registrations ===

/// Binds the phone's connection to its user, so that messages to the user reach it.
async fn register(Json(request): Json<Incoming>, session: Session) -> Result<Json<Value>, Error> {
    let mut contacts = request.contacts;
    let default = request.headers.get("expires").and_then(|lines| lines[0].parse().ok()).unwrap_or(EXPIRES);
    for contact in &mut contacts {
        contact.params.entry("expires".to_owned()).or_insert_with(|| default.to_string());
    }
    contacts.retain(|contact| contact.uri != "*" && contact.params["expires"] != "0");
    if contacts.is_empty() {
        session.unbind()?;
    } else {
        session.bind(user_of(&request.to.uri)?)?;
    }
    Ok(Json(json!({ "contacts": contacts })))
}

/// Passes a message on to the phones of a user, and the first answer back.
async fn message(Json(request): Json<Incoming>, sessions: Sessions) -> Result<Json<Value>, Error> {
    let from = Address { params: HashMap::new(), ..request.from };
    let text = json!({ "from": from, "content-type": request.content_type, "body": request.body });
    let phones = sessions.user(user_of(&request.uri)?).sessions();
    let phone = phones.first().ok_or(Error::status(480))?;
    let response =
        phone.request("sip.message", &text).await.map_err(|error| Error::status(480).because(error))?;
    let answer: Value = response.json()?;
    Ok(Json(json!({ "status": answer["status"] })))
}

// === calls ===

#[derive(Default)]
struct Exchange {
    calls: Mutex<HashMap<CallKey, Call>>,
}

type CallKey = (SessionId, String);

struct Call {
    /// The number of its INVITE.
    invite: u64,
    /// The caller has given up.
    cancelled: Arc<Notify>,
    /// The request that ends the call from this side.
    bye: Value,
    is_brief: bool,
}

impl Exchange {
    fn with<T>(&self, use_calls: impl FnOnce(&mut HashMap<CallKey, Call>) -> T) -> T {
        use_calls(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn forget(&self, session: SessionId) {
        self.with(|calls| calls.retain(|(owner, _), _| *owner != session));
    }
}

/// Returns the BYE of this server in a call that begins with this INVITE. In it, the two sides have
/// changed places.
fn bye_for(invite: &Incoming) -> Result<Value, Error> {
    let contact = invite.contacts.first().ok_or(Error::status(400))?;
    let mut us = invite.to.clone();
    us.params.insert("tag".to_owned(), invite.tag.clone());
    Ok(json!({ "uri": contact.uri, "from": us, "to": invite.from, "call-id": invite.call_id }))
}

async fn invite(
    Json(request): Json<Incoming>,
    session: Session,
    State(exchange): State<Arc<Exchange>>,
) -> Result<Json<Value>, Error> {
    let callee = user_of(&request.uri)?.to_owned();
    if callee == "busy" {
        return Err(Error::status(486));
    }
    let key = (session.id(), request.call_id.clone());
    let cancelled = Arc::new(Notify::new());
    let call = Call {
        invite: request.id,
        cancelled: Arc::clone(&cancelled),
        bye: bye_for(&request)?,
        is_brief: callee == "brief",
    };
    exchange.with(|calls| calls.insert(key.clone(), call));
    session.push("sip.progress", &json!({ "id": request.id, "status": 180 }))?;
    if callee == "ring" {
        // A response to a cancelled INVITE goes nowhere: the codec has answered it with 487.
        let _ = time::timeout(RING, cancelled.notified()).await;
        exchange.with(|calls| calls.remove(&key));
        return Err(Error::status(480));
    }
    Ok(Json(json!({ "content-type": "application/sdp", "body": SDP })))
}

async fn cancel(Json(request): Json<Incoming>, session: Session, State(exchange): State<Arc<Exchange>>) {
    let call = exchange.with(|calls| calls.remove(&(session.id(), request.call_id)));
    if let Some(call) = call {
        call.cancelled.notify_one();
    }
}

async fn ack(Json(request): Json<Incoming>, session: Session, State(exchange): State<Arc<Exchange>>) {
    let key = (session.id(), request.call_id);
    let brief = exchange.with(|calls| match calls.get(&key) {
        Some(call) if call.is_brief => calls.remove(&key),
        _ => None,
    });
    if let Some(call) = brief {
        hang_up(&session, &call).await;
    }
}

/// A phone never confirmed its call.
async fn no_ack(Json(lost): Json<NoAck>, session: Session, State(exchange): State<Arc<Exchange>>) {
    let call = exchange.with(|calls| {
        let is_lost = |owner: &SessionId, call: &Call| *owner == session.id() && call.invite == lost.id;
        let key = calls.iter().find(|((owner, _), call)| is_lost(owner, call)).map(|(key, _)| key.clone());
        key.and_then(|key| calls.remove(&key))
    });
    if let Some(call) = call {
        hang_up(&session, &call).await;
    }
}

async fn bye(
    Json(request): Json<Incoming>,
    session: Session,
    State(exchange): State<Arc<Exchange>>,
) -> Result<(), Error> {
    let call = exchange.with(|calls| calls.remove(&(session.id(), request.call_id)));
    call.map(|_| ()).ok_or(Error::status(481))
}

async fn hang_up(session: &Session, call: &Call) {
    if let Err(error) = session.request("sip.bye", &call.bye).await {
        eprintln!("a phone has not answered BYE: {error}");
    }
}
