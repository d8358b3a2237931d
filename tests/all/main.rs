//! All tests that need real sockets, guests or foreign programs, in one binary.

mod hostile;
mod pomelo;
