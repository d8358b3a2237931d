//! wireplug is a connector runtime: it sits between clients and an application. The native runtime owns
//! sockets and framing; the wire protocol is a plug-in, a sandboxed WebAssembly component that turns packets
//! into routed messages and back.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use serde_json::json;
//! use wireplug::app::{App, Json};
//! use wireplug::server::{CodecSource, Server};
//! use wireplug::session::Session;
//!
//! #[derive(Deserialize)]
//! struct Greeting {
//!     name: String,
//! }
//!
//! #[derive(Serialize)]
//! struct Welcome {
//!     text: String,
//! }
//!
//! #[tokio::main]
//! async fn main() -> anyhow::Result<()> {
//!     let app = App::new()
//!         .route("connector.entryHandler.hello", |Json(greeting): Json<Greeting>, session: Session| async move {
//!             session.push("onHello", &json!({ "name": greeting.name }))?;
//!             Ok(Json(Welcome { text: format!("welcome, {}", greeting.name) }))
//!         })
//!         .push_route("onHello");
//!
//!     let server = Server::new(app)
//!         .listen("hybrid://127.0.0.1:0", CodecSource::pomelo(json!({ "heartbeat": 30 })))
//!         .start()
//!         .await?;
//!     println!("Pomelo clients connect to {}", server.urls()[0]);
//!     println!("{}", server.shutdown().await);
//!     Ok(())
//! }
//! ```
//!
//! The modules, in the order in which a packet meets them:
//!
//! | module | its job |
//! |---|---|
//! | [`connector`] | accepts clients and hands out sockets |
//! | [`framing`] | cuts bytes into packets and joins packets into bytes |
//! | [`codec`] | turns packets into events and messages into packets, native or in a sandbox |
//! | [`slot`] | a codec's life: generations, swaps, trials, rollbacks |
//! | [`session`] | one client: its state machine, its outbox, the table of all |
//! | [`app`] | maps routes to handlers |
//! | [`server`] | the whole path put together, and the task that drives it |
//! | [`config`] | the configuration, each value with its reason |
//! | [`stats`] | what is counted |
//! | `nats` | services and other nodes, behind NATS; with the feature `nats` |
//! | `admin` | the control API, by which codecs are swapped under traffic; with the feature `control` |
//!
//! `ARCHITECTURE.md` follows one packet through them.

#[cfg(feature = "control")]
pub mod admin;
pub mod app;
pub mod codec;
pub mod config;
pub mod connector;
pub mod framing;
#[cfg(not(feature = "nats"))]
#[path = "nats/absent.rs"]
mod nats;
#[cfg(feature = "nats")]
mod nats;
pub mod server;
pub mod session;
pub mod slot;
mod stamp;
pub mod stats;
