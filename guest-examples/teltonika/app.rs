//! The application behind the codec `teltonika`: trackers report where they are, and operators ask
//! for it and send commands.
//!
//! Trackers come over TCP. Operators come over WebSocket, with the protocol that is built into
//! wireplug.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wireplug::app::{Error, Json, Peer, State};
use wireplug::session::RequestError;
use wireplug::{App, Session, Sessions, User};

/// The trackers that may connect. A real application has them in a database.
const KNOWN: [&str; 2] = ["356307042441013", "352094087982671"];

/// How many records the application keeps of each tracker.
const MAX_TRACK: usize = 1000;

/// The first packet of a tracker.
#[derive(Deserialize)]
struct Login {
    imei: User,
}

/// A record of a tracker, as the codec passes it on.
#[derive(Clone, Deserialize, Serialize)]
struct Record {
    /// Milliseconds since 1970.
    timestamp: u64,
    priority: u8,
    longitude: f64,
    latitude: f64,
    altitude: i16,
    angle: u16,
    satellites: u8,
    speed: u16,
    event: u16,
    /// Numbers, and hex for elements of variable length.
    io: BTreeMap<u16, Value>,
}

/// A command of an operator.
#[derive(Deserialize)]
struct Command {
    imei: String,
    text: String,
}

/// What the application knows of its trackers.
#[derive(Default)]
struct Fleet {
    tracks: Mutex<HashMap<User, VecDeque<Record>>>,
    /// Set while no records can be stored, for example because the database is moved.
    is_paused: AtomicBool,
}

impl Fleet {
    fn store(&self, imei: User, records: Vec<Record>) {
        let mut tracks = self.tracks.lock().expect("no thread panics while it has the lock");
        let track = tracks.entry(imei).or_default();
        track.extend(records);
        track.drain(..track.len().saturating_sub(MAX_TRACK));
    }

    fn track(&self, imei: &User) -> Option<VecDeque<Record>> {
        self.tracks.lock().expect("no thread panics while it has the lock").get(imei).cloned()
    }
}

/// Decides who may connect. A tracker becomes the user with its IMEI.
async fn hello(Peer(client): Peer, body: Bytes, session: Session) -> Result<(), Error> {
    if client.transport == "ws" {
        return Ok(());
    }
    let login: Login = serde_json::from_slice(&body)?;
    if !KNOWN.contains(&&*login.imei) {
        return Err(Error::status(401));
    }
    session.bind(&login.imei)?;
    Ok(())
}

/// Stores the records of a tracker. Only then does the tracker forget them.
async fn records(
    Json(records): Json<Vec<Record>>,
    imei: User,
    State(fleet): State<Arc<Fleet>>,
) -> Result<(), Error> {
    if fleet.is_paused.load(Ordering::Relaxed) {
        return Err(Error::status(503));
    }
    fleet.store(imei, records);
    Ok(())
}

/// Prints a text that a tracker sent on its own account.
async fn text(Json(text): Json<String>, imei: User) {
    println!("{}: {text:?}", &*imei);
}

/// Tells an operator where a tracker was: its last records.
async fn track(
    Json(imei): Json<User>,
    State(fleet): State<Arc<Fleet>>,
) -> Result<Json<VecDeque<Record>>, Error> {
    fleet.track(&imei).map(Json).ok_or(Error::status(404))
}

/// Lets an operator pause the storage of records.
async fn pause(Json(is_paused): Json<bool>, State(fleet): State<Arc<Fleet>>) {
    fleet.is_paused.store(is_paused, Ordering::Relaxed);
}

/// Sends the command of an operator to a tracker, and returns the tracker's answer.
async fn command(Json(command): Json<Command>, sessions: Sessions) -> Result<Json<String>, Error> {
    let tracker = sessions.user(&command.imei).sessions().pop().ok_or(Error::status(404))?;
    let answer = tracker.request("teltonika.command", &command.text).await.map_err(|error| {
        let status = match error {
            RequestError::Refused(_) => 409,
            RequestError::TimedOut => 504,
            _ => 503,
        };
        Error::with_body(
            status,
            serde_json::json!({ "code": status, "error": error.to_string() }).to_string(),
        )
    })?;
    Ok(Json(answer.json()?))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::with_state(Arc::new(Fleet::default()))
        .hello(hello)
        .route("teltonika.records", records)
        .route("teltonika.text", text)
        .route("fleet.tracker.track", track)
        .route("fleet.tracker.command", command)
        .route("fleet.storage.pause", pause);
    wireplug_gallery::serve(app).await
}
