//! All tests that need real sockets, guests or foreign programs, in one binary.

mod capacity;
mod differential;
mod door;
mod hostile;
mod pomelo;
