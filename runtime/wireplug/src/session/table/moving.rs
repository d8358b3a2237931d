//! The table of sessions while sessions move to another process, or come from one.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use super::{LocalSessions, Sessions, Table, insert};
use crate::config::SessionsPerUser;
use crate::session::command::{Command, Target};
use crate::session::fan_out::send_to_all;
use crate::session::{CloseReason, Directed, Relay, Residence, Seen, Session, SessionId, User};

/// The sessions that have come from another process and are not served yet. Only commands of that
/// process reach them.
#[derive(Default)]
pub(super) struct Arriving {
    sessions: HashMap<SessionId, Session>,
    /// The place of the last frame.
    place: u64,
}

impl Arriving {
    pub(super) fn has(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
    }

    pub(super) fn seen(&self) -> Seen {
        Seen { place: self.place, arriving: self.sessions.keys().copied().collect() }
    }

    /// Returns those that belong to a target.
    fn of<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a Session> {
        self.sessions.values().filter(move |session| match target {
            Target::Session(id) => session.id() == *id,
            Target::User(user) => session.user().as_ref() == Some(user),
            Target::Group(group) => session.groups().contains(group),
            Target::All => session.is_established(),
        })
    }
}

/// Sends a command to the other process. Returns its place in the order of frames, if it has one.
pub(super) fn relayed(
    relay: &dyn Relay,
    target: &Target,
    command: &Command,
    members: &LocalSessions,
    seen: Seen,
) -> Option<u64> {
    match target {
        // A session that has left sends on what it gets.
        Target::Session(_) if members.one.is_some() => None,
        target => Some(relay.command(target, command, seen)),
    }
}

impl Sessions {
    pub(in crate::session) fn relay(&self) -> Option<Arc<dyn Relay>> {
        self.0.relay.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the other process of an upgrade, or removes it.
    pub(crate) fn set_relay(&self, relay: Option<Arc<dyn Relay>>) {
        *self.0.relay.write().unwrap_or_else(PoisonError::into_inner) = relay;
    }

    /// Tells the other process of a new binding, if each user may have only one session.
    pub(super) fn relay_binding(&self, session: &Session) {
        let Some(relay) = self.relay().filter(|_| self.0.per_user == SessionsPerUser::One) else { return };
        if let Some(binding) = session.binding() {
            let table = self.read();
            relay.bound(&binding.user, binding.at, table.arriving.seen());
        }
    }

    /// Whether commands to and from other nodes go through the other process of an upgrade.
    fn has_no_nodes(&self) -> bool {
        self.relay().is_some_and(|relay| relay.has_the_nodes())
    }

    /// Applies a command of the application to the sessions of other nodes.
    pub(in crate::session) fn apply_elsewhere(&self, target: &Target, command: &Command) {
        if let Some(remote) = self.remote().filter(|_| !self.has_no_nodes()) {
            remote.apply(target, command);
        }
    }

    /// Applies a command of a service or of another node to the sessions of this one. Returns how
    /// many of them accepted it.
    #[cfg_attr(not(feature = "nats"), allow(dead_code, reason = "only NATS has services and other nodes"))]
    pub(crate) fn apply_from_elsewhere(&self, target: &Target, command: &Command) -> usize {
        // The other process gets it too, and sends it on.
        let comes_twice = !matches!(target, Target::Session(_)) && self.has_no_nodes();
        if comes_twice { 0 } else { self.apply(target, command) }
    }

    // === in the old process ===

    /// Applies a command of the new process, which had seen so much: to the sessions that are here,
    /// and to those on their way that the command would miss.
    pub(crate) fn apply_from_new(&self, target: &Target, command: &Command, seen: &Seen) {
        self.apply_elsewhere(target, command);
        let members = self.members(target);
        let concerned = |session: &&Session| match session.residence() {
            Residence::Here => true,
            Residence::Leaving(place) | Residence::Gone(place) => !seen.served(session.id(), place),
        };
        match command {
            Command::Push(message) => {
                send_to_all(|| members.iter().filter(concerned), message, None);
            }
            command => members.iter().filter(concerned).for_each(|session| {
                session.apply(command);
            }),
        }
    }

    /// Notes that the new process has bound a user, who may have only one session, at this time.
    pub(crate) fn bound_in_new(&self, user: &User, at: u64, seen: &Seen) {
        let members = self.members(&Target::User(user.clone()));
        for session in members.iter() {
            let is_there = match session.residence() {
                Residence::Here => false,
                Residence::Leaving(place) | Residence::Gone(place) => seen.served(session.id(), place),
            };
            if !is_there && session.binding().is_some_and(|binding| binding.at < at) {
                session.close(CloseReason::Displaced);
            }
        }
    }

    /// Notes that the new process serves a session.
    pub(crate) fn gone(&self, session: &Session) {
        session.outbox().set_gone();
        self.remove(session);
        session.wake();
    }

    // === in the new process ===

    /// Notes a frame of the old process with this place, and the sessions that it has.
    pub(crate) fn arrive(&self, place: u64, sessions: impl IntoIterator<Item = Session>) {
        let mut table = self.write();
        table.arriving.place = place;
        table.arriving.sessions.extend(sessions.into_iter().map(|session| (session.id(), session)));
    }

    /// Notes that a session which has come is served from now on. Of two sessions of a user who may
    /// have only one, the one that was bound last stays.
    pub(crate) fn settle(&self, session: &Session) {
        let mut displaced = Vec::new();
        {
            let mut table = self.write();
            let Table { all, users, groups, arriving } = &mut *table;
            arriving.sessions.remove(&session.id());
            Arc::make_mut(all).insert(session.id(), session.clone());
            if let Some(binding) = session.binding() {
                if self.0.per_user == SessionsPerUser::One {
                    let others = users.get(&binding.user).into_iter().flat_map(|members| members.values());
                    let is_later =
                        |other: &&Session| other.binding().is_some_and(|other| other.at > binding.at);
                    match others.clone().any(|other| is_later(&other)) {
                        true => displaced.push(session.clone()),
                        false => displaced.extend(others.cloned()),
                    }
                }
                insert(users, &binding.user, session);
            }
            for group in session.groups() {
                insert(groups, &group, session);
            }
        }
        displaced.iter().for_each(|session| session.close(CloseReason::Displaced));
    }

    /// Forgets a session that came and is not served.
    pub(crate) fn turn_back(&self, id: SessionId) {
        self.write().arriving.sessions.remove(&id);
    }

    /// Applies a command of the old process, whose frame has this place.
    pub(crate) fn apply_from_old(&self, place: u64, target: &Target, command: &Command) {
        // In one step: a session that is settled meanwhile would be in neither list.
        let (members, arriving) = {
            let mut table = self.write();
            table.arriving.place = place;
            let arriving: Vec<Session> = table.arriving.of(target).cloned().collect();
            (table.members(target), arriving)
        };
        match command {
            Command::Push(message) => {
                send_to_all(|| members.iter().chain(&arriving), message, None);
            }
            command => members.iter().chain(&arriving).for_each(|session| {
                session.apply(command);
            }),
        }
    }

    /// Carries out what the old process sends after a session, in the frame with this place.
    pub(crate) fn direct(&self, place: u64, id: SessionId, directed: &Directed) {
        let session = {
            let mut table = self.write();
            table.arriving.place = place;
            table.arriving.sessions.get(&id).or_else(|| table.all.get(&id)).cloned()
        };
        if let Some(session) = session {
            session.direct(directed);
        }
    }

    /// Notes that the old process has bound a user, who may have only one session, at this time.
    /// The frame has this place.
    pub(crate) fn bound_in_old(&self, place: u64, user: &User, at: u64) {
        let earlier: Vec<Session> = {
            let mut table = self.write();
            table.arriving.place = place;
            let members = table.users.get(user).into_iter().flat_map(|members| members.values());
            let arriving =
                table.arriving.sessions.values().filter(|session| session.user().as_ref() == Some(user));
            members.chain(arriving).cloned().collect()
        };
        let is_earlier = |session: &&Session| session.binding().is_some_and(|binding| binding.at < at);
        earlier.iter().filter(is_earlier).for_each(|session| session.close(CloseReason::Displaced));
    }
}
