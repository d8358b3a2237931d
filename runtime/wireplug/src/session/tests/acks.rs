//! Acknowledgements: a message that wants one gets one, and a request is acknowledged by its
//! response.

use super::rig::{Rig, Setup, at};
use crate::session::{Outgoing, Output};

fn rig() -> Rig {
    Rig::established_with(Setup { messages: true, ..Setup::default() })
}

/// Receives one message that the client wants acknowledged.
fn receive(rig: &mut Rig, ack: u64, packet: &str) {
    rig.machine.want_ack(ack);
    rig.receive(&[packet]);
}

/// Returns the output since the last call, as `ACK: PACKET`. Either part may be missing.
fn written(rig: &mut Rig) -> Vec<String> {
    let Output::Messages(output) = rig.machine.output() else { unreachable!() };
    let all = std::iter::from_fn(|| output.pop()).map(|Outgoing { message, ack, .. }| {
        let ack = ack.map(|ack| format!("{ack}: ")).unwrap_or_default();
        let packet = message.map(|message| String::from_utf8(message.into()).unwrap()).unwrap_or_default();
        format!("{ack}{}", packet.trim_end())
    });
    let all = all.collect();
    assert_eq!(rig.machine.output().len(), 0);
    all
}

#[test]
fn a_request_is_acknowledged_by_its_response_alone() {
    let mut rig = rig();
    receive(&mut rig, 3, "request 7 a b");
    rig.receive(&["request 8 a b"]);
    assert!(written(&mut rig).is_empty());
    rig.push("one");
    rig.respond(7, "seven");
    rig.respond(8, "eight");
    rig.push("two");
    rig.calls();
    rig.flush();
    assert_eq!(rig.calls(), ["encode 1", "encode 1", "encode 2"]);
    let all = ["- on 200 one", "3: 7 route 200 seven", "8 route 200 eight", "- on 200 two"];
    assert_eq!(written(&mut rig), all);
    // It is sent once.
    rig.respond(7, "again");
    rig.flush();
    assert_eq!(written(&mut rig), ["7 route 200 again"]);
}

#[test]
fn what_has_no_response_is_acknowledged_when_it_is_decoded() {
    let mut rig = rig();
    for (ack, packet) in [(1, "notice a b"), (2, "rejected bad"), (3, ""), (4, "reply pong")] {
        receive(&mut rig, ack, packet);
        let mut written = written(&mut rig);
        assert_eq!(written.pop(), Some(format!("{ack}: ")), "{packet}");
        let replies: &[&str] = if ack == 4 { &["pong"] } else { &[] };
        assert_eq!(written, replies, "{packet}");
    }
    // Only the first of several requests gets it.
    receive(&mut rig, 5, "request 1 a b; request 2 a b");
    rig.respond(2, "b");
    rig.respond(1, "a");
    rig.flush();
    assert_eq!(written(&mut rig), ["2 route 200 b", "5: 1 route 200 a"]);
}

#[test]
fn the_first_packet_of_a_response_acknowledges() {
    let mut rig = rig();
    receive(&mut rig, 1, "request 7 a b");
    rig.respond(7, "x|y|z");
    rig.flush();
    assert_eq!(written(&mut rig), ["1: 7 route 200 x", "7 route 200 y", "7 route 200 z"]);
}

#[test]
fn a_response_that_cannot_be_encoded_acknowledges_as_failed() {
    let mut rig = rig();
    for (ack, body) in [(1, "refuse"), (2, "two\nlines"), (3, "a|two\nlines"), (4, "formless")] {
        receive(&mut rig, ack, "request 7 a b");
        rig.respond(7, body);
        rig.flush();
        let expected = if body == "formless" { format!("{ack}: ") } else { format!("{ack}: 7 route 500") };
        assert_eq!(written(&mut rig), [expected], "{body}");
    }
    // The codec refuses the response with status 500 too.
    receive(&mut rig, 5, "request 7 a b");
    rig.respond_on("never", 7, "x");
    rig.flush();
    assert_eq!(written(&mut rig), ["5: "]);
}

/// If two requests have the same id, the first response is the response to the first request.
#[test]
fn an_id_may_come_twice() {
    let mut rig = rig();
    receive(&mut rig, 1, "request 7 a b");
    receive(&mut rig, 2, "request 7 a b");
    rig.respond(7, "x");
    rig.respond(7, "y");
    rig.flush();
    assert_eq!(written(&mut rig), ["1: 7 route 200 x", "2: 7 route 200 y"]);
}

#[test]
fn a_message_with_a_packet_behind_a_hello_is_acknowledged_when_that_packet_is_decoded() {
    let mut rig = Rig::new(Setup { messages: true, handshake: true, ..Setup::default() });
    receive(&mut rig, 1, "hello me");
    assert_eq!(written(&mut rig), ["1: "], "nothing stands behind the hello");
    rig.machine.answer(200, b"", at(0));

    let mut rig = Rig::new(Setup { messages: true, handshake: true, ..Setup::default() });
    receive(&mut rig, 1, "hello me\nreply a");
    assert!(written(&mut rig).is_empty());
    rig.machine.answer(200, b"", at(0));
    rig.machine.decode(at(0));
    assert_eq!(written(&mut rig), ["a", "1: "]);
}
