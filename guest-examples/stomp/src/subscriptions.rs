//! The subscriptions of a client, and the routes of destinations.

use serde::{Deserialize, Serialize};

use crate::frame::Frame;

/// The largest number of subscriptions of a client. The session keeps them.
pub(crate) const MAX_SUBSCRIPTIONS: usize = 256;

/// The largest number of subscriptions of a client to one route. Each gets its own copy of a push.
pub(crate) const MAX_COPIES: usize = 4;

/// The longest identifier of a subscription, and the longest destination, in bytes.
pub(crate) const MAX_NAME: usize = 256;

/// How a client acknowledges the messages of a subscription.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// Not at all.
    Auto,
    /// One message, and all before it.
    Client,
    /// Each one.
    ClientIndividual,
}

/// A subscription of a client.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    /// As the client wrote it.
    pub(crate) destination: String,
    pub(crate) route: String,
    pub(crate) ack: Mode,
    /// Which subscription of the session this is. A number is never used again, while the client
    /// may use an identifier again.
    pub(crate) number: u64,
}

impl Subscription {
    fn read(frame: &Frame<'_>, number: u64) -> Result<Self, String> {
        let destination = frame.required("destination", MAX_NAME)?;
        Ok(Self {
            id: frame.required("id", MAX_NAME)?.to_owned(),
            destination: destination.to_owned(),
            route: route(destination)?,
            ack: match frame.header("ack") {
                None | Some("auto") => Mode::Auto,
                Some("client") => Mode::Client,
                Some("client-individual") => Mode::ClientIndividual,
                Some(_) => return Err("`ack` is not `auto`, `client` or `client-individual`".to_owned()),
            },
            number,
        })
    }
}

/// The subscriptions of a client, in the order in which they were made.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Subscriptions {
    list: Vec<Subscription>,
    last_number: u64,
}

impl Subscriptions {
    /// Adds the subscription that a SUBSCRIBE asks for.
    ///
    /// # Errors
    /// Returns an error if the frame is wrong, or if there is no room.
    pub(crate) fn add(&mut self, frame: &Frame<'_>) -> Result<&Subscription, String> {
        let new = Subscription::read(frame, self.last_number + 1)?;
        if self.list.iter().any(|known| known.id == new.id) {
            return Err("a subscription has this `id` already".to_owned());
        }
        if self.list.len() == MAX_SUBSCRIPTIONS {
            return Err(format!("a client may have {MAX_SUBSCRIPTIONS} subscriptions"));
        }
        if self.to(&new.route).count() == MAX_COPIES {
            return Err(format!("a client may have {MAX_COPIES} subscriptions to one destination"));
        }
        self.last_number += 1;
        Ok(self.list.push_mut(new))
    }

    /// Removes the subscription that an UNSUBSCRIBE names.
    ///
    /// # Errors
    /// Returns an error if there is none.
    pub(crate) fn remove(&mut self, frame: &Frame<'_>) -> Result<Subscription, String> {
        let id = frame.required("id", MAX_NAME)?;
        match self.list.iter().position(|known| known.id == id) {
            Some(index) => Ok(self.list.remove(index)),
            None => Err("no subscription has this `id`".to_owned()),
        }
    }

    pub(crate) fn to(&self, route: &str) -> impl Iterator<Item = &Subscription> {
        self.list.iter().filter(move |known| known.route == route)
    }

    pub(crate) fn with_number(&self, number: u64) -> Option<&Subscription> {
        self.list.iter().find(|known| known.number == number)
    }
}

/// Returns the route of a destination: `/queue/a`, `queue/a` and `/queue.a` are `queue.a`.
///
/// # Errors
/// Returns an error if the destination has no name.
pub(crate) fn route(destination: &str) -> Result<String, String> {
    match destination.strip_prefix('/').unwrap_or(destination) {
        "" => Err("`destination` is empty".to_owned()),
        name => Ok(name.replace('/', ".")),
    }
}
