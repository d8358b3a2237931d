//! The output to the client: the order of packets and messages, and what happens to messages that
//! cannot be sent.

use super::rig::{Rig, Setup, at};
use crate::session::Message;

#[test]
fn a_reply_overtakes_the_messages_that_wait() {
    let mut rig = Rig::established();
    rig.push("a");
    rig.receive(&["reply pong"]);
    rig.flush();
    assert_eq!(rig.written(), ["pong", "- on 200 a"]);
}

#[test]
fn a_packet_that_was_made_earlier_stays_first() {
    let mut rig = Rig::established();
    rig.push("a");
    rig.flush();
    rig.receive(&["reply pong"]);
    assert_eq!(rig.written(), ["- on 200 a", "pong"]);
}

#[test]
fn pushes_wait_until_the_session_is_established() {
    let mut rig = Rig::new(Setup { handshake: true, ..Setup::default() });
    rig.calls();
    rig.push("a");
    rig.push("b");
    rig.flush();
    assert!(rig.calls().is_empty() && rig.written().is_empty() && !rig.machine.can_encode());

    rig.receive(&["reply welcome; established"]);
    rig.flush();
    assert_eq!(rig.written(), ["welcome", "- on 200 a", "- on 200 b"]);
}

#[test]
fn messages_go_out_in_the_order_of_the_calls_256_a_call() {
    let mut rig = Rig::established();
    for id in 0..300 {
        if id % 3 == 0 { rig.push("p") } else { rig.respond(id, "r") }
    }
    rig.flush();
    assert_eq!(rig.calls(), ["encode 256", "encode 44"]);
    let expected = |id| if id % 3 == 0 { "- on 200 p".to_owned() } else { format!("{id} route 200 r") };
    assert_eq!(rig.written(), (0..300).map(expected).collect::<Vec<_>>());
    let tally = rig.machine.take_tally();
    assert_eq!((tally.messages_out, tally.packets_out, tally.refused), (300, 300, 0));
}

#[test]
fn a_call_has_no_more_bytes_than_a_batch_may_hold() {
    let mut rig = Rig::new(Setup { max_packet: 40 << 10, ..Setup::default() });
    rig.calls();
    for _ in 0..3 {
        rig.session.send(Message::push("on", "x".repeat(15 << 10))).unwrap();
    }
    rig.flush();
    assert_eq!(rig.calls(), ["encode 2", "encode 1"]);
    assert_eq!(rig.written().len(), 3);
}

#[test]
fn nothing_to_encode_is_no_call() {
    let mut rig = Rig::established();
    rig.flush();
    assert!(rig.calls().is_empty());
}

#[test]
fn a_flush_stops_at_high_water() {
    let mut rig = Rig::established();
    (0..600).for_each(|_| rig.push("x"));
    rig.machine.encode_waiting(0, at(0), || true);
    assert!(rig.calls().is_empty());

    rig.machine.encode_waiting(1, at(0), || true);
    assert_eq!(rig.calls(), ["encode 256"]);
    rig.machine.encode_waiting(1, at(0), || true);
    assert!(rig.calls().is_empty(), "what was encoded is not written yet");

    assert_eq!(rig.written().len(), 256);
    rig.machine.encode_waiting(1, at(0), || true);
    assert_eq!(rig.calls(), ["encode 256"]);
}

#[test]
fn a_flush_that_may_not_go_on_ends_after_one_call() {
    let mut rig = Rig::established();
    (0..600).for_each(|_| rig.push("x"));
    rig.machine.encode_waiting(usize::MAX, at(0), || false);
    assert_eq!((rig.calls().len(), rig.written().len()), (1, 256));
    assert!(rig.session.waiting() > 0);
}

#[test]
fn a_refused_response_is_encoded_once_more_as_failed() {
    let mut rig = Rig::established();
    rig.respond(1, "a");
    rig.respond(2, "refuse");
    rig.respond(3, "c");
    rig.flush();
    assert_eq!(rig.calls(), ["encode 3", "encode 1"]);
    assert_eq!(rig.written(), ["1 route 200 a", "3 route 200 c", "2 route 500"]);
    assert_eq!(rig.machine.take_tally().messages_out, 3);
    assert_eq!(rig.closed(), None);
}

#[test]
fn a_response_that_is_refused_twice_is_given_up() {
    let mut rig = Rig::established();
    rig.respond_on("never", 1, "a");
    rig.flush();
    rig.flush();
    assert_eq!(rig.calls(), ["encode 1", "encode 1"]);
    assert!(rig.written().is_empty());
    assert_eq!(rig.closed(), None);
}

#[test]
fn a_refused_push_is_only_counted() {
    let mut rig = Rig::established();
    rig.push("a");
    rig.push("refuse");
    rig.push("c");
    rig.flush();
    assert_eq!(rig.calls(), ["encode 3"]);
    assert_eq!(rig.written(), ["- on 200 a", "- on 200 c"]);
    let tally = rig.machine.take_tally();
    assert_eq!((tally.refused, tally.messages_out), (1, 2));
}

#[test]
fn a_response_that_cannot_be_framed_is_encoded_once_more_as_failed() {
    let mut rig = Rig::established();
    // The packet belongs to the response, although the messages before it have no packets.
    rig.push("refuse");
    rig.push("refuse");
    rig.respond(1, "two\nlines");
    rig.respond(2, "b");
    rig.flush();
    assert_eq!(rig.calls(), ["encode 4", "encode 1"]);
    assert_eq!(rig.written(), ["2 route 200 b", "1 route 500"]);
    let tally = rig.machine.take_tally();
    assert_eq!((tally.messages_out, tally.packets_out, tally.refused), (2, 2, 3));
}

#[test]
fn a_push_that_cannot_be_framed_is_only_counted() {
    let mut rig = Rig::established();
    rig.push("two\nlines");
    rig.push("b");
    rig.flush();
    assert_eq!(rig.calls(), ["encode 2"]);
    assert_eq!(rig.written(), ["- on 200 b"]);
    let tally = rig.machine.take_tally();
    assert_eq!((tally.messages_out, tally.refused), (1, 1));
}

#[test]
fn a_message_without_a_form_on_the_wire_is_no_failure() {
    let mut rig = Rig::established();
    rig.respond(1, "formless");
    rig.push("b");
    rig.flush();
    assert_eq!(rig.calls(), ["encode 2"]);
    assert_eq!(rig.written(), ["- on 200 b"]);
    assert_eq!(rig.machine.take_tally().refused, 0);
}

#[test]
fn a_packet_that_cannot_be_framed_is_charged_to_its_own_message_also_beside_those_without_a_form() {
    let mut rig = Rig::established();
    rig.push("formless");
    rig.respond(1, "two\nlines");
    rig.respond(2, "formless");
    rig.respond(3, "c");
    rig.flush();
    assert_eq!(rig.calls(), ["encode 4", "encode 1"]);
    assert_eq!(rig.written(), ["3 route 200 c", "1 route 500"]);
    let tally = rig.machine.take_tally();
    assert_eq!((tally.messages_out, tally.packets_out, tally.refused), (2, 2, 1));
}

#[test]
fn a_message_may_have_several_packets() {
    for messages in [false, true] {
        let mut rig = Rig::established_with(Setup { messages, ..Setup::default() });
        rig.push("a|b|c");
        rig.respond(1, "d|e");
        rig.flush();
        let all = ["- on 200 a", "- on 200 b", "- on 200 c", "1 route 200 d", "1 route 200 e"];
        assert_eq!(rig.written(), all);
        let tally = rig.machine.take_tally();
        assert_eq!((tally.messages_out, tally.packets_out), (2, 5));
    }
}

#[test]
fn the_packets_of_a_message_are_sent_together_or_not_at_all() {
    for messages in [false, true] {
        for body in ["two\nlines|b|c", "a|two\nlines|c", "a|b|two\nlines"] {
            let mut rig = Rig::established_with(Setup { messages, ..Setup::default() });
            rig.push(body);
            rig.respond(1, body);
            rig.push("x");
            rig.flush();
            assert_eq!(rig.calls(), ["encode 3", "encode 1"]);
            assert_eq!(rig.written(), ["- on 200 x", "1 route 500"], "{body}");
            let tally = rig.machine.take_tally();
            assert_eq!((tally.messages_out, tally.packets_out, tally.refused), (2, 2, 2));
        }
    }
}

#[test]
fn a_status_that_the_contract_does_not_have_becomes_500() {
    let mut rig = Rig::established();
    for (id, status) in [(1, 99), (2, 100), (3, 599), (4, 600), (5, 0)] {
        rig.session.respond(Message::response(id, "r".into(), status, "x".into()));
    }
    rig.flush();
    assert_eq!(rig.written(), ["1 r 500 x", "2 r 100 x", "3 r 599 x", "4 r 500 x", "5 r 500 x"]);
}

#[test]
fn a_body_over_the_largest_packet_never_reaches_the_codec() {
    let mut rig = Rig::established();
    let too_large = || Message::push("on", "x".repeat(101));
    rig.session.send(too_large()).unwrap();
    rig.flush();
    assert!(rig.calls().is_empty());
    assert_eq!(rig.machine.take_tally().refused, 1);

    let Message { route, body, .. } = too_large();
    rig.session.respond(Message::response(1, route, 200, body));
    rig.session.send(too_large()).unwrap();
    rig.push("b");
    rig.flush();
    assert_eq!(rig.calls(), ["encode 2"]);
    assert_eq!(rig.written(), ["1 on 500", "- on 200 b"]);
    assert_eq!(rig.machine.take_tally().refused, 2);
}

#[test]
fn on_a_message_transport_each_packet_is_a_message() {
    let mut rig = Rig::new(Setup { messages: true, ..Setup::default() });
    rig.push("a");
    rig.push("b");
    rig.flush();
    let crate::session::Output::Messages(output) = rig.machine.output() else { unreachable!() };
    assert_eq!(output.pop().unwrap().message.unwrap(), "- on 200 a\n");
    assert_eq!(output.pop().unwrap().message.unwrap(), "- on 200 b\n");
    assert!(output.is_empty());
}
