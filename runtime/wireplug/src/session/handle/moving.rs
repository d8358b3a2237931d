//! A session that moves to another process, in an upgrade of the server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::profile::{Binding, Profile};
use super::{ClientInfo, MOVES, Session, SessionError, SessionId};
use crate::session::command::Command;
use crate::session::{CloseReason, Directed, Group, Outbox, Residence, SavedOutbox, Sessions, User, Vitals};
use crate::upgrade::MoveOrder;

/// What the application keeps with a session.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SavedProfile {
    /// The user, and the time of the binding in microseconds since 1970.
    user: Option<(User, u64)>,
    groups: Vec<Group>,
    settings: BTreeMap<String, String>,
}

/// What leaves with a session, beside what its connection has.
pub(crate) struct Leaving {
    pub(crate) client: ClientInfo,
    pub(crate) outbox: SavedOutbox,
    pub(crate) profile: SavedProfile,
}

impl Session {
    /// Creates the handle of a session from another process. It has its user and groups, and is in
    /// no table yet.
    pub(crate) fn resume(
        id: SessionId,
        client: ClientInfo,
        outbox: Outbox,
        sessions: Sessions,
        vitals: Vitals,
        profile: SavedProfile,
    ) -> Self {
        let session = Self::with_vitals(id, client, outbox, sessions, vitals);
        let SavedProfile { user, groups, settings } = profile;
        let text = |text: String| Arc::<str>::from(text);
        let profile = Profile {
            binding: user.map(|(user, at)| Binding { user, at }),
            groups: groups.into_iter().collect(),
            settings: settings.into_iter().map(|(name, value)| (text(name), text(value))).collect(),
        };
        session.lock().profile = Some(Box::new(profile));
        session
    }

    /// Returns where the session is.
    pub(crate) fn residence(&self) -> Residence {
        self.0.outbox.residence()
    }

    /// Lets the session leave in the frame with this place. Returns `None` if it cannot leave now.
    /// Nothing that was done to the session before is missing in the result; what is done later is
    /// sent on, and done here too until the session is gone.
    pub(crate) fn leave_process(&self, place: u64) -> Option<Leaving> {
        let outbox = self.0.outbox.leave(place)?;
        let profile = self.with_profile(|profile| SavedProfile {
            user: profile.binding.as_ref().map(|binding| (binding.user.clone(), binding.at)),
            groups: profile.groups.iter().cloned().collect(),
            settings: profile
                .settings
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        });
        Some(Leaving { client: self.client().clone(), outbox, profile })
    }

    /// Asks the connection's task to do something in an upgrade.
    pub(crate) fn order_move(&self, order: MoveOrder) {
        let mut state = self.lock();
        state.move_order = Some(order);
        self.0.wanted.fetch_or(MOVES, Ordering::Relaxed);
        drop(state);
        self.0.task.wake();
    }

    /// Lets the session go on in this process: the other one does not serve it.
    pub(crate) fn come_back(&self) {
        self.0.outbox.stay();
        self.order_move(MoveOrder::ComeBack);
    }

    /// Returns whether [`Session::take_move_order`] would return an order.
    pub(crate) fn has_move_order(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed) & MOVES != 0
    }

    /// Takes out what the task is asked to do in an upgrade.
    pub(crate) fn take_move_order(&self) -> Option<MoveOrder> {
        let mut state = self.lock();
        self.0.wanted.fetch_and(!MOVES, Ordering::Relaxed);
        state.move_order.take()
    }

    /// Sends a command to the process that the session is on its way to, or in.
    pub(super) fn forward(&self, directed: Directed) {
        if let Some(relay) = self.0.sessions.relay() {
            relay.directed(self.0.id, directed);
        }
    }

    /// Sends a command after the session, if it has left. If it is gone, what was done to it here
    /// does not count.
    pub(super) fn followed(
        &self,
        done: Result<(), SessionError>,
        command: impl FnOnce() -> Command,
    ) -> Result<(), SessionError> {
        match self.residence() {
            Residence::Here => done,
            Residence::Leaving(_) => {
                self.forward(Directed::Command(command()));
                done
            }
            Residence::Gone(_) => {
                self.forward(Directed::Command(command()));
                Ok(())
            }
        }
    }

    /// Sends the end that the application wants after the session, if it has left.
    pub(super) fn follow_close(&self, reason: &CloseReason) {
        if self.residence() == Residence::Here {
            return;
        }
        match reason {
            CloseReason::Kicked(reason) => self.forward(Directed::Command(Command::Kick(reason.clone()))),
            CloseReason::Displaced => self.forward(Directed::Displace),
            // Whatever else this process finds, the other one finds too.
            _ => {}
        }
    }

    /// Carries out a command from the other process.
    pub(crate) fn direct(&self, directed: &Directed) {
        match directed {
            Directed::Command(command) => drop(self.apply(command)),
            Directed::Displace => self.close(CloseReason::Displaced),
        }
    }
}
