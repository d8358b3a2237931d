//! wireplug is a connector runtime: it sits between clients and an application. The native runtime
//! owns sockets and framing; the wire protocol is a plug-in, a sandboxed WebAssembly component that
//! turns packets into routed messages and back.
//!
//! A whole chat server:
//!
//! ```no_run
//! use serde::Deserialize;
//! use serde_json::json;
//! use wireplug::app::{Error, Json};
//! use wireplug::{App, CodecSource, Server, Session, Sessions, User};
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
//! A program starts from the types at the root: an [`App`] with handlers, a [`Server`] with
//! [`Listener`]s and [codecs](CodecSource), and the [`Session`]s that handlers get.
//!
//! The modules on the path of a packet, in its order:
//!
//! | module | its job |
//! |---|---|
//! | [`connector`] | accepts clients and hands out sockets |
//! | [`codec`] | turns packets into events and messages into packets, native or in a sandbox |
//! | [`session`] | one client: its users and groups, what is sent to it, why it ended |
//! | [`app`] | maps routes to handlers, through filters |
//!
//! The modules around it:
//!
//! | module | its job |
//! |---|---|
//! | [`slot`] | a codec's life: generations, swaps, trials, rollbacks |
//! | [`rollout`] | a version goes to all nodes in steps |
//! | [`config`] | the configuration, each value with its reason |
//! | [`trust`] | whose codecs are loaded: signatures and keys |
//! | `registry` | codecs in registries of containers; with the feature `oci` |
//! | `objects` | codecs in object stores of NATS; with the feature `nats` |
//! | [`status`] | what a server tells of itself |
//! | [`testing`] | tests of an application, without a socket |
//! | `traces` | spans of OpenTelemetry; with the feature `otel` |
//! | `events` | the recent events that the control API reports; with the feature `control` |
//! | `admin` | the control API, by which codecs are swapped under traffic; with the feature `control` |
//!
//! `ARCHITECTURE.md` follows one packet through them.
//!
//! Native codecs and connectors are written against smaller crates: `wireplug-core` has the traits
//! of codecs and how packets are framed, `wireplug-connectors` those of connectors and sockets.
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `config-file` | `Config::load`: configuration from a TOML file, with every error in it |
//! | `control` | the control API, an HTTP server |
//! | `metrics` | `RunningServer::metrics`: the metrics as text; `control` has it too |
//! | `http` | services over HTTP |
//! | `nats` | services behind NATS, several servers that act as one, and codecs from object stores |
//! | `oci` | codecs from registries of containers |
//! | `socketio` | listeners at `socketio://` |
//! | `otel` | spans of OpenTelemetry for connections, requests, handlers and services |
//! | `shm` | listeners at `shm://`, shared memory between processes, on Linux |

#[cfg(feature = "control")]
pub mod admin;
pub mod app;
mod audit;
pub mod codec;
pub mod config;
pub mod connector;
#[cfg(feature = "control")]
pub mod events;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "nats")]
mod nats;
/// Codecs in object stores of NATS.
#[cfg(feature = "nats")]
pub mod objects {
    pub use crate::nats::{ObjectClient, ObjectError};
}
#[cfg(feature = "oci")]
pub mod registry;
#[cfg_attr(
    not(all(feature = "control", feature = "nats")),
    allow(dead_code, reason = "only the control API begins rollouts, and only NATS keeps their state")
)]
pub mod rollout;
mod server;
pub mod session;
#[cfg_attr(
    not(feature = "control"),
    allow(dead_code, unused_imports, reason = "only the control API begins traces")
)]
mod session_trace;
pub mod slot;
mod stats;
pub mod status;
pub mod testing;
#[cfg(feature = "otel")]
pub mod traces;
#[cfg(not(feature = "otel"))]
mod traces;
pub mod trust;
pub mod upgrade;

pub use app::App;
pub use config::Config;
pub use server::{
    CheckedCodec, ConfigFile, DrainReport, InheritedSocket, InheritedSockets, Listener, ReloadError,
    ReloadReport, RunningServer, Server, StartError,
};
pub use session::{Session, Sessions, User};
pub use slot::CodecSource;
pub use wireplug_connectors::Health;

/// Compiles its example.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
