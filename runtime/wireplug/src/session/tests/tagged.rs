//! Codecs whose packets have tags: each message of the transport is text or binary.

use super::rig::{Rig, Setup, at};
use crate::session::{Outgoing, Output};
use wireplug_core::framing::{Payload, SplitError};

fn rig() -> Rig {
    Rig::established_with(Setup { messages: true, payload: Payload::Tagged, ..Setup::default() })
}

/// Receives one message. The scripted codec replies with the tag of the message.
fn receive(rig: &mut Rig, message: &[u8], is_text: bool) {
    rig.machine.receive(&mut &*message, is_text, at(0));
    rig.machine.decode(at(0));
}

/// Returns the messages since the last call, and whether each is text.
fn written(rig: &mut Rig) -> Vec<(String, bool)> {
    let Output::Messages(output) = rig.machine.output() else { unreachable!() };
    let all = std::iter::from_fn(|| output.pop()).map(|Outgoing { message, is_text, .. }| {
        (String::from_utf8(message.unwrap().into()).unwrap(), is_text)
    });
    all.collect()
}

fn messages<const N: usize>(expected: [(&str, bool); N]) -> Vec<(String, bool)> {
    expected.map(|(message, is_text)| (message.to_owned(), is_text)).into()
}

#[test]
fn each_packet_goes_out_as_its_tag_says() {
    let mut rig = rig();
    receive(&mut rig, b"reply a; reply b", true);
    receive(&mut rig, b"reply c", false);
    rig.push("d");
    receive(&mut rig, b"", true);
    rig.push("e");
    rig.flush();
    let all = [("a", true), ("b", true), ("c", false), ("- on 200 d", true), ("- on 200 e", true)];
    assert_eq!(written(&mut rig), messages(all));
}

#[test]
fn messages_of_both_kinds_are_decoded_in_one_call() {
    let mut rig = rig();
    rig.machine.receive(&mut &b"reply a"[..], true, at(0));
    rig.machine.receive(&mut &b"reply b"[..], false, at(0));
    rig.machine.decode(at(0));
    assert_eq!(rig.calls(), ["decode 2 at 0"]);
    assert_eq!(written(&mut rig), messages([("a", true), ("b", false)]));
}

/// The last one of a batch is empty, so that nothing is left of it but the fact that it came.
#[test]
fn an_empty_message_behind_a_full_batch_is_decoded() {
    for setup in [Setup::default(), Setup::called_singly()] {
        let mut rig = Rig::established_with(Setup { messages: true, payload: Payload::Tagged, ..setup });
        let taken = (0..300).take_while(|_| rig.machine.receive(&mut &b""[..], true, at(0))).count();
        assert_eq!(taken, 256);
        assert!(rig.machine.is_in_batch(), "nothing else is received before it is decoded");
        while rig.machine.is_in_batch() {
            rig.machine.decode(at(0));
        }
        assert_eq!(rig.machine.take_tally().packets_in, 257);
        assert!(rig.machine.receive(&mut &b""[..], true, at(0)));
    }
}

#[test]
fn a_text_message_that_is_no_text_ends_the_session() {
    let mut rig = rig();
    receive(&mut rig, b"reply a", true);
    receive(&mut rig, b"\xff", true);
    assert_eq!(rig.calls(), ["decode 1 at 0"]);
    assert_eq!(written(&mut rig), messages([("a", true)]));
    assert_eq!(rig.closed(), Some(SplitError::NotText.into()));
}

#[test]
fn a_packet_without_a_tag_is_not_sent() {
    let mut rig = rig();
    receive(&mut rig, b"bare no tag; bare \x03wrong; bare \x02right; bare", true);
    assert_eq!(written(&mut rig), messages([("right", false)]));
    assert_eq!(rig.machine.take_tally().refused, 3);
    assert_eq!(rig.closed(), None);
}

#[test]
fn the_tag_counts_towards_no_limit() {
    let mut rig = rig();
    let longest = format!("reply {}", "x".repeat(94));
    receive(&mut rig, longest.as_bytes(), false);
    assert_eq!(written(&mut rig), messages([(&longest[6..], false)]));
    receive(&mut rig, format!("{longest}x").as_bytes(), false);
    assert_eq!(rig.closed(), Some(SplitError::TooLong { length: 101, max: 100 }.into()));
}

#[test]
fn the_text_of_other_payloads_does_not_depend_on_what_comes_in() {
    for (payload, is_text) in [(Payload::Binary, false), (Payload::Text, true)] {
        let mut rig = Rig::established_with(Setup { messages: true, payload, ..Setup::default() });
        for came_as_text in [false, true] {
            receive(&mut rig, b"reply a\n", came_as_text);
            assert_eq!(written(&mut rig), messages([("a\n", is_text)]));
        }
    }
}
