//! A codec learns that the runtime gave up on a request to the client.

use super::*;
use crate::codec::Abilities;

#[test]
fn a_codec_learns_of_an_abandoned_request() {
    let mut rig = Rig::established_with(&Script::with_client_requests());
    rig.encode(&[request(7, "a")]).unwrap();
    rig.taken();
    rig.abandoned(7).unwrap();
    assert_eq!(rig.taken(), ["reply \"abandoned 7\""]);
}

#[test]
fn a_codec_without_requests_or_with_an_ended_session_does_not() {
    let mut rig = Rig::established();
    rig.replace(&Script { abilities: Abilities::default(), ..Script::default() }, 0);
    assert_eq!(rig.abandoned(7), not_allowed(NotAllowed::Interface("requests")));
    let mut rig = Rig::established();
    rig.decode(&["close 0 a"], 0).unwrap();
    assert_eq!(rig.abandoned(7), not_allowed(NotAllowed::Ended));
}
