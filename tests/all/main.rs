//! All tests that need real sockets, guests or foreign programs, in one binary.

mod app;
mod behind_nats;
mod capacity;
mod connectors;
mod differential;
mod foreign;
mod hostile;
mod life;
mod limits;
mod pomelo;
mod streams;
