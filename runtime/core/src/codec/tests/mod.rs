//! What a codec answers is checked as if an attacker wrote it.

mod digest;
mod events;
mod messages;
mod reason;
