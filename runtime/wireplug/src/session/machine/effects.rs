//! The effects of a session's calls: actions for the application, output for the client, counts,
//! and the reason of the end.

use std::collections::VecDeque;

use super::Action;
use crate::codec::{Event, Reason, Secrets};
use crate::session::acks::Acks;
use crate::session::recent::RecentRoutes;
use crate::session::{CloseReason, Output, Tally};
use wireplug_base::limited;
use wireplug_core::framing::Joiner;

/// The effects of a session's calls.
pub(super) struct Effects {
    pub(super) actions: VecDeque<Action>,
    pub(super) output: Output,
    pub(super) joiner: Joiner,
    pub(super) acks: Acks,
    pub(super) tally: Tally,
    /// The reason for which the session is over. The first reason counts.
    pub(super) closed: Option<CloseReason>,
    routes: RecentRoutes,
    /// The secrets that the codec's reasons must not repeat.
    secrets: Secrets,
}

impl Effects {
    pub(super) fn new(output: Output, joiner: Joiner, secrets: Secrets) -> Self {
        Self {
            actions: VecDeque::new(),
            output,
            joiner,
            acks: Acks::default(),
            tally: Tally::default(),
            closed: None,
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
            Event::Message { id, route, body } => {
                self.tally.messages_in += 1;
                if let Some(id) = id {
                    self.acks.requested(id);
                }
                let route = self.routes.get(route);
                self.actions.push_back(Action::Message { id, route, body });
            }
            Event::Reply(packet) => self.put(packet),
            // The driver has set the timer.
            Event::Wake(_) => {}
            Event::Rejected(reason) => {
                self.tally.rejected += 1;
                limited!(DEBUG, reason = %self.reason(reason), "the codec dropped a packet");
            }
            Event::Close(reason) | Event::Fatal(reason) => {
                self.close(CloseReason::Protocol(self.reason(reason)));
            }
        }
    }

    pub(super) fn establish(&mut self) {
        self.actions.push_back(Action::Established);
    }

    /// Puts a packet that the codec made into the output.
    pub(super) fn put(&mut self, packet: &[u8]) {
        match self.output.push(packet, &self.joiner) {
            Ok(()) => self.tally.packets_out += 1,
            Err(error) => {
                self.tally.refused += 1;
                limited!(DEBUG, %error, "a reply cannot be framed");
            }
        }
    }

    /// Puts an acknowledgement without a packet into the output.
    pub(super) fn acknowledge(&mut self, ack: u64) {
        self.output.acknowledge(ack, None, &self.joiner).expect("there is no packet to be framed");
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
