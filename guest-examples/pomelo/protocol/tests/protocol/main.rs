//! The rules of the protocol, tested without a network and without waiting. A test passes packets,
//! times and messages to a session and compares the results, or connects a session to a client in
//! memory.

mod broadcast;
mod clients;
mod dictionary;
mod handoff;
mod handshake;
mod heartbeat;
mod options;
mod pitaya;
mod properties;
mod protobuf;
mod rig;
mod text;
mod vectors;
mod violations;
