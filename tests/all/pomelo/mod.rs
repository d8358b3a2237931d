//! Pomelo over real sockets, through the sandboxed component.

mod harness;
