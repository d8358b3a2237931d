//! Tests of the session, without a socket and without waiting.

mod acks;
mod broadcast;
mod coalescing;
mod ending;
mod faults;
mod handover;
mod hello;
mod incoming;
mod limits;
mod log;
mod outbox;
mod outgoing;
mod output;
mod requests;
mod rig;
mod script;
mod sleep;
mod stream;
mod table;
mod tagged;
mod time;

use std::time::Duration;

use crate::config::Overflow;
use crate::session::{Outbox, OutboxLimits};

/// Creates an outbox for this number of bytes and two open requests to the client.
fn outbox(max_bytes: usize, overflow: Overflow) -> Outbox {
    let request_timeout = Duration::from_secs(5);
    Outbox::new(OutboxLimits { max_bytes, overflow, max_requests: 2, request_timeout })
}
