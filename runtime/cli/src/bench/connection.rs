//! One connection of the load generator, from its opening to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::load::Load;
use super::tally::Failure;
use super::wire::Wire;
use super::{echo, fan_out};

/// A connection's number, its thread, and the signal that makes it check the time.
pub(super) struct ConnectionContext {
    /// The number of the connection, counted from 0 in the order in which connections are opened.
    pub(super) index: u32,
    pub(super) thread: u32,
    /// Makes the connection check the time.
    pub(super) poke: Arc<Notify>,
}

/// Opens a connection at its time in the ramp, and loads it until the end.
pub(super) async fn run(load: Arc<Load>, context: ConnectionContext) {
    let at = load.args.ramp.mul_f64(f64::from(context.index) / f64::from(load.args.connections));
    sleep_until((load.started + at).into()).await;
    let met = meet(&load, context.index).await;
    load.arrived.fetch_add(1, Ordering::Relaxed);
    let ended = match met {
        Ok(wire) => {
            load.open.fetch_add(1, Ordering::Relaxed);
            let ended = match load.args.push_fan_out {
                true => fan_out::run(&load, &context, wire).await,
                false => echo::run(&load, &context, wire).await,
            };
            load.open.fetch_sub(1, Ordering::Relaxed);
            ended
        }
        Err(failure) => Err(failure),
    };
    if load.args.push_fan_out && context.index == fan_out::SPEAKER {
        load.end_chat();
    }
    if let Err(Failure { cause, what }) = ended {
        load.tally(context.thread).count(cause, 1, || what);
    }
}

async fn meet(load: &Load, index: u32) -> Result<Wire, Failure> {
    let mut wire = Wire::open(&load.target, load.args.timeout).await?;
    if load.args.push_fan_out {
        fan_out::join(load, index, &mut wire).await?;
    }
    Ok(wire)
}
