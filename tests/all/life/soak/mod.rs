//! Swaps under load, again and again, and many idle sessions. All messages are numbered, and no
//! number may be missing, repeated or out of order. `cargo xtask soak NAME` runs each soak in a
//! process of its own and prints its figures.

mod drain;
mod failing;
mod handoff;
mod idle;
mod lines;
mod player;
mod sleep;
mod some;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wireplug::App;
use wireplug::app::Error;
use wireplug::config::{ClientLimits, CodecLimits, ServerConfig};
use wireplug::session::{Message, RequestError};
use wireplug::{CodecSource, Session};
use wireplug_tests::PATIENCE;
use wireplug_tests::app::GUEST;
use wireplug_tests::server::{self, Setup};
use wireplug_tests::soak_time;
use wireplug_tests::versions::POMELO;
use wireplug_wasm::{WasmEngine, WasmLoader};

/// The time from the beginning of one swap to the next. A swap that takes longer is followed by the
/// next one at once.
const EVERY: Duration = Duration::from_millis(100);

/// The route that answers a request with its own body.
const NUMBER: &str = "soak.soakHandler.number";

/// The push that [`NUMBER`] sends before its answer.
const ON_NUMBER: &str = "onNumber";

/// The request of [`NUMBER`] to clients that can be asked. The client answers with the number.
const QUESTION: &str = "soak.soakHandler.question";

/// The push to all clients.
const ON_ALL: &str = "onAll";

/// Returns the number of swaps of a soak, from its length; at least `least`.
fn swaps(least: u64) -> u64 {
    let swaps = soak_time().as_millis() / EVERY.as_millis();
    least.max(u64::try_from(swaps).expect("no soak lasts for ever"))
}

/// Returns an application that pushes a number and answers with it, for Pomelo and for guests. If
/// the client can be asked, it takes the number from the client's answer to a question.
fn app() -> App {
    let number = |body: Bytes, session: Session| async move {
        let body = match session.request_bytes(QUESTION, body.clone()).await {
            Ok(answer) => answer.body,
            Err(RequestError::Unsupported) => body,
            Err(error) => return Err(error.into()),
        };
        session.send(Message::push(ON_NUMBER, body.clone()))?;
        Ok::<_, Error>(body)
    };
    let line = |body: Bytes, session: Session| async move {
        session.send(Message::push(GUEST, [b"push ", &body[..]].concat()))?;
        Ok::<_, Error>(body)
    };
    App::new().route(NUMBER, number).route(GUEST, line).push_route(ON_ALL)
}

fn setup() -> Setup {
    let client = ClientLimits { client_request_timeout: PATIENCE, ..server::setup().client };
    Setup {
        client,
        server: ServerConfig { max_connections: 1000, ..ServerConfig::default() },
        url: "tcp://127.0.0.1:0",
        ..server::setup()
    }
}

/// Returns two versions of a component that are already loaded, so that swaps do not compile.
fn two(sessions: u32, one: &[u8], other: &[u8]) -> [CodecSource; 2] {
    let limits = CodecLimits { call_wall: Duration::from_secs(20), ..CodecLimits::default() };
    let engine = WasmEngine::new(2 * sessions, limits.memory).expect("room for the sandboxes");
    [one, other].map(|wasm| {
        let options = r#"{"dictionary":false}"#.to_owned();
        let codec = WasmLoader::new(&engine, limits).load(wasm, options.into()).expect("a good codec");
        CodecSource::native(Arc::new(codec)).named("soak")
    })
}

fn two_pomelos(sessions: u32) -> [CodecSource; 2] {
    two(sessions, POMELO, &wireplug_tests::versions::pomelo(2))
}

/// Returns a size in MiB, for people.
fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
