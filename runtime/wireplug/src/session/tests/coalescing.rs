//! Codecs of which a packet may carry several messages.

use super::rig::{Rig, Setup};

fn rig() -> Rig {
    Rig::established_with(Setup { coalesces: true, ..Setup::default() })
}

#[test]
fn a_packet_may_carry_several_messages() {
    let mut rig = rig();
    rig.push("a");
    rig.respond(1, "b");
    rig.push("formless");
    rig.respond(2, "c");
    rig.flush();
    assert_eq!(rig.written(), ["- on 200 a + 1 route 200 b + 2 route 200 c"]);
    let tally = rig.machine.take_tally();
    assert_eq!((tally.packets_out, tally.refused), (1, 0));
}

#[test]
fn every_response_in_a_packet_that_cannot_be_sent_is_encoded_once_more_as_failed() {
    let mut rig = rig();
    rig.push("a");
    rig.respond(1, "two\nlines");
    rig.respond(2, "b");
    rig.flush();
    assert_eq!(rig.calls(), ["encode 3", "encode 2"]);
    assert_eq!(rig.written(), ["1 route 500 + 2 route 500"]);
    let tally = rig.machine.take_tally();
    assert_eq!((tally.messages_out, tally.packets_out, tally.refused), (2, 1, 3));
}

#[test]
fn a_refused_message_is_in_no_packet_and_counts_once() {
    let mut rig = rig();
    rig.push("a");
    rig.push("refuse");
    rig.push("c");
    rig.flush();
    assert_eq!(rig.written(), ["- on 200 a + - on 200 c"]);
    let tally = rig.machine.take_tally();
    assert_eq!((tally.messages_out, tally.packets_out, tally.refused), (2, 1, 1));

    rig.push("two\nlines");
    rig.respond(1, "refuse");
    rig.push("c");
    rig.flush();
    assert_eq!(rig.written(), ["1 route 500"]);
    let tally = rig.machine.take_tally();
    assert_eq!((tally.messages_out, tally.packets_out, tally.refused), (1, 1, 3));
}

#[test]
fn a_response_that_acknowledges_is_alone_in_its_packet() {
    let mut rig = Rig::established_with(Setup { coalesces: true, messages: true, ..Setup::default() });
    rig.machine.want_ack(3);
    rig.receive(&["request 7 a b"]);
    rig.push("a");
    rig.respond(7, "b");
    rig.push("c");
    rig.flush();
    assert_eq!(rig.written(), ["- on 200 a", "7 route 200 b", "- on 200 c"]);
}
