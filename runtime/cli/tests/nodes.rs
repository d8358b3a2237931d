//! Services behind NATS, and nodes that serve as one: against a real NATS server. `docs/nats.md` is
//! the contract.

mod behind_nats;
mod program;
