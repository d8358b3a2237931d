//! Pomelo over real sockets, through the sandboxed component.

mod demo;
mod handshake;
mod heartbeat;
mod load;
mod messages;
mod pitaya;
mod shutdown;
mod vectors;
mod violations;
mod websocket;
