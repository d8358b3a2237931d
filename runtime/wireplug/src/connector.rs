//! Connectors: accept clients over a transport, and hand out sockets.
//!
//! Those that are built in are named by the URL of a listener. A transport of your own is a type
//! that implements [`Connector`]; the crate `wireplug-connectors` has the sockets that it hands
//! out, and `docs/connectors.md` builds one from nothing.

pub use wireplug_connectors::{Connector, Connectors, CreateError};
