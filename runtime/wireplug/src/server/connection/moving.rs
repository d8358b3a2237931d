//! Lets a live session go to another process, in an upgrade of the server.
//!
//! A session that is asked to leave finishes what is under way, and begins nothing new. When it is
//! quiet, a copy of everything that makes it goes to the other process, and the connection freezes:
//! it neither reads nor writes. It thaws if the other process does not take the session, and ends
//! without a word if it does.

use std::task::Poll;

use wireplug_connectors::SavedMeter;

use super::Connection;
use crate::server::deadlines::SavedDeadlines;
use crate::session::{CloseReason, Residence};
use crate::upgrade::{LeaveTicket, MoveOrder, SavedSession};

/// Whether the session leaves the process.
#[derive(Default)]
pub(super) enum Moving {
    #[default]
    No,
    /// It leaves as soon as it is quiet.
    Leaves(LeaveTicket),
    /// It has left, and may come back.
    Frozen,
}

/// What a connection goes on with in another process, beside its machine and its socket.
pub(in crate::server) struct SavedConnection {
    pub(in crate::server) session_ms: u64,
    /// The size of the saved state in bytes, if the session sleeps.
    pub(in crate::server) asleep: Option<usize>,
    pub(in crate::server) deadlines: SavedDeadlines,
    pub(in crate::server) rates: SavedMeter,
    pub(in crate::server) bytes: (u64, u64),
}

impl Connection {
    /// Does what is asked of the session in an upgrade. Returns what becomes of a turn of a
    /// connection that is frozen.
    pub(super) fn poll_moving(&mut self) -> Option<Poll<CloseReason>> {
        if self.session.has_move_order() {
            self.take_move_order();
        }
        let Moving::Frozen = self.moving else { return None };
        match self.session.residence() {
            Residence::Gone(_) => Some(Poll::Ready(CloseReason::Moved)),
            _ => Some(Poll::Pending),
        }
    }

    fn take_move_order(&mut self) {
        match self.session.take_move_order() {
            Some(MoveOrder::Leave(ticket)) => {
                let bound = self.codec.bound_to_process();
                match bound.map_or_else(|| self.transport.prepare_handover(), Err) {
                    Ok(()) => self.moving = Moving::Leaves(ticket),
                    Err(why) => ticket.stays(why),
                }
            }
            Some(MoveOrder::Stay) => {
                if let Moving::Leaves(_) = self.moving
                    && let Moving::Leaves(ticket) = std::mem::take(&mut self.moving)
                {
                    self.transport.cancel_handover();
                    ticket.stays("it was busy until the deadline");
                }
            }
            Some(MoveOrder::ComeBack) => {
                self.moving = Moving::No;
                self.transport.cancel_handover();
            }
            None => {}
        }
    }

    /// Whether the session reads nothing new, because it leaves. A response to a request of the
    /// application must still be read, and so must the rest of a message.
    pub(super) fn holds_for_move(&self) -> bool {
        matches!(self.moving, Moving::Leaves(_))
            && self.transport.is_between_messages()
            && self.session.outbox().has_no_requests()
    }

    /// Lets the session leave if it is asked to and is quiet. `had_its_turn` is true if the socket
    /// may have more to read. Returns whether the connection is frozen now.
    pub(super) fn leave_if_quiet(&mut self, had_its_turn: bool) -> bool {
        if !matches!(self.moving, Moving::Leaves(_)) {
            return false;
        }
        let is_quiet = self.holds_for_move()
            && !had_its_turn
            && self.transport.is_drained()
            && self.in_flight.len() == 0
            && self.codec.may_leave_process();
        let Moving::Leaves(mut ticket) = std::mem::take(&mut self.moving) else { return false };
        if !is_quiet {
            self.moving = Moving::Leaves(ticket);
            return false;
        }
        match self.save(&mut ticket) {
            Ok(true) => {
                self.moving = Moving::Frozen;
                true
            }
            // Something came at this moment. The session will be quiet again.
            Ok(false) => {
                self.moving = Moving::Leaves(ticket);
                false
            }
            Err(why) => {
                self.transport.cancel_handover();
                ticket.stays(&why);
                false
            }
        }
    }

    /// Hands a copy of the session to the ticket. Returns whether the session has left.
    fn save(&mut self, ticket: &mut LeaveTicket) -> Result<bool, String> {
        let socket = self.transport.hand_over().map_err(|error| error.to_string())?;
        let (machine, codec) = self.codec.save_all().map_err(|error| error.to_string())?;
        let codec = ticket.codec(codec);
        let now = self.server.time.now();
        let (deadlines, rates) = self.timer.save();
        let (vitals, session_ms) = (self.session.vitals().save(now), self.codec.now().session_ms);
        let (bytes, class) = (self.transport.bytes(), self.session.outbox().class());
        let (id, listener) = (self.session.id().0, ticket.listener());
        let sent = ticket.send(&self.session, socket.descriptor, |leaving| SavedSession {
            id,
            listener,
            codec,
            client: leaving.client.into(),
            machine,
            messages: leaving.outbox.messages.into_iter().map(Into::into).collect(),
            last_request: leaving.outbox.last_request,
            profile: leaving.profile,
            vitals,
            session_ms,
            deadlines,
            rates,
            bytes,
            class,
            socket: socket.state,
        });
        Ok(sent)
    }

    /// Asks the codec with which sessions this one shares encodings, after it was restored.
    pub(in crate::server) fn update_broadcast_class(&mut self) {
        if self.codec.machine().is_established() {
            self.codec.update_broadcast_class();
        }
    }

    /// Goes on with the connection of another process, of which `saved` is what is left.
    pub(in crate::server) fn resume(&mut self, saved: &SavedConnection) {
        let SavedConnection { session_ms, asleep, deadlines, rates, bytes } = saved;
        self.transport.resume(*bytes);
        self.timer.resume(deadlines, rates, self.transport.traffic().read);
        self.codec.resume(*session_ms, *asleep);
    }
}
