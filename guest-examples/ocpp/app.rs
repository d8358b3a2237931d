//! A small central system for charging stations: the application behind the codec `ocpp`.
//!
//! It lets the stations in that it knows, answers what they report, and starts transactions when an
//! operator wants it.

mod messages;
mod timestamp;

use std::collections::HashMap;
use std::future::IntoFuture as _;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use wireplug::app::{Error, Handler as _, Json, State};
use wireplug::session::SessionId;
use wireplug::{App, Session};

use self::messages::{
    Authorize, CallError, DataTransfer, Hello, Operation, StartTransaction, Started, TransactionEvent,
    Version, remote_start,
};

/// The stations and their passwords. A real system keeps a hash of each password.
const STATIONS: [(&str, &str); 2] = [("CP-1", "correct horse"), ("CP-2", "battery staple")];

/// The tag of the driver who may charge, also by a remote start.
const TAG: &str = "04A1B2C3";

/// How often a station reports that it is there, in seconds. Less than `limits.idle-timeout`.
const HEARTBEAT_INTERVAL: u32 = 300;

/// Whose data a station sends to have the operator start transactions.
const OPERATOR: &str = "org.example.operator";

/// The state of the central system.
#[derive(Clone, Default)]
struct Central {
    stations: Arc<Mutex<HashMap<SessionId, Station>>>,
    transactions: Arc<AtomicU32>,
}

/// A station that is connected.
#[derive(Clone, Copy)]
struct Station {
    version: Version,
}

impl Central {
    fn stations(&self) -> MutexGuard<'_, HashMap<SessionId, Station>> {
        self.stations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let central = Central::default();
    let stations = central.clone();
    let app = App::with_state(central)
        .hello(enter)
        .on_closed(move |session, _| {
            stations.stations().remove(&session.id());
        })
        .route("ocpp.BootNotification", boot)
        .route("ocpp.Heartbeat", heartbeat)
        .route("ocpp.StatusNotification", note)
        .route("ocpp.MeterValues", note)
        .route("ocpp.Authorize", authorize)
        .route("ocpp.StartTransaction", start_transaction)
        .route("ocpp.StopTransaction", note)
        .route("ocpp.TransactionEvent", transaction_event)
        // It waits for its own station, which goes on reporting meanwhile.
        .route("ocpp.DataTransfer", operate.concurrent());
    wireplug_gallery::serve(app).await
}

/// Lets a station in if its password is right.
async fn enter(
    Json(hello): Json<Hello>,
    session: Session,
    State(central): State<Central>,
) -> Result<(), Error> {
    let Some((name, password)) = STATIONS.iter().find(|(name, _)| *name == hello.station) else {
        return Err(Error::status(404));
    };
    if hello.user != *name || !is_same(&hello.password, password) {
        return Err(Error::status(401));
    }
    session.bind(name)?;
    central.stations().insert(session.id(), Station { version: hello.version });
    Ok(())
}

/// Compares two passwords in a time that does not tell where they differ.
fn is_same(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
    one.len() == other.len() && differences == 0
}

// === what stations report ===

async fn boot() -> Json<Value> {
    Json(json!({
        "status": "Accepted",
        "currentTime": timestamp::now(),
        "interval": HEARTBEAT_INTERVAL,
    }))
}

async fn heartbeat() -> Json<Value> {
    Json(json!({ "currentTime": timestamp::now() }))
}

/// Takes note of a report, which is answered with an empty payload.
async fn note() {}

async fn authorize(Json(authorize): Json<Authorize>) -> Json<Value> {
    Json(match authorize {
        Authorize::V16 { id_tag } => json!({ "idTagInfo": { "status": status_of(&id_tag) } }),
        Authorize::V201 { id_token } => json!({ "idTokenInfo": { "status": status_of(&id_token.id_token) } }),
    })
}

async fn start_transaction(
    Json(start): Json<StartTransaction>,
    State(central): State<Central>,
) -> Result<Json<Value>, Error> {
    if start.connector_id == 0 {
        let error = json!({ "description": "connector 0 is the station itself" });
        return Err(Error::with_body(422, error.to_string()));
    }
    let id = central.transactions.fetch_add(1, Ordering::Relaxed) + 1;
    Ok(Json(json!({ "transactionId": id, "idTagInfo": { "status": status_of(&start.id_tag) } })))
}

async fn transaction_event(Json(event): Json<TransactionEvent>) -> Json<Value> {
    Json(match event.id_token {
        Some(token) => json!({ "idTokenInfo": { "status": status_of(&token.id_token) } }),
        None => json!({}),
    })
}

fn status_of(tag: &str) -> &'static str {
    if tag == TAG { "Accepted" } else { "Invalid" }
}

// === what the operator does ===

/// Stands in for the console of an operator, so that one program can play the station and the
/// operator. The data is an operation, such as `{"connectors":[1,2],"seconds":30}`. Answers with
/// the outcome of each remote start.
async fn operate(
    Json(transfer): Json<DataTransfer>,
    session: Session,
    State(central): State<Central>,
) -> Result<Json<Value>, Error> {
    if transfer.vendor_id != OPERATOR {
        return Ok(Json(json!({ "status": "UnknownVendorId" })));
    }
    let operation: Operation =
        serde_json::from_str(&transfer.data).map_err(|error| Error::status(400).because(error))?;
    let timeout = Duration::from_secs(operation.seconds);
    let station = central.stations().get(&session.id()).copied().ok_or("the station is gone")?;
    // All are sent at once. The runtime holds back those behind the first, because OCPP allows one
    // at a time. So each has as much more time as those before it may take.
    let starts = (1..).zip(operation.connectors).map(|(turn, connector)| {
        let (action, payload) = remote_start(station.version, connector, TAG);
        session.request(action, &payload).timeout(timeout * turn).into_future()
    });
    let mut outcomes = Vec::new();
    for started in join_all(starts).await {
        outcomes.push(match started {
            Ok(response) if response.status == 200 => response.json::<Started>()?.status,
            Ok(response) => format!("{} {}", response.status, response.json::<CallError>()?.code),
            Err(error) => error.to_string(),
        });
    }
    Ok(Json(json!({ "status": "Accepted", "data": json!(outcomes).to_string() })))
}
