//! Services behind NATS, and nodes that act as one server, with a real NATS server. `docs/nats.md`
//! is the contract.

mod behind_nats;
mod program;
