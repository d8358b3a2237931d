//! The channels and patterns that a client has subscribed to, and their confirmations.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wireplug_guest::Packets;

use crate::command::Arguments;
use crate::write::{self, Protocol};

/// The largest number of channels and patterns of a client. Each is kept in its sandbox.
pub(crate) const MAX_NAMES: usize = 1024;

/// The longest name of a channel or a pattern, in bytes.
pub(crate) const MAX_NAME: usize = 256;

/// What a client subscribes to.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) enum Kind {
    Channel,
    Pattern,
}

/// The subscriptions that were confirmed.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Subscriptions {
    channels: BTreeSet<Vec<u8>>,
    patterns: BTreeSet<Vec<u8>>,
}

impl Subscriptions {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    pub(crate) fn contains(&self, kind: Kind, name: &[u8]) -> bool {
        self.names(kind).contains(name)
    }

    /// Returns whether there is room for these names.
    pub(crate) fn have_room(&self, kind: Kind, names: Arguments<'_>) -> bool {
        let new = names.filter(|name| !self.contains(kind, name)).count();
        self.len() + new <= MAX_NAMES
    }

    /// Adds names, and writes a confirmation for each.
    pub(crate) fn add(
        &mut self,
        kind: Kind,
        names: Arguments<'_>,
        protocol: Protocol,
        packets: &mut Packets<'_>,
    ) {
        let verb = match kind {
            Kind::Channel => "subscribe",
            Kind::Pattern => "psubscribe",
        };
        for name in names {
            self.names_mut(kind).insert(name.to_vec());
            self.confirm(verb, Some(name), protocol, packets);
        }
    }

    /// Removes names, or all names if there are none, and writes a confirmation for each.
    pub(crate) fn remove(
        &mut self,
        kind: Kind,
        names: Arguments<'_>,
        protocol: Protocol,
        packets: &mut Packets<'_>,
    ) {
        let verb = match kind {
            Kind::Channel => "unsubscribe",
            Kind::Pattern => "punsubscribe",
        };
        if names.clone().next().is_some() {
            for name in names {
                self.names_mut(kind).remove(name);
                self.confirm(verb, Some(name), protocol, packets);
            }
        } else if self.names(kind).is_empty() {
            self.confirm(verb, None, protocol, packets);
        } else {
            while let Some(name) = self.names_mut(kind).pop_first() {
                self.confirm(verb, Some(&name), protocol, packets);
            }
        }
    }

    /// Writes a confirmation, with the number of subscriptions that the client has now.
    fn confirm(&self, verb: &str, name: Option<&[u8]>, protocol: Protocol, packets: &mut Packets<'_>) {
        let mut packet = packets.begin();
        let out = packet.buffer();
        write::head(out, protocol.push(), 3);
        write::bulk(out, verb.as_bytes());
        match name {
            Some(name) => write::bulk(out, name),
            None => write::null(out, protocol),
        }
        write::head(out, b':', self.len());
    }

    fn names(&self, kind: Kind) -> &BTreeSet<Vec<u8>> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
        }
    }

    fn names_mut(&mut self, kind: Kind) -> &mut BTreeSet<Vec<u8>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }
}
