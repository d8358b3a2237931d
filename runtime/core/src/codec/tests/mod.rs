//! What a codec answers is checked as if an attacker wrote it.

mod digest;
mod driver;
mod events;
mod messages;
mod reason;
pub(crate) mod script;
