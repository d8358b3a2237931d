//! Tests that a codec's answers are checked as if an attacker had written them.

mod digest;
mod driver;
mod events;
mod messages;
mod reason;
pub(crate) mod script;
