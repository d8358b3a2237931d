//! wireplug is a connector runtime: it sits between clients and an application. The native runtime owns
//! sockets and framing; the wire protocol is a plug-in, a sandboxed WebAssembly component that turns packets
//! into routed messages and back.
//!
//! A whole chat server:
//!
//! ```no_run
//! use serde::Deserialize;
//! use serde_json::json;
//! use wireplug::app::{App, Error, Json};
//! use wireplug::server::{CodecSource, Server};
//! use wireplug::session::{Session, Sessions, User};
//!
//! #[derive(Deserialize)]
//! struct Say {
//!     text: String,
//! }
//!
//! async fn join(Json(name): Json<User>, session: Session) -> Result<(), Error> {
//!     session.bind(&name)?;
//!     session.join("lobby")?;
//!     Ok(())
//! }
//!
//! async fn say(Json(Say { text }): Json<Say>, from: User, sessions: Sessions) -> Result<(), Error> {
//!     sessions.group("lobby").push("onChat", &json!({ "from": from, "text": text }))?;
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> anyhow::Result<()> {
//!     let app = App::new()
//!         .route("chat.chatHandler.join", join)
//!         .route("chat.chatHandler.say", say)
//!         .push_route("onChat");
//!     let server = Server::new(app)
//!         .listen("hybrid://127.0.0.1:3010", CodecSource::pomelo(json!({ "heartbeat": 30 })))
//!         .start()
//!         .await?;
//!     println!("Pomelo clients connect to {}", server.urls()[0]);
//!     tokio::signal::ctrl_c().await?;
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
//! | [`session`] | one client: its state machine, its outbox; the table of all, users and groups |
//! | [`app`] | maps routes to handlers, through filters |
//! | [`server`] | the whole path put together, and the task that drives it |
//! | [`config`] | the configuration, each value with its reason |
//! | [`stats`] | what is counted |
//! | [`testing`] | tests of an application, without a socket |
//! | `nats` | services and other nodes, behind NATS; with the feature `nats` |
//! | `admin` | the control API, by which codecs are swapped under traffic; with the feature `control` |
//!
//! `ARCHITECTURE.md` follows one packet through them.

pub use wireplug_connectors as connector;
pub use wireplug_core::framing;

#[cfg(feature = "control")]
pub mod admin;
pub mod app;
mod audit;
pub mod codec;
pub mod config;
#[cfg(feature = "nats")]
mod nats;
pub mod server;
pub mod session;
pub mod slot;
pub mod stats;
pub mod testing;

/// Compiles its example.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
