//! Many sessions at once.

use bytes::Bytes;
use serde::Serialize;

use super::command::{Command, Target};
use super::fan_out::send_to_all;
use super::{Group, Message, NameError, Session, Sessions};
use crate::codec::Reason;

/// Many sessions, to be pushed to or kicked at once: all, those of a user, of a group, or those
/// that match.
///
/// Where several nodes serve as one, it has the sessions of all of them, unless it was made by a
/// condition. What is counted are the sessions of this process.
///
/// A push to many is encoded once for each class of sessions that share encodings, where the codec
/// can and the class has enough receivers: by their connections, and not by the caller, who waits
/// for nobody. What does not fit into a receiver's outbox is dealt with as
/// [`Overflow`](crate::config::Overflow) says, and the others get it. Who pushes twice, one call
/// after the other, has each receiver get both in that order.
#[derive(Clone, Debug)]
pub struct Audience<'a> {
    sessions: &'a Sessions,
    who: Who,
}

#[derive(Clone, Debug)]
enum Who {
    /// Here and on other nodes.
    Target(Target),
    /// Here.
    These(Vec<Session>),
}

impl<'a> Audience<'a> {
    pub(super) fn new(sessions: &'a Sessions, target: Result<Target, NameError>) -> Self {
        // Nobody has a name that cannot be one.
        let who = target.map_or_else(|_| Who::These(Vec::new()), Who::Target);
        Self { sessions, who }
    }

    pub(super) fn these(sessions: &'a Sessions, these: Vec<Session>) -> Self {
        Self { sessions, who: Who::These(these) }
    }

    /// Sends a message. Returns how many here took it: one whose outbox is full does not.
    pub fn send(&self, message: &Message) -> usize {
        self.apply(Command::Push(message.clone()))
    }

    /// Pushes a JSON body: [`Audience::send`] for the common case.
    ///
    /// # Errors
    /// Where the body cannot be serialized.
    pub fn push<T: Serialize + ?Sized>(&self, route: &str, body: &T) -> Result<usize, serde_json::Error> {
        Ok(self.send(&Message::push(route, Bytes::from(serde_json::to_vec(body)?))))
    }

    /// Throws them out, as [`Session::kick`]. Returns how many here.
    pub fn kick(&self, reason: &str) -> usize {
        self.apply(Command::Kick(Reason::new(reason)))
    }

    /// Has them join a group. Returns how many here.
    ///
    /// # Errors
    /// Where the group's name cannot be one.
    pub fn join(&self, group: &str) -> Result<usize, NameError> {
        Ok(self.apply(Command::Join(Group::new(group)?)))
    }

    /// Has them leave a group. Returns how many here.
    ///
    /// # Errors
    /// Where the group's name cannot be one.
    pub fn leave(&self, group: &str) -> Result<usize, NameError> {
        Ok(self.apply(Command::Leave(Group::new(group)?)))
    }

    /// The sessions of this process.
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

    /// How many sessions of this process they are.
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

    /// Whether they are none of this process.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn apply(&self, command: Command) -> usize {
        match (&self.who, &command) {
            (Who::Target(target), _) => {
                if let Some(remote) = self.sessions.remote() {
                    remote.apply(target, &command);
                }
                self.sessions.apply(target, &command)
            }
            (Who::These(these), Command::Push(message)) => send_to_all(|| these.iter(), message),
            (Who::These(these), command) => these.iter().filter(|session| session.apply(command)).count(),
        }
    }
}
