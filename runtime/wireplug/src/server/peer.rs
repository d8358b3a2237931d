//! A client as its codec sees it.

use crate::codec::Peer;
use crate::session::ClientInfo;

/// Returns a client as a codec sees it, with fresh entropy.
pub(super) fn peer_of(client: &ClientInfo) -> Peer {
    let ClientInfo { transport, address, attributes } = client;
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).expect("the operating system has entropy");
    Peer { transport: transport.clone(), address: address.clone(), entropy, attributes: attributes.clone() }
}
