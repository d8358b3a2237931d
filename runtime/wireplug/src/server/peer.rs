//! A client as its codec sees it.

use crate::codec::{Carrier, Description, Peer};
use crate::session::ClientInfo;

/// The properties of a connection that every codec of it sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) carrier: Carrier,
    /// The largest packet that the listener allows, in bytes.
    pub(super) max_packet: usize,
}

impl Link {
    /// Returns a client as a codec with this description sees it, with a fresh random seed.
    pub(super) fn peer(&self, client: &ClientInfo, description: &Description) -> Peer {
        let ClientInfo { transport, address, attributes } = client;
        let mut random_seed = [0; 32];
        getrandom::fill(&mut random_seed).expect("the operating system has random bytes");
        let max_packet = description.max_packet(self.max_packet);
        Peer {
            carrier: self.carrier,
            transport: transport.clone(),
            address: address.clone(),
            dialed: false,
            max_packet: u32::try_from(max_packet).unwrap_or(u32::MAX),
            random_seed,
            attributes: attributes.clone(),
        }
    }
}
