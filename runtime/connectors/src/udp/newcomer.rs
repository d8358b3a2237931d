//! A client that has just got a session.

use std::io;

use futures_util::FutureExt as _;

use super::peer::Peer;
use crate::{Incoming, Opened, RateMeter, Socket, bind};

/// A client that the server has not accepted yet.
pub(super) struct Newcomer {
    pub(super) peer: Peer,
    pub(super) meter: RateMeter,
}

impl Newcomer {
    /// Returns the client as a connector hands it out.
    pub(super) fn into_incoming(self) -> Incoming {
        let address = bind::of_client(self.peer.address()).to_string();
        let open = async move {
            // When this future runs, the server has admitted the client.
            self.peer.welcome();
            Ok::<_, io::Error>(self.into_opened())
        };
        Incoming { address, behind_proxy: false, open: open.boxed(), turn_away: None }
    }

    /// Returns the client, whose session is open.
    pub(super) fn into_opened(self) -> Opened {
        Opened {
            transport: "udp",
            client: None,
            attributes: Vec::new(),
            meter: Some(self.meter),
            starttls: None,
            socket: Socket::Messages(Box::new(self.peer)),
        }
    }
}
