//! Tests that a codec's answers are checked as if an attacker had written them.

mod description;
mod digest;
mod driver;
mod ending;
mod events;
mod failure;
mod frames;
mod heads;
mod messages;
mod reason;
pub(crate) mod script;
