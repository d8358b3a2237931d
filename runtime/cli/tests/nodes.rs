//! Services behind NATS, and nodes that act as one server, with a real NATS server: `docs/nats.md`
//! is the contract. And services over HTTP in several languages: `docs/http-services.md`.

mod behind_http;
mod behind_nats;
mod program;
