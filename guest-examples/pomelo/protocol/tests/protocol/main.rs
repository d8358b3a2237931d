//! The protocol's rules, with no network and no waiting: a session is fed packets, times and messages, and
//! what it says is compared; or it speaks with a client through memory.

mod clients;
mod dictionary;
mod handoff;
mod handshake;
mod heartbeat;
mod options;
mod properties;
mod protobuf;
mod rig;
mod sharing;
mod text;
mod vectors;
mod violations;
