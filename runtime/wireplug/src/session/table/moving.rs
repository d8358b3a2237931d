//! The table of sessions while sessions move to another process, or come from one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLockWriteGuard};

use super::{LocalSessions, Sessions, Table, insert};
use crate::config::SessionsPerUser;
use crate::session::command::{Command, Target};
use crate::session::fan_out::send_to_all;
use crate::session::{CloseReason, Directed, Relay, Residence, Session, SessionId, User};

/// The sessions that have come from another process and have no places in the table yet. Commands
/// of this process are held for them.
#[derive(Default)]
pub(super) struct Arriving {
    sessions: HashMap<SessionId, Arrival>,
    /// The place of the last frame.
    place: u64,
    /// How many commands of this process the other one has heard.
    heard: u64,
}

struct Arrival {
    session: Session,
    /// How many commands this process had sent when the session came. The other process sends them
    /// after the session.
    sent: u64,
    is_served: bool,
    /// Written under the lock of the table, which those who read it share.
    held: Mutex<Vec<Command>>,
}

impl Arriving {
    pub(super) fn has(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// Whether this is a session of which the application is still to learn
    /// ([`Sessions::moved`]), with all that it has by then.
    pub(super) fn is_unknown(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|arrival| !arrival.is_served)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values().map(|arrival| &arrival.session)
    }

    /// Removes a session that has ended before it got its places.
    pub(super) fn remove(&mut self, id: SessionId) {
        self.sessions.remove(&id);
    }

    pub(super) fn place(&self) -> u64 {
        self.place
    }

    /// Returns those that belong to a target.
    fn of<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a Arrival> {
        self.sessions.values().filter(move |Arrival { session, .. }| match target {
            Target::Session(id) => session.id() == *id,
            Target::User(user) => session.user().as_ref() == Some(user),
            Target::Group(group) => session.groups().contains(group),
            Target::All => session.is_established(),
        })
    }
}

/// Sends a command to the other process, and holds it for sessions that come from there. Returns
/// its place in the order of frames, if it has one.
pub(super) fn relayed(
    relay: &dyn Relay,
    target: &Target,
    command: &Command,
    members: &LocalSessions,
    table: &Table,
) -> Option<u64> {
    for arrival in table.arriving.of(target) {
        arrival.held.lock().unwrap_or_else(PoisonError::into_inner).push(command.clone());
    }
    match target {
        // A session that has left sends on what it gets.
        Target::Session(_) if members.one.is_some() => None,
        target => Some(relay.command(target, command, table.arriving.place)),
    }
}

impl Sessions {
    pub(in crate::session) fn relay(&self) -> Option<Arc<dyn Relay>> {
        self.0.relay.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether there is another process of an upgrade.
    pub(crate) fn has_relay(&self) -> bool {
        self.relay().is_some()
    }

    /// Sets the other process of an upgrade, or removes it.
    pub(crate) fn set_relay(&self, relay: Option<Arc<dyn Relay>>) {
        // What had gone to a process that died is lost.
        self.write().gone.clear();
        *self.0.relay.write().unwrap_or_else(PoisonError::into_inner) = relay;
    }

    /// Waits until the other process of an upgrade, if there is one, can read all that was sent to
    /// it so far.
    pub(crate) async fn relayed_all(&self) {
        if let Some(relay) = self.relay() {
            relay.flush().await;
        }
    }

    /// Tells the other process of a new binding, if each user may have only one session.
    pub(super) fn relay_binding(&self, session: &Session) {
        let Some(relay) = self.relay().filter(|_| self.0.per_user == SessionsPerUser::One) else { return };
        if let Some(binding) = session.binding() {
            let table = self.read();
            relay.bound(&binding.user, binding.at, table.arriving.place());
        }
    }

    /// Whether commands to and from other nodes go through the other process of an upgrade.
    fn has_no_nodes(&self) -> bool {
        self.relay().is_some_and(|relay| relay.has_the_nodes())
    }

    /// Applies a command of the application to the sessions of other nodes.
    fn apply_elsewhere(&self, target: &Target, command: &Command) {
        if let Some(remote) = self.remote().filter(|_| !self.has_no_nodes()) {
            remote.apply(target, command);
        }
    }

    /// Applies a command of this node to the sessions of all nodes. Returns how many sessions of
    /// this process accepted it.
    pub(crate) fn apply_everywhere(&self, target: &Target, command: &Command) -> usize {
        match target {
            // It is on this node, or has gone to the other process.
            Target::Session(_) => self.apply_from_elsewhere(target, command),
            Target::User(_) | Target::Group(_) | Target::All => {
                self.apply_elsewhere(target, command);
                self.apply(target, command)
            }
        }
    }

    /// Applies a command of a service or of another node to the sessions of this one. Returns how
    /// many of them accepted it.
    pub(crate) fn apply_from_elsewhere(&self, target: &Target, command: &Command) -> usize {
        // The other process gets it too, and sends it on.
        let comes_twice = !matches!(target, Target::Session(_)) && self.has_no_nodes();
        if comes_twice {
            return 0;
        }
        let accepted = self.apply(target, command);
        match target {
            // The other process has got it.
            Target::Session(id) if accepted == 0 => usize::from(self.is_gone(*id)),
            _ => accepted,
        }
    }

    // === in the old process ===

    /// Applies a command of the new process, which had seen so much: to the sessions that are here,
    /// and to those on their way that the command would miss.
    pub(crate) fn apply_from_new(&self, target: &Target, command: &Command, seen: u64) {
        self.apply_elsewhere(target, command);
        let members = self.members(target);
        let concerned = |session: &&Session| match session.residence() {
            Residence::Here => true,
            Residence::Leaving(place) | Residence::Gone(place) => place > seen,
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
    pub(crate) fn bound_in_new(&self, user: &User, at: u64, seen: u64) {
        let members = self.members(&Target::User(user.clone()));
        for session in members.iter() {
            let is_there = match session.residence() {
                Residence::Here => false,
                Residence::Leaving(place) | Residence::Gone(place) => place <= seen,
            };
            if !is_there && session.binding().is_some_and(|binding| binding.at < at) {
                session.close(CloseReason::Displaced);
            }
        }
    }

    /// Notes that the new process serves a session.
    pub(crate) fn gone(&self, session: &Session) {
        session.outbox().set_gone();
        self.write().gone.insert(session.id());
        self.remove(session);
        session.wake();
    }

    /// Whether the other process has got this session from this one, and still runs.
    fn is_gone(&self, id: SessionId) -> bool {
        self.has_relay() && self.read().gone.contains(&id)
    }

    // === in the new process ===

    /// Notes a frame of the old process with this place, and the sessions that it has.
    pub(crate) fn arrive(&self, place: u64, sessions: impl IntoIterator<Item = Session>) {
        let relay = self.relay();
        let mut table = self.write();
        table.arriving.place = place;
        let sent = relay.map_or(0, |relay| relay.sent());
        for session in sessions {
            let arrival =
                Arrival { session: session.clone(), sent, is_served: false, held: Mutex::default() };
            table.arriving.sessions.insert(session.id(), arrival);
        }
    }

    /// Notes that a session which has come is served.
    pub(crate) fn settle(&self, session: &Session) {
        let mut table = self.write();
        if let Some(arrival) = table.arriving.sessions.get_mut(&session.id()) {
            arrival.is_served = true;
        }
        self.give_places(table);
    }

    /// Notes that the old process has heard so many commands of this one.
    pub(crate) fn heard(&self, count: u64) {
        let mut table = self.write();
        table.arriving.heard = count;
        self.give_places(table);
    }

    /// Gives sessions that have come their places in the table, as soon as what the old process has
    /// sent after them is there. What was held for them comes then. Of two sessions of a user who
    /// may have only one, the one that was bound last stays.
    fn give_places(&self, mut table: RwLockWriteGuard<'_, Table>) {
        let heard = table.arriving.heard;
        let is_due = |_: &SessionId, arrival: &mut Arrival| arrival.is_served && arrival.sent <= heard;
        let due: Vec<Arrival> =
            table.arriving.sessions.extract_if(is_due).map(|(_, arrival)| arrival).collect();
        let (mut displaced, mut others) = (Vec::new(), Vec::new());
        for Arrival { session, held, .. } in due {
            table.give_place(&session, self.0.per_user, &mut displaced);
            for command in held.into_inner().unwrap_or_else(PoisonError::into_inner) {
                match command {
                    // Under the lock, so that no later push comes before.
                    Command::Push(message) => drop(session.send(message)),
                    other => others.push((session.clone(), other)),
                }
            }
        }
        drop(table);
        displaced.iter().for_each(|session| session.close(CloseReason::Displaced));
        for (session, command) in others {
            session.apply(&command);
        }
    }

    /// Forgets a session that came and is not served. Calls `refuse` with the commands that were
    /// held for it: under the lock, so that the old process gets later commands after the session.
    pub(crate) fn turn_back(&self, id: SessionId, refuse: impl FnOnce(Vec<Directed>)) {
        let mut table = self.write();
        let arrival = table.arriving.sessions.remove(&id);
        let held = arrival.map(|arrival| arrival.held.into_inner().unwrap_or_else(PoisonError::into_inner));
        refuse(held.into_iter().flatten().map(Directed::Command).collect());
    }

    /// Applies a command of the old process, whose frame has this place.
    pub(crate) fn apply_from_old(&self, place: u64, target: &Target, command: &Command) {
        // In one step: a session that is settled meanwhile would be in neither list.
        let (members, arriving) = {
            let mut table = self.write();
            table.arriving.place = place;
            let arriving: Vec<Session> =
                table.arriving.of(target).map(|arrival| arrival.session.clone()).collect();
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
            let arriving = table.arriving.sessions.get(&id).map(|arrival| &arrival.session);
            arriving.or_else(|| table.all.get(&id)).cloned()
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
            let target = Target::User(user.clone());
            let arriving = table.arriving.of(&target).map(|arrival| &arrival.session);
            members.chain(arriving).cloned().collect()
        };
        let is_earlier = |session: &&Session| session.binding().is_some_and(|binding| binding.at < at);
        earlier.iter().filter(is_earlier).for_each(|session| session.close(CloseReason::Displaced));
    }
}

impl Table {
    /// Gives a session its places. Adds the sessions to `displaced` that end because their user has
    /// another one.
    fn give_place(&mut self, session: &Session, per_user: SessionsPerUser, displaced: &mut Vec<Session>) {
        Arc::make_mut(&mut self.all).insert(session.id(), session.clone());
        if let Some(binding) = session.binding() {
            if per_user == SessionsPerUser::One {
                let others = self.users.get(&binding.user).into_iter().flat_map(|members| members.values());
                let is_later = |other: &Session| other.binding().is_some_and(|other| other.at > binding.at);
                match others.clone().any(is_later) {
                    true => displaced.push(session.clone()),
                    false => displaced.extend(others.cloned()),
                }
            }
            insert(&mut self.users, &binding.user, session);
        }
        for group in session.groups() {
            insert(&mut self.groups, &group, session);
        }
    }
}
