//! Requests to the client, and responses from it, need the codec's `client-requests`.

use super::*;
use crate::codec::Role;
use crate::codec::driver::Disposition;

#[test]
fn a_response_from_the_client_needs_client_requests() {
    let mut rig = Rig::established();
    let missing = violation(Violation::StrayResponse);
    assert_eq!(rig.decode(&["request 1 r; response 1 200 a"], 0), missing);
    assert_eq!(rig.taken(), ["0 request 1 r \"\""]);

    let mut rig = Rig::established_with(&Script::with_client_requests());
    assert_eq!(rig.decode(&["response 1 200 a; response 2 599 b"], 0), Ok(1));
    assert_eq!(rig.taken(), ["0 response 1 200 \"a\"", "0 response 2 599 \"b\""]);
}

#[test]
fn a_request_to_the_client_needs_client_requests() {
    let mut rig = Rig::established();
    let messages = [push("a"), request(1, "b"), response(1, "c")];
    assert_eq!(rig.encode(&messages), not_allowed(NotAllowed::ClientRequests));
    assert!(rig.taken().is_empty(), "the codec was not called");
    assert!(rig.driver.is_working());

    let mut rig = Rig::established_with(&Script::with_client_requests());
    assert_eq!(rig.encode(&messages), Ok(0));
    assert_eq!(
        rig.taken(),
        ["0..1 notice 0 on 200 at 0: a", "1..2 request 1 ask 200 at 0: b", "2..3 response 1 a 200 at 0: c"]
    );
}

#[test]
fn the_description_of_the_codec_at_work_counts() {
    let mut rig = Rig::established();
    rig.replace(&Script::with_client_requests(), 0);
    assert_eq!(rig.encode(&[request(1, "a")]), Ok(0));
    assert_eq!(rig.decode(&["response 1 200 a"], 0), Ok(1));
    rig.replace(&Script::default(), 0);
    assert_eq!(rig.encode(&[request(1, "a")]), not_allowed(NotAllowed::ClientRequests));
    assert_eq!(rig.decode(&["response 1 200 a"], 0), violation(Violation::StrayResponse));
}

#[test]
fn a_request_to_the_client_without_a_packet_is_not_encoded_again() {
    let mut rig = Rig::established_with(&Script::with_client_requests());
    rig.unsendable = ": two";
    assert_eq!(rig.encode(&[request(1, "refuse"), request(2, "two")]), Ok(0));
    assert_eq!(rig.taken(), ["0 refused: not this", "1..2 request 2 ask 200 at 0: two"]);
}

#[test]
fn a_request_to_the_client_without_a_form_is_refused() {
    let mut rig = Rig::established_with(&Script::with_client_requests());
    let messages = [push("formless"), request(1, "formless"), response(2, "formless"), request(3, "d")];
    assert_eq!(rig.encode(&messages), Ok(0));
    assert_eq!(
        rig.taken(),
        ["1 refused: the protocol has no form for this request", "3..4 request 3 ask 200 at 0: d"]
    );
}

#[test]
fn a_request_to_a_codec_that_takes_none_is_dropped() {
    let (without, with) = (Rig::established(), Rig::established_with(&Script::with_client_requests()));
    assert_eq!(without.driver.disposition(Role::Request, 1, 100), Disposition::DropUnsupported);
    assert_eq!(without.driver.disposition(Role::Notice, 1, 100), Disposition::Encode);
    assert_eq!(with.driver.disposition(Role::Request, 1, 100), Disposition::Encode);
}
