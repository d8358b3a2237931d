//! Audiences: operations on many sessions at once.

use bytes::Bytes;
use serde::Serialize;

use super::command::{Command, Target};
use super::fan_out::send_to_all;
use super::{Group, Message, NameError, Session, Sessions};
use crate::codec::Reason;

/// A set of sessions to push to, to kick or to add to a group at once: all sessions, those of a
/// user, those of a group, or those that match a condition.
///
/// If several nodes serve together, an audience includes the sessions of all nodes. An audience
/// from [`Sessions::matching`] includes only sessions of this process. The numbers that the methods
/// return count only sessions of this process.
///
/// A push to many is encoded once for each class of sessions that share encodings, if the codec
/// supports this and the class has enough receivers. The tasks of the connections encode; the
/// caller does not wait for them. If a push does not fit into a receiver's outbox,
/// [`Overflow`](crate::config::Overflow) applies to that receiver, and the other receivers get the
/// push. Each receiver gets two pushes of one caller in the order of the calls.
#[derive(Clone, Debug)]
pub struct Audience<'a> {
    sessions: &'a Sessions,
    who: Who,
}

#[derive(Clone, Debug)]
enum Who {
    /// Sessions of this process and of other nodes.
    Target(Target),
    /// Sessions of this process alone.
    These(Vec<Session>),
}

impl<'a> Audience<'a> {
    pub(super) fn new(sessions: &'a Sessions, target: Result<Target, NameError>) -> Self {
        // No session has a user or a group with an invalid name.
        let who = target.map_or_else(|_| Who::These(Vec::new()), Who::Target);
        Self { sessions, who }
    }

    pub(super) fn these(sessions: &'a Sessions, these: Vec<Session>) -> Self {
        Self { sessions, who: Who::These(these) }
    }

    /// Sends a message. Returns how many sessions of this process took it; a session whose outbox
    /// is full does not.
    pub fn send(&self, message: &Message) -> usize {
        self.apply(Command::Push(message.clone()))
    }

    /// Pushes a JSON body. This is [`Audience::send`] for the common case, and returns the same
    /// number.
    ///
    /// # Errors
    /// Returns an error if the body cannot be serialized.
    pub fn push<T: Serialize + ?Sized>(&self, route: &str, body: &T) -> Result<usize, serde_json::Error> {
        Ok(self.send(&Message::push(route, Bytes::from(serde_json::to_vec(body)?))))
    }

    /// Disconnects the clients, like [`Session::kick`]. Returns the number of sessions of this
    /// process.
    pub fn kick(&self, reason: &str) -> usize {
        self.apply(Command::Kick(Reason::new(reason)))
    }

    /// Adds the sessions to a group. Returns how many sessions of this process are then in the
    /// group; a session that has ended cannot join.
    ///
    /// # Errors
    /// Returns an error if the name is not valid for a [`Group`].
    pub fn join(&self, group: &str) -> Result<usize, NameError> {
        Ok(self.apply(Command::Join(Group::new(group)?)))
    }

    /// Removes the sessions from a group. Returns the number of sessions of this process, including
    /// those that were not in the group.
    ///
    /// # Errors
    /// Returns an error if the name is not valid for a [`Group`].
    pub fn leave(&self, group: &str) -> Result<usize, NameError> {
        Ok(self.apply(Command::Leave(Group::new(group)?)))
    }

    /// Returns the sessions of this process.
    pub fn sessions(&self) -> Vec<Session> {
        match &self.who {
            Who::Target(target) => {
                let mut found = Vec::new();
                self.sessions.each(target, |session| found.push(session.clone()));
                found
            }
            Who::These(these) => these.clone(),
        }
    }

    /// Returns the number of sessions of this process.
    pub fn len(&self) -> usize {
        match &self.who {
            Who::Target(target) => {
                let mut count = 0;
                self.sessions.each(target, |_| count += 1);
                count
            }
            Who::These(these) => these.len(),
        }
    }

    /// Returns whether there is no session of this process.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn apply(&self, command: Command) -> usize {
        match (&self.who, &command) {
            (Who::Target(target), _) => self.sessions.apply_everywhere(target, &command),
            (Who::These(these), Command::Push(message)) => send_to_all(|| these.iter(), message, None),
            (Who::These(these), command) => these.iter().filter(|session| session.apply(command)).count(),
        }
    }
}
