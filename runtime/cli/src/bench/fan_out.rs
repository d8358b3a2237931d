//! The fan-out: the messages of one connection, which the server pushes to all connections.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::time::timeout;
use wireplug_pomelo::message::Kind;

use super::body::Finder;
use super::connection::ConnectionContext;
use super::load::Load;
use super::tally::{Cause, Failure};
use super::wire::Wire;

/// The connection that sends.
pub(super) const SPEAKER: u32 = 0;

/// The id of the request to join.
const JOIN: u32 = 1;

/// Joins the chat.
pub(super) async fn join(load: &Load, index: u32, wire: &mut Wire) -> Result<(), Failure> {
    let route = wire.route(&load.args.join);
    let name = json!({ "name": format!("bench-{index}") });
    wire.request(JOIN, &route, name.to_string().as_bytes());
    let joined = timeout(load.args.timeout, async {
        let mut joined = false;
        while !joined {
            wire.wait(None).await?;
            wire.read(|message| {
                if message.kind == Kind::Response {
                    accepted(message.body)?;
                    joined = true;
                }
                Ok(())
            })?;
        }
        Ok(())
    });
    let late = |_| Failure::new(Cause::Timeout, "no answer to the request to join");
    joined.await.map_err(late)?
}

/// Receives all messages. The connection that is the speaker also sends them.
pub(super) async fn run(load: &Load, context: &ConnectionContext, mut wire: Wire) -> Result<(), Failure> {
    let (send, push) = (wire.route(&load.args.send), wire.route(&load.args.push));
    let mut bodies = load.args.numbered();
    let finder = Finder::new();
    let mut order = Order::default();
    let mut messages = None;
    loop {
        // The schedule is known when all connections have joined.
        messages = messages.or_else(|| load.messages());
        if let Some(messages) = &mut messages {
            let mut tally = load.tally(context.thread);
            let now = Instant::now();
            wire.read(|message| {
                if message.kind == Kind::Response {
                    return accepted(message.body);
                }
                let Some(number) = finder.number(message.body).filter(|_| push.is(message.route)) else {
                    return Ok(());
                };
                if number >= load.chat.said.load(Ordering::Acquire) {
                    tally.count(Cause::Mismatch, 1, || format!("push {number:#x}, which was never sent"));
                    return Ok(());
                }
                tally.seen += 1;
                match order.place(number) {
                    Place::Again => {
                        tally.count(Cause::Duplicate, 1, || format!("push {number:#x} of a connection"));
                        return Ok(());
                    }
                    Place::Late => {
                        tally.count(Cause::OutOfOrder, 1, || format!("push {number:#x} of a connection"));
                    }
                    Place::Next => {}
                }
                tally.took(now - messages.at(number));
                Ok(())
            })?;
            let now = Instant::now();
            while context.index == SPEAKER && messages.due(now).is_some_and(|due| !load.is_over(due)) {
                let number = load.chat.said.fetch_add(1, Ordering::Release);
                // An answer only says whether the server accepted the message, so all messages have
                // the same id.
                wire.request(JOIN + 1, &send, bodies.with(number));
                tally.sent += 1;
            }
            if let Some(window) = load.window.get().filter(|window| window.end <= now) {
                if context.index == SPEAKER {
                    load.end_chat();
                }
                let over = load.chat.over.load(Ordering::Acquire);
                let missing = order.missing(load.chat.said.load(Ordering::Acquire));
                if over && missing == 0 {
                    return Ok(());
                }
                if now - window.end > load.args.timeout {
                    let what = || format!("{missing} pushes of a connection");
                    tally.count(Cause::Missing, missing, what);
                    return Ok(());
                }
            }
        }
        wire.wait(Some(&context.poke)).await?;
    }
}

/// Returns an error if the code in an answer is not 200.
fn accepted(body: &[u8]) -> Result<(), Failure> {
    let code = serde_json::from_slice::<Value>(body).ok().and_then(|body| body.get("code")?.as_u64());
    match code {
        None | Some(200) => Ok(()),
        Some(code) => Err(Failure::new(Cause::Refused, format!("the server answered with code {code}"))),
    }
}

/// The numbers that have come.
#[derive(Default)]
struct Order {
    /// The highest number that has come, plus one.
    next: u64,
    /// The numbers below `next` that have not come.
    gaps: BTreeSet<u64>,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Next,
    Late,
    Again,
}

impl Order {
    fn place(&mut self, number: u64) -> Place {
        if number >= self.next {
            self.gaps.extend(self.next..number);
            self.next = number + 1;
            Place::Next
        } else if self.gaps.remove(&number) {
            Place::Late
        } else {
            Place::Again
        }
    }

    /// Returns how many of the first `of` numbers have not come.
    fn missing(&self, of: u64) -> u64 {
        self.gaps.len() as u64 + of.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_missing_late_or_there_twice() {
        let mut order = Order::default();
        assert_eq!([0, 1, 4, 3, 3, 1].map(|number| order.place(number)), {
            use Place::{Again, Late, Next};
            [Next, Next, Next, Late, Again, Again]
        });
        assert_eq!(order.missing(7), 3);
        assert_eq!(order.place(2), Place::Late);
        assert_eq!(order.missing(5), 0);
    }
}
