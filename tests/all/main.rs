//! All tests that need real sockets, guests or programs of others, in one binary.

mod app;
mod behind_nats;
mod capacity;
mod connectors;
mod differential;
mod hostile;
mod http_services;
mod interop;
mod life;
mod limits;
mod pomelo;
mod push_api;
mod registry;
mod streams;
mod upgrade;
