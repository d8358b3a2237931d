//! The input from the client: packets, events, and their order.

use std::sync::Arc;

use super::rig::{Rig, Setup, at, protocol};
use crate::session::{Action, CloseReason};
use wireplug_core::framing::{Payload, SplitError};

#[test]
fn all_packets_of_one_receive_are_decoded_in_one_call() {
    let mut rig = Rig::established();
    rig.receive(&["reply a", "reply b", "reply c"]);
    assert_eq!(rig.calls(), ["decode 3 at 0"]);
    assert_eq!(rig.written(), ["a", "b", "c"]);
}

#[test]
fn a_call_has_at_most_256_packets() {
    let mut rig = Rig::established();
    let replies: Vec<_> = (0..600).map(|i| format!("reply {i}")).collect();
    rig.receive(&replies.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(rig.calls(), ["decode 256 at 0", "decode 256 at 0", "decode 88 at 0"]);
    assert_eq!(rig.written(), (0..600).map(|i| i.to_string()).collect::<Vec<_>>());
    assert_eq!(rig.machine.take_tally().packets_in, 600);
}

#[test]
fn packets_of_several_messages_are_decoded_in_one_call() {
    let mut rig = Rig::new(Setup { messages: true, ..Setup::default() });
    rig.calls();
    rig.machine.receive(&mut &b"reply a\nreply b\n"[..], false, at(3));
    rig.machine.receive(&mut &b"reply c\n"[..], false, at(3));
    rig.machine.decode(at(4));
    assert_eq!(rig.calls(), ["decode 3 at 4"]);
    assert_eq!(rig.written(), ["a", "b", "c"]);
}

#[test]
fn half_a_packet_is_no_call() {
    let mut rig = Rig::established();
    rig.receive_bytes(b"reply ");
    assert!(rig.calls().is_empty());
    rig.receive_bytes(b"a\n");
    assert_eq!(rig.calls(), ["decode 1 at 0"]);
    assert_eq!(rig.written(), ["a"]);
}

#[test]
fn events_become_actions_in_order() {
    let mut rig = Rig::new(Setup { handshake: true, ..Setup::default() });
    assert!(rig.actions().is_empty() && !rig.machine.is_established());
    rig.receive(&["established; request 1 a x", "notice b y"]);
    assert_eq!(rig.actions(), ["established", "request 1 a x", "notice b y"]);
    assert!(rig.machine.is_established());
    assert_eq!(rig.machine.take_tally().messages_in, 2);
}

#[test]
fn without_a_handshake_a_session_is_established_when_it_opens() {
    let mut rig = Rig::new(Setup::default());
    assert!(rig.machine.is_established());
    assert_eq!(rig.actions(), ["established"]);
}

#[test]
fn the_answer_of_the_application_to_a_hello_reaches_the_codec() {
    let mut rig = Rig::new(Setup { handshake: true, ..Setup::default() });
    rig.receive(&["hello me"]);
    rig.calls();
    rig.machine.answer(200, b"welcome", at(5));
    assert_eq!(rig.calls(), ["answer 200 welcome at 5"]);
    assert_eq!(rig.actions(), ["hello me", "established"]);

    let answer = "reply no; close 0 refused";
    let mut rig = Rig::new(Setup { handshake: true, answer, ..Setup::default() });
    rig.receive(&["hello me"]);
    rig.machine.answer(403, b"", at(5));
    assert_eq!(rig.written(), ["no"]);
    assert_eq!(rig.closed(), protocol("refused"));
}

#[test]
fn a_route_that_is_used_again_is_shared_and_not_copied() {
    let mut rig = Rig::established();
    rig.receive(&["request 1 same x", "request 2 same y", "request 3 other z"]);
    let mut routes = std::iter::from_fn(|| rig.machine.next_action()).map(|action| match action {
        Action::Message { route, .. } => route,
        action => panic!("{action:?}"),
    });
    let (first, second, other) = (routes.next().unwrap(), routes.next().unwrap(), routes.next().unwrap());
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(&*other, "other");
}

#[test]
fn what_follows_the_first_close_is_ignored_and_what_came_before_is_not() {
    for close in ["close 0 done", "fatal done"] {
        let mut rig = Rig::established();
        let packet = format!("request 1 a x; reply last; {close}; request 2 a x; reply late");
        rig.receive(&[&packet, "request 3 a x; reply late; close 0 again"]);
        assert_eq!(rig.actions(), ["request 1 a x"]);
        assert_eq!(rig.written(), ["last"]);
        assert_eq!(rig.closed(), protocol("done"));

        rig.calls();
        rig.receive(&["request 4 a x; close 0 again"]);
        rig.push("of no use any more");
        rig.respond(1, "still owed");
        rig.flush();
        assert!(rig.actions().is_empty());
        assert_eq!(rig.written(), ["1 route 200 still owed"]);
        assert_eq!(rig.calls().len(), 1, "one call, to encode what is owed");
        assert_eq!(rig.closed(), protocol("done"));
    }
}

#[test]
fn what_the_codec_ignores_behind_a_close_may_even_be_wrong() {
    let mut rig = Rig::established();
    rig.receive(&["close 0 done; wrong"]);
    assert_eq!(rig.closed(), protocol("done"));
}

#[test]
fn a_rejected_packet_is_counted_and_the_session_goes_on() {
    let mut rig = Rig::established();
    rig.receive(&["reply a", "rejected nonsense", "reply b"]);
    assert_eq!(rig.written(), ["a", "b"]);
    assert_eq!(rig.machine.take_tally().rejected, 1);
    assert_eq!(rig.closed(), None);
}

#[test]
fn a_reply_that_cannot_be_framed_is_counted_and_the_session_goes_on() {
    let mut rig = Rig::established();
    rig.receive(&["reply a; reply two|lines; reply b"]);
    assert_eq!(rig.written(), ["a", "b"]);
    let tally = rig.machine.take_tally();
    assert_eq!((tally.refused, tally.packets_out), (1, 2));
    assert_eq!(rig.closed(), None);
}

#[test]
fn packets_before_a_framing_error_are_delivered() {
    let mut rig = Rig::established();
    let too_long = "x".repeat(101) + "\n";
    rig.receive_bytes(("request 1 a x\nreply b\n".to_owned() + &too_long + "reply lost\n").as_bytes());
    assert_eq!(rig.calls(), ["decode 2 at 0"]);
    assert_eq!(rig.actions(), ["request 1 a x"]);
    assert_eq!(rig.written(), ["b"]);
    assert_eq!(rig.closed(), Some(CloseReason::Framing(SplitError::TooLong { length: 101, max: 100 })));

    // The client's request is still answered, but nothing more is read.
    rig.receive(&["reply lost"]);
    rig.respond(1, "answer");
    rig.flush();
    assert_eq!(rig.calls(), ["encode 1"]);
    assert_eq!(rig.written(), ["1 route 200 answer"]);
}

#[test]
fn packets_before_half_a_packet_in_a_message_are_delivered() {
    let mut rig = Rig::new(Setup { messages: true, ..Setup::default() });
    rig.receive_bytes(b"reply a\nreply b");
    assert_eq!(rig.written(), ["a"]);
    assert_eq!(rig.closed(), Some(SplitError::PartialMessage.into()));
}

#[test]
fn what_is_no_text_does_not_reach_a_codec_for_text() {
    let mut rig = Rig::new(Setup { payload: Payload::Text, ..Setup::default() });
    // The codec of these tests would panic at it.
    rig.receive_bytes(b"reply a\n\xff\n");
    assert_eq!(rig.written(), ["a"]);
    assert_eq!(rig.closed(), Some(SplitError::NotText.into()));
}

#[test]
fn a_close_in_a_packet_before_a_framing_error_is_the_reason() {
    let mut rig = Rig::established();
    rig.receive_bytes(("close 0 done\n".to_owned() + &"x".repeat(101)).as_bytes());
    assert_eq!(rig.closed(), protocol("done"));
}

#[test]
fn a_codec_without_batches_is_asked_about_one_packet_at_a_time() {
    let mut rig = Rig::new(Setup::called_singly());
    rig.calls();
    let packets: Vec<String> = (0..10).map(|n| format!("reply {n}")).collect();
    let lines = packets.join("\n") + "\n";
    rig.machine.receive(&mut lines.as_bytes(), false, at(0));
    rig.machine.decode(at(0));
    assert_eq!((rig.calls(), rig.machine.is_in_batch()), (vec!["decode 1 at 0".to_owned()], true));
    // Nothing is received until all of them are decoded.
    let mut more = &b"reply more\n"[..];
    rig.machine.receive(&mut more, false, at(0));
    assert_eq!(more, b"reply more\n");
    while rig.machine.is_in_batch() {
        rig.machine.decode(at(5));
    }
    assert_eq!(rig.calls(), ["decode 1 at 5"; 9]);
    rig.receive_bytes(more);
    let mut expected: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    expected.push("more".to_owned());
    assert_eq!(rig.written(), expected);
    assert_eq!(rig.machine.take_tally().packets_in, 11);
}

#[test]
fn what_is_not_decoded_yet_is_valid_where_the_framing_breaks_behind_it() {
    let mut rig = Rig::new(Setup::called_singly());
    let lines = "reply x\n".repeat(6) + &"y".repeat(200);
    rig.machine.receive(&mut lines.as_bytes(), false, at(0));
    assert_eq!((rig.written().len(), rig.closed()), (1, None));
    while rig.machine.is_in_batch() {
        rig.machine.decode(at(0));
    }
    assert_eq!(rig.written().len(), 5);
    assert!(matches!(rig.closed(), Some(CloseReason::Framing(_))));
}

#[test]
fn what_is_not_decoded_yet_is_for_the_next_codec_and_ends_with_the_session() {
    let mut rig = Rig::new(Setup::called_singly());
    rig.machine.receive(&mut "reply x\n".repeat(6).as_bytes(), false, at(0));
    rig.machine.decode(at(0));
    rig.replace_codec(Setup::called_singly());
    while rig.machine.is_in_batch() {
        rig.machine.decode(at(0));
    }
    assert_eq!((rig.calls(), rig.written().len()), (vec!["decode 1 at 0".to_owned(); 5], 6));

    let lines = "close 0 done\n".to_owned() + &"reply x\n".repeat(6);
    rig.machine.receive(&mut lines.as_bytes(), false, at(0));
    rig.machine.decode(at(0));
    rig.calls();
    assert!(!rig.machine.is_in_batch());
    rig.machine.decode(at(0));
    assert!(rig.calls().is_empty());
}

#[test]
fn a_codec_without_batches_is_asked_about_one_message_at_a_time() {
    let mut rig = Rig::new(Setup::called_singly());
    rig.calls();
    (0..6).for_each(|_| rig.push("x"));
    rig.flush();
    assert_eq!(rig.calls(), ["encode 1"; 6]);
}

/// Pieces of a stream that come as messages gather in one batch, so that a packet that runs across
/// them may be whole when there is no room for it any more.
#[test]
fn a_packet_whose_end_comes_behind_a_full_batch_is_decoded() {
    let mut rig = Rig::established();
    let piece = format!("{}reply ", "\n".repeat(256));
    assert!(rig.machine.receive(&mut piece.as_bytes(), false, at(0)));
    assert!(!rig.machine.receive(&mut &b"b\n"[..], false, at(0)));
    rig.machine.decode(at(0));
    assert_eq!(rig.calls(), ["decode 256 at 0", "decode 1 at 0"]);
    assert_eq!(rig.written(), ["b"]);
}
