//! Which packet belongs to which message, and which responses are encoded once more.

use super::*;
use crate::codec::Role;
use crate::codec::driver::Disposition;

#[test]
fn responses_without_a_packet_are_encoded_once_more_as_failed() {
    let mut rig = Rig::established();
    rig.unsendable = ": two";
    let messages = [response(1, "refuse"), push("refuse"), response(2, "two"), push("two"), response(3, "c")];
    assert_eq!(rig.encode(&messages), Ok(2));
    assert_eq!(
        rig.taken(),
        [
            "0 refused: not this",
            "1 refused: not this",
            "2..3 response 2 a 200 at 0: two",
            "3..4 notice 0 on 200 at 0: two",
            "4..5 response 3 a 200 at 0: c",
            "0..1 response 1 a 500 at 0: ",
            "1..2 response 2 a 500 at 0: ",
        ]
    );
}

#[test]
fn the_packets_of_a_message_come_together() {
    let mut rig = Rig::established();
    assert_eq!(rig.encode(&[push("a|b|c"), push("formless"), push("d")]), Ok(0));
    assert_eq!(
        rig.taken(),
        [
            "0..1 notice 0 on 200 at 0: a | notice 0 on 200 at 0: b | notice 0 on 200 at 0: c",
            "2..3 notice 0 on 200 at 0: d",
        ]
    );
}

#[test]
fn a_response_of_which_one_packet_cannot_be_sent_is_encoded_once_more_as_failed() {
    for body in ["bad|b", "a|bad", "a|bad|c"] {
        let mut rig = Rig::established();
        rig.unsendable = "bad";
        assert_eq!(rig.encode(&[response(1, "x"), response(2, body), response(3, "y")]), Ok(1));
        let taken = rig.taken();
        assert_eq!(taken.len(), 4, "{taken:?}");
        assert_eq!(taken[2], "2..3 response 3 a 200 at 0: y");
        assert_eq!(taken[3], "0..1 response 2 a 500 at 0: ");
    }
}

#[test]
fn a_packet_that_cannot_be_sent_is_charged_to_its_own_message_also_beside_those_without_a_form() {
    let mut rig = Rig::established();
    rig.unsendable = ": two";
    let messages = [response(1, "formless"), response(2, "two"), response(3, "formless"), response(4, "d")];
    assert_eq!(rig.encode(&messages), Ok(1));
    assert_eq!(
        rig.taken(),
        ["1..2 response 2 a 200 at 0: two", "3..4 response 4 a 200 at 0: d", "0..1 response 2 a 500 at 0: ",]
    );
}

#[test]
fn a_response_that_fails_twice_is_given_up() {
    let mut rig = Rig::established();
    rig.unsendable = "response";
    assert_eq!(rig.encode(&[response(1, "a")]), Ok(1));
    assert_eq!(rig.taken(), ["0..1 response 1 a 200 at 0: a", "0..1 response 1 a 500 at 0: "]);
    assert!(rig.driver.is_working());
}

#[test]
fn a_coalesced_packet_carries_the_messages_behind_the_packet_before_it() {
    let mut rig = Rig::established_with(&Script::coalescing());
    let messages = [push("a"), response(1, "b;"), response(2, "formless"), push("c"), push("formless")];
    assert_eq!(rig.encode(&messages), Ok(0));
    assert_eq!(
        rig.taken(),
        [
            "0..2 notice 0 on 200 at 0: a + response 1 a 200 at 0: b;",
            // The last message has no form.
            "2..4 notice 0 on 200 at 0: c",
        ]
    );
}

#[test]
fn every_response_in_a_coalesced_packet_that_cannot_be_sent_is_encoded_once_more_as_failed() {
    let mut rig = Rig::established_with(&Script::coalescing());
    rig.unsendable = "bad";
    let messages =
        [push("a"), response(1, "bad"), response(2, "refuse"), response(3, "c;"), response(4, "d")];
    assert_eq!(rig.encode(&messages), Ok(3));
    assert_eq!(
        rig.taken(),
        [
            "2 refused: not this",
            "0..4 notice 0 on 200 at 0: a + response 1 a 200 at 0: bad + response 3 a 200 at 0: c;",
            "4..5 response 4 a 200 at 0: d",
            "0..3 response 1 a 500 at 0:  + response 2 a 500 at 0:  + response 3 a 500 at 0: ",
        ]
    );
}

#[test]
fn packets_of_one_source_come_together_also_if_the_codec_coalesces() {
    let mut rig = Rig::established_with(&Script::coalescing());
    assert_eq!(rig.encode(&[push("a"), push("b;|c;"), push("d")]), Ok(0));
    assert_eq!(
        rig.taken(),
        [
            "0..2 notice 0 on 200 at 0: a + notice 0 on 200 at 0: b; | notice 0 on 200 at 0: c;",
            "2..3 notice 0 on 200 at 0: d",
        ]
    );
}

#[test]
fn whether_packets_are_coalesced_follows_the_codec_at_work() {
    let mut rig = Rig::established();
    rig.replace(&Script::coalescing(), 0);
    assert_eq!(rig.encode(&[push("a"), push("b")]), Ok(0));
    assert_eq!(rig.taken(), ["0..2 notice 0 on 200 at 0: a + notice 0 on 200 at 0: b"]);
}

#[test]
fn an_answer_to_messages_is_checked() {
    let mut rig = Rig::established();
    assert_eq!(rig.encode(&[push("a"), push("unsourced")]), violation(Violation::Sources));
    assert!(rig.taken().is_empty());
    assert_eq!(rig.encode(&[push("x")]), not_allowed(NotAllowed::Over));
}

#[test]
fn a_body_that_no_packet_can_hold_is_failed_or_dropped() {
    let rig = Rig::established_with(&Script::with_client_requests());
    assert_eq!(rig.driver.disposition(Role::Response, 101, 100), Disposition::EncodeAsFailed);
    for role in [Role::Notice, Role::Request] {
        assert_eq!(rig.driver.disposition(role, 101, 100), Disposition::DropTooLarge);
        assert_eq!(rig.driver.disposition(role, 100, 100), Disposition::Encode);
    }
}
