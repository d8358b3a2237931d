//! The queries of a session: which message means what, and what must wait.
//!
//! A query of the simple protocol, or a group of the extended protocol, is passed to the
//! application at once, also while earlier ones are unanswered. Answers go out in order.
//!
//! Some messages depend on a response that has not come yet. For example, a Bind may name a
//! statement that an unanswered Parse prepares. Such a message is held with everything behind it. A
//! response cannot make the codec pass a request, because `encode` has no events. So a timer looks
//! again.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wireplug_guest::{Events, Fault, Message, Packets};

use crate::application::{Answer, EXTENDED, QUERY, Query};
use crate::group::{Group, Prepared, Stop};
use crate::message::{self, Reader};
use crate::report::{Report, code};
use crate::run::{Backend, Step};
use crate::session::end;
use crate::writer::{Output, Writer};

/// How long a held message waits until the codec looks again, in milliseconds: the shortest timer
/// of a listener unless it sets another.
const RETRY_MS: u32 = 10;

/// The bytes that may wait for answers: messages, and the requests that they became. The runtime
/// takes this much from a codec in one call, beside three times the largest packet.
const MAX_UNANSWERED: usize = 512 << 10;

/// What each request or group counts beside its bytes: about the memory that it takes.
const UNANSWERED_SIZE: usize = 128;

/// The queries of an established session.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Queries {
    backend: Backend,
    /// What the client has sent since the last Sync.
    group: Group,
    /// Steps that wait for their turn, in order.
    unanswered: VecDeque<Unanswered>,
    /// The bytes that they count.
    unanswered_size: usize,
    /// How many of them change prepared statements.
    unsettled: usize,
    /// Messages that depend on a response, and those behind them.
    held: Vec<u8>,
    /// The id of the latest request.
    last_id: u64,
}

/// Steps that are answered together.
#[derive(Debug, Deserialize, Serialize)]
struct Unanswered {
    /// The request that they wait for. Without one they wait only for their turn.
    request: Option<u64>,
    steps: Vec<Step>,
    size: usize,
    changes_statements: bool,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
enum Flow {
    Handled,
    /// The message depends on a response that has not come yet. It has changed nothing.
    Waits,
    /// The connection ends.
    Ends,
}

/// Returns the bytes that may be unanswered. There is always room for one query.
fn max_unanswered(max_packet: usize) -> usize {
    MAX_UNANSWERED.max(2 * max_packet)
}

impl Queries {
    /// Tells the client that the session is ready for queries.
    pub(crate) fn welcome<O: Output>(&self, out: &mut Writer<'_, O>) {
        self.backend.ready(out);
    }

    /// Takes a message of the client.
    pub(crate) fn receive(&mut self, packet: &[u8], max_packet: usize, events: &mut Events) {
        if let Err(report) = message::split(packet) {
            end(report, events);
            return;
        }
        if self.held.is_empty() {
            if self.handle(packet, max_packet, events) != Flow::Waits {
                return;
            }
            events.timer(RETRY_MS);
        }
        if self.held.len() + packet.len() > max_unanswered(max_packet) {
            end(Report::new(code::LIMIT_EXCEEDED, "too many messages wait for an answer"), events);
            return;
        }
        self.held.extend(packet);
    }

    /// Handles held messages, as far as they need not wait any longer.
    pub(crate) fn retry(&mut self, max_packet: usize, events: &mut Events) {
        let held = std::mem::take(&mut self.held);
        let mut rest = &held[..];
        while !rest.is_empty() {
            let mut behind = rest;
            match self.handle(message::take_first(&mut behind), max_packet, events) {
                Flow::Handled => rest = behind,
                Flow::Waits => {
                    self.held = rest.to_vec();
                    events.timer(RETRY_MS);
                    return;
                }
                Flow::Ends => return,
            }
        }
    }

    /// Writes the messages for a response.
    pub(crate) fn respond(
        &mut self,
        response: &Message,
        max_packet: usize,
        packets: &mut Packets<'_>,
    ) -> Result<(), Fault> {
        if self.unanswered.front().is_none_or(|next| next.request != Some(response.id)) {
            return Err(Fault::fatal(
                "the application answered out of order: the handlers of a session may not be concurrent",
            ));
        }
        let mut out = Writer::new(packets, max_packet);
        self.answer_next(Answer::read(response.status, response.body), &mut out);
        self.answer_local(&mut out);
        Ok(())
    }

    // === messages ===

    fn handle(&mut self, packet: &[u8], max_packet: usize, events: &mut Events) -> Flow {
        let (kind, fields) = match message::split(packet) {
            Ok(message) => message,
            Err(report) => return end_flow(report, events),
        };
        let is_simple = matches!(kind, b'Q' | b'F');
        match kind {
            b'Q' | b'F' | b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'S' => {}
            // PostgreSQL ignores CopyData, CopyDone and CopyFail where no copy runs.
            b'd' | b'c' | b'f' => return Flow::Handled,
            b'X' => {
                events.close("the client terminated the session");
                return Flow::Ends;
            }
            _ => {
                let text = format!("invalid frontend message type {kind}");
                return end_flow(Report::new(code::PROTOCOL_VIOLATION, text), events);
            }
        }
        if self.group.skips {
            if kind != b'S' {
                return Flow::Handled;
            }
        } else if self.waits_for_group() {
            return Flow::Waits;
        }
        let passes_steps = is_simple || matches!(kind, b'S' | b'H');
        if passes_steps && !self.has_room(self.group.size() + packet.len(), max_packet) {
            return Flow::Waits;
        }
        let handled = match kind {
            // A query begins when the group before it has run.
            b'Q' | b'F' if !self.group.steps.is_empty() => {
                self.pass_steps(max_packet, events);
                return self.handle(packet, max_packet, events);
            }
            b'Q' => self.query(fields, max_packet, events),
            b'F' => Err(Report::new(code::NOT_SUPPORTED, "function calls are not supported").into()),
            b'S' => {
                if let Err(report) = fields.end() {
                    self.group.fail(report);
                }
                return self.end_group(max_packet, events);
            }
            b'H' => self.flush(fields, max_packet, events),
            _ => self.extended(kind, fields, packet.len(), max_packet),
        };
        match handled {
            Ok(()) => Flow::Handled,
            Err(Stop::Wait) => Flow::Waits,
            Err(Stop::Fail(_)) if !self.has_room(self.group.size(), max_packet) => Flow::Waits,
            Err(Stop::Fail(report)) => {
                self.group.fail(report);
                // The answer to a query ends with ReadyForQuery in any case.
                if is_simple {
                    return self.end_group(max_packet, events);
                }
                // The client may wait for the error before it sends a Sync.
                self.pass_steps(max_packet, events);
                Flow::Handled
            }
        }
    }

    fn query(&mut self, mut fields: Reader<'_>, max_packet: usize, events: &mut Events) -> Result<(), Stop> {
        let sql = fields.text()?;
        fields.end()?;
        let body = serde_json::to_string(&Query { sql }).expect("a query has only a text");
        if body.len() > max_unanswered(max_packet) {
            return Err(Report::new(code::LIMIT_EXCEEDED, "the query is too long").into());
        }
        self.group = Group::default();
        let steps = vec![Step::Query, Step::Sync];
        let request = Some(self.request(QUERY, &body, events));
        self.push(Unanswered { request, steps, size: body.len(), changes_statements: true });
        Ok(())
    }

    fn extended(
        &mut self,
        kind: u8,
        fields: Reader<'_>,
        length: usize,
        max_packet: usize,
    ) -> Result<(), Stop> {
        let prepared = Prepared { statements: &self.backend.statements, is_unsettled: self.unsettled > 0 };
        let group = &mut self.group;
        if group.size() + length > max_unanswered(max_packet) {
            let report = Report::new(code::LIMIT_EXCEEDED, "there are too many messages without a Sync");
            return Err(report.hint("Send a Sync now and then.").into());
        }
        match kind {
            b'P' => group.parse(fields, prepared)?,
            b'B' => group.bind(fields, prepared)?,
            b'D' => group.describe(fields, prepared)?,
            b'E' => group.execute(fields)?,
            _ => group.close(fields)?,
        }
        group.count(length);
        Ok(())
    }

    fn flush(&mut self, fields: Reader<'_>, max_packet: usize, events: &mut Events) -> Result<(), Stop> {
        fields.end()?;
        if !self.group.steps.is_empty() {
            self.pass_steps(max_packet, events);
        }
        Ok(())
    }

    fn end_group(&mut self, max_packet: usize, events: &mut Events) -> Flow {
        self.group.steps.push(Step::Sync);
        self.pass_steps(max_packet, events);
        self.group = Group::default();
        Flow::Handled
    }

    /// Passes the steps of the group so far.
    fn pass_steps(&mut self, max_packet: usize, events: &mut Events) {
        let (size, changes_statements) = (self.group.size(), self.group.changes_statements());
        let (steps, body) = self.group.take();
        let request = body.map(|body| self.request(EXTENDED, &body, events));
        self.push(Unanswered { request, steps, size, changes_statements });
        self.answer_local(&mut Writer::new(events, max_packet));
    }

    /// Passes a request to the application, and returns its id.
    fn request(&mut self, route: &str, body: &str, events: &mut Events) -> u64 {
        self.last_id += 1;
        events.request(self.last_id, route, body.as_bytes());
        self.last_id
    }

    // === what is unanswered ===

    /// Whether steps before a Flush are unanswered. Whether the messages behind the Flush are
    /// handled or skipped depends on their answer.
    fn waits_for_group(&self) -> bool {
        self.unanswered.back().is_some_and(|last| !matches!(last.steps.last(), Some(Step::Sync)))
    }

    /// Whether something of this size may become unanswered now.
    fn has_room(&self, size: usize, max_packet: usize) -> bool {
        self.unanswered.is_empty() || self.unanswered_size + size <= max_unanswered(max_packet)
    }

    fn push(&mut self, unanswered: Unanswered) {
        self.unanswered_size += unanswered.size + UNANSWERED_SIZE;
        self.unsettled += usize::from(unanswered.changes_statements);
        self.unanswered.push_back(unanswered);
    }

    /// Answers the steps whose turn it is, if they wait for no response.
    fn answer_local<O: Output>(&mut self, out: &mut Writer<'_, O>) {
        while self.unanswered.front().is_some_and(|next| next.request.is_none()) {
            self.answer_next(Answer::default(), out);
        }
    }

    fn answer_next<O: Output>(&mut self, answer: Answer<'_>, out: &mut Writer<'_, O>) {
        let Some(next) = self.unanswered.pop_front() else { return };
        self.unanswered_size -= next.size + UNANSWERED_SIZE;
        self.unsettled -= usize::from(next.changes_statements);
        let is_skipping = self.backend.run(next.steps, answer, out);
        // With nothing behind them, these steps belong to the group that has not ended yet.
        self.group.skips |= is_skipping && self.unanswered.is_empty();
    }
}

fn end_flow(report: Report, events: &mut Events) -> Flow {
    end(report, events);
    Flow::Ends
}
