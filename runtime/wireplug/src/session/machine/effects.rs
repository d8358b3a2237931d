//! The effects of a session's calls: actions for the application, output for the client, counts,
//! and the reason of the end.

use std::collections::VecDeque;

use super::Action;
use crate::codec::{Event, Level, Reason, Role, Secrets};
use crate::session::acks::Acks;
use crate::session::recent::RecentRoutes;
use crate::session::{CloseReason, Matched, Outbox, Output, Tally};
use wireplug_base::limited;
use wireplug_core::framing::{JoinError, Joiner};

/// The effects of a session's calls.
pub(super) struct Effects {
    pub(super) actions: VecDeque<Action>,
    pub(super) output: Output,
    pub(super) joiner: Joiner,
    pub(super) acks: Acks,
    pub(super) outbox: Outbox,
    pub(super) tally: Tally,
    /// Whether a codec of this session has found that the client receives what is sent to its
    /// address. The transport acts on it.
    pub(super) address_is_verified: bool,
    /// Why a complete packet could not be sent, which ends the session.
    pub(super) unsendable: Option<JoinError>,
    /// The reason for which the session is over. The first reason counts.
    pub(super) closed: Option<CloseReason>,
    /// The WebSocket close code and the reason with which the codec has ended the session, if it
    /// chose a code.
    pub(super) codec_close: Option<(u16, Reason)>,
    routes: RecentRoutes,
    /// The secrets that the codec's reasons must not repeat.
    secrets: Secrets,
}

impl Effects {
    pub(super) fn new(output: Output, joiner: Joiner, outbox: Outbox, secrets: Secrets) -> Self {
        Self {
            actions: VecDeque::new(),
            output,
            joiner,
            acks: Acks::default(),
            outbox,
            address_is_verified: false,
            unsendable: None,
            tally: Tally::default(),
            closed: None,
            codec_close: None,
            routes: RecentRoutes::default(),
            secrets,
        }
    }

    /// Sets the secrets that the codec's reasons must not repeat from now on.
    pub(super) fn set_secrets(&mut self, secrets: Secrets) {
        self.secrets = secrets;
    }

    /// Carries out an event that the driver has checked.
    pub(super) fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Hello(body) => self.actions.push_back(Action::Hello(body)),
            Event::Established => self.establish(),
            Event::Message { role: Role::Response, id, body, status, .. } => {
                match self.outbox.answer(id, status, body) {
                    Matched::Open => self.tally.messages_in += 1,
                    Matched::Late => self.tally.late += 1,
                    Matched::Unknown => self.tally.unknown += 1,
                }
            }
            Event::Message { role, id, route, body, .. } => {
                self.tally.messages_in += 1;
                let id = (role == Role::Request).then_some(id);
                if let Some(id) = id {
                    self.acks.requested(id);
                }
                let route = self.routes.get(route);
                self.actions.push_back(Action::Message { id, route, body });
            }
            Event::Reply(packet) => self.put(packet),
            // The driver has set the timer.
            Event::Timer(_) => {}
            Event::AddressVerified => self.address_is_verified = true,
            Event::Log { level, text } => self.log(level, text),
            Event::Rejected(reason) => {
                self.tally.rejected += 1;
                limited!(DEBUG, reason = %self.reason(reason), "the codec dropped a packet");
            }
            Event::Fatal(reason) => self.close(CloseReason::Protocol(self.reason(reason))),
            Event::Close { code, reason } => {
                let reason = self.reason(reason);
                if code != 0 {
                    self.codec_close = Some((code, reason.clone()));
                }
                self.close(CloseReason::Protocol(reason));
            }
        }
    }

    /// Writes a line of the codec to the log, with the fields of the session. The lines of all
    /// codecs together are limited for each level, so that no client can fill the log.
    fn log(&self, level: Level, text: &[u8]) {
        let text = self.reason(text);
        match level {
            Level::Debug => limited!(DEBUG, %text, "the codec says"),
            Level::Info => limited!(INFO, %text, "the codec says"),
            Level::Warn => limited!(WARN, %text, "the codec says"),
            Level::Error => limited!(ERROR, %text, "the codec says"),
        }
    }

    pub(super) fn establish(&mut self) {
        self.actions.push_back(Action::Established);
    }

    /// Puts a packet that the codec made into the output.
    pub(super) fn put(&mut self, packet: &[u8]) {
        if self.unsendable.is_some() {
            // A packet is missing, so that the rest of the stream makes no sense.
            return;
        }
        match self.output.push(packet, &self.joiner) {
            Ok(()) => self.tally.packets_out += 1,
            Err(error) => {
                self.tally.refused += 1;
                limited!(DEBUG, %error, "a reply cannot be framed");
                self.note_unsendable(error);
            }
        }
    }

    /// Notes that a packet cannot be sent. The stream would not make sense without a complete
    /// packet, so this ends the session, unless the runtime frames packets.
    pub(super) fn note_unsendable(&mut self, error: JoinError) {
        if self.joiner.is_complete() {
            self.unsendable.get_or_insert(error);
        }
    }

    /// Puts an acknowledgement without a packet into the output.
    pub(super) fn acknowledge(&mut self, ack: u64) {
        self.output.acknowledge(ack);
    }

    /// Ends the session, unless it has ended before.
    pub(super) fn close(&mut self, reason: CloseReason) {
        self.closed.get_or_insert(reason);
    }

    /// Returns a reason of the codec as it may be logged: without secrets, shortened and escaped.
    pub(super) fn reason(&self, text: &[u8]) -> Reason {
        Reason::new(self.secrets.redact(text))
    }
}
