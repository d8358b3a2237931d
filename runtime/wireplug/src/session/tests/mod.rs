//! Tests of the session, without a socket and without waiting.

mod acks;
mod broadcast;
mod faults;
mod handover;
mod incoming;
mod outbox;
mod outgoing;
mod output;
mod script;
mod table;
mod time;
