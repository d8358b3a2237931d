//! The application behind the codec `jt808`: terminals in vehicles report where they are, and
//! operators ask for it and send texts to the drivers.
//!
//! Terminals come over TCP. Operators come over WebSocket, with the protocol that is built into
//! wireplug.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wireplug::app::{Error, Json, Peer, State};
use wireplug::session::{ClientResponse, RequestError};
use wireplug::{App, Session, Sessions, User};

/// The plates of the vehicles whose terminals may register. A real application has them in a
/// database.
const VEHICLES: [&str; 1] = ["粤A12345"];

/// A terminal that registered long ago, and its authentication code.
const REGISTERED: (&str, &str) = ("17299841738", "pmYGzGukO8K4Z5lpIOTg8dqb3eprYaHBbXSPLtdbyG8=");

/// A message that the codec passes on as it is: a list of a camera's recordings.
const RECORDINGS: u16 = 0x1205;

/// The first messages of a terminal.
#[derive(Deserialize)]
struct Hello {
    phone: User,
    registration: Option<Registration>,
    authentication: Option<Authentication>,
}

#[derive(Deserialize)]
struct Registration {
    plate: String,
}

#[derive(Deserialize)]
struct Authentication {
    code: String,
}

/// A location of a vehicle, as the codec passes it on.
#[derive(Clone, Deserialize, Serialize)]
struct Location {
    alarm: u32,
    status: u32,
    latitude: f64,
    longitude: f64,
    altitude: u16,
    speed: f64,
    direction: u16,
    /// ISO 8601, if the terminal knows the time.
    time: Option<String>,
    /// The items with a name, and `items` with all others in hex.
    #[serde(flatten)]
    items: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Batch {
    locations: Vec<Location>,
}

/// A message that the codec does not know.
#[derive(Deserialize)]
struct Unknown {
    id: u16,
    /// In hex.
    body: String,
}

/// A text of an operator for a driver.
#[derive(Deserialize)]
struct Text {
    phone: String,
    #[serde(flatten)]
    text: Value,
}

/// A vehicle with a registered terminal.
struct Vehicle {
    plate: String,
    code: String,
    last: Option<Location>,
}

/// The vehicles by the phone numbers of their terminals.
struct Fleet(Mutex<HashMap<User, Vehicle>>);

impl Fleet {
    fn new() -> anyhow::Result<Self> {
        let (phone, code) = REGISTERED;
        let vehicle = Vehicle { plate: String::new(), code: code.into(), last: None };
        Ok(Self(Mutex::new(HashMap::from([(User::new(phone)?, vehicle)]))))
    }

    fn vehicles(&self) -> MutexGuard<'_, HashMap<User, Vehicle>> {
        self.0.lock().expect("no thread panics while it has the lock")
    }

    /// Registers a terminal. Returns its authentication code.
    fn register(&self, phone: User, plate: String) -> Result<String, Error> {
        let mut vehicles = self.vehicles();
        if !VEHICLES.contains(&&*plate) {
            return Err(Error::status(404));
        }
        if vehicles.iter().any(|(other, vehicle)| vehicle.plate == plate && *other != phone) {
            return Err(Error::status(409));
        }
        let code = random_code()?;
        vehicles.insert(phone, Vehicle { plate, code: code.clone(), last: None });
        Ok(code)
    }

    fn has_code(&self, phone: &User, code: &str) -> bool {
        self.vehicles().get(phone).is_some_and(|vehicle| vehicle.code == code)
    }

    fn store(&self, phone: &User, location: Location) {
        if let Some(vehicle) = self.vehicles().get_mut(phone) {
            vehicle.last = Some(location);
        }
    }
}

/// Returns a code that nobody can guess.
fn random_code() -> io::Result<String> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// Registers a terminal, or lets in one that has its code. It becomes the user with its phone
/// number.
async fn hello(
    Peer(client): Peer,
    body: Bytes,
    session: Session,
    State(fleet): State<Arc<Fleet>>,
) -> Result<Json<Option<String>>, Error> {
    if client.transport == "ws" {
        return Ok(Json(None));
    }
    let hello: Hello = serde_json::from_slice(&body)?;
    if let Some(Registration { plate }) = hello.registration {
        return fleet.register(hello.phone, plate).map(|code| Json(Some(code)));
    }
    let is_known = hello.authentication.is_some_and(|it| fleet.has_code(&hello.phone, &it.code));
    if !is_known {
        return Err(Error::status(401));
    }
    session.bind(&hello.phone)?;
    Ok(Json(None))
}

async fn location(Json(location): Json<Location>, phone: User, State(fleet): State<Arc<Fleet>>) {
    fleet.store(&phone, location);
}

/// Stores the last location of many.
async fn locations(Json(batch): Json<Batch>, phone: User, State(fleet): State<Arc<Fleet>>) {
    if let Some(location) = batch.locations.into_iter().last() {
        fleet.store(&phone, location);
    }
}

async fn message(Json(message): Json<Unknown>, phone: User) -> Result<(), Error> {
    if message.id != RECORDINGS {
        return Err(Error::status(404));
    }
    println!("{}: a list of recordings in {} bytes", &*phone, message.body.len() / 2);
    Ok(())
}

/// The terminal belongs to its vehicle no more.
async fn logout(phone: User, State(fleet): State<Arc<Fleet>>) {
    fleet.vehicles().remove(&phone);
}

/// Tells an operator where a vehicle was last.
async fn last(Json(phone): Json<User>, State(fleet): State<Arc<Fleet>>) -> Result<Json<Location>, Error> {
    let last = fleet.vehicles().get(&phone).and_then(|vehicle| vehicle.last.clone());
    last.map(Json).ok_or(Error::status(404))
}

/// Asks a terminal where it is.
async fn locate(Json(phone): Json<User>, sessions: Sessions) -> Result<Json<Value>, Error> {
    ask(&sessions, &phone, "jt808.locate", &json!(null)).await
}

/// Sends the text of an operator to a driver.
async fn text(Json(Text { phone, text }): Json<Text>, sessions: Sessions) -> Result<Json<Value>, Error> {
    ask(&sessions, &phone, "jt808.text", &text).await
}

/// Sends a request to a terminal, and returns the body of its answer.
async fn ask(sessions: &Sessions, phone: &str, route: &str, body: &Value) -> Result<Json<Value>, Error> {
    let terminal = sessions.user(phone).sessions().pop().ok_or(Error::status(404))?;
    match terminal.request(route, body).await {
        Ok(answer @ ClientResponse { status: 200, .. }) => Ok(Json(answer.json()?)),
        Ok(answer) => Err(failure(answer.status, "the terminal refused the request")),
        Err(error @ RequestError::Refused(_)) => Err(failure(400, &error.to_string())),
        Err(error) => Err(failure(503, &error.to_string())),
    }
}

fn failure(code: u16, error: &str) -> Error {
    Error::with_body(code, json!({ "code": code, "error": error }).to_string())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::with_state(Arc::new(Fleet::new()?))
        .hello(hello)
        .route("jt808.location", location)
        .route("jt808.locations", locations)
        .route("jt808.message", message)
        .route("jt808.logout", logout)
        .route("fleet.vehicle.last", last)
        .route("fleet.vehicle.locate", locate)
        .route("fleet.vehicle.text", text);
    wireplug_gallery::serve(app).await
}
