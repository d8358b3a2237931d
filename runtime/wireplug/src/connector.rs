//! Connectors: accept clients over a transport, and hand out sockets.
//!
//! Those that are built in are named by the [URL](ListenUrl) of a listener. A transport of your own
//! is a type that implements [`Connector`]; if it is no stream, also [`MessageSocket`].
//! `docs/connectors.md` builds one from nothing.

pub use wireplug_connectors::certificates::Certificates;
pub use wireplug_connectors::running_time::RunningTime;
#[cfg(all(feature = "shm", target_os = "linux"))]
pub use wireplug_connectors::shm;
pub use wireplug_connectors::{
    BoxError, ByteStream, CloseCode, Connector, Connectors, CreateError, HostPort, Incoming, Layers,
    ListenOptions, ListenUrl, MessageSocket, Opened, Pace, Protocol, RateLimits, RateMeter, Secured, Socket,
    SocketKinds, StartTls, Tcp, Traffic, UrlError, memory,
};
