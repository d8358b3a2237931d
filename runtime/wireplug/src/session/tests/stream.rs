//! Streams that the codec cuts itself, and TLS in the middle of them.

use super::rig::{Rig, Setup, at};
use crate::codec::Violation;
use crate::session::{CloseReason, Message};
use wireplug_core::framing::SplitError;

fn rig() -> Rig {
    Rig::established_with(Setup::framer())
}

fn fault(violation: Violation) -> Option<CloseReason> {
    Some(CloseReason::CodecFault(violation.into()))
}

#[test]
fn whole_packets_are_decoded_and_the_rest_comes_again_with_what_follows() {
    let mut rig = rig();
    rig.receive_bytes(b"reply a\nreply b\nrep");
    assert!(rig.machine.is_partial());
    rig.receive_bytes(b"ly c\n");
    assert!(!rig.machine.is_partial());
    assert_eq!(rig.calls(), ["cut 19 bytes at 0", "cut 8 bytes at 0"]);
    assert_eq!(rig.written(), ["a", "b", "c"]);
    let tally = rig.machine.take_tally();
    assert_eq!((tally.packets_in, tally.packets_out, tally.bytes_again), (3, 3, 3));
}

#[test]
fn the_codec_is_called_when_it_has_the_bytes_that_it_needs() {
    let mut rig = rig();
    rig.receive_bytes(b"need 8\nrep");
    for piece in ["l", "y", " ", "a"] {
        rig.receive_bytes(piece.as_bytes());
    }
    assert_eq!(rig.calls(), ["cut 10 bytes at 0"]);
    rig.receive_bytes(b"\n");
    assert_eq!(rig.calls(), ["cut 8 bytes at 0"]);
    assert_eq!(rig.written(), ["a"]);
}

#[test]
fn a_call_has_at_most_256_packets() {
    let mut rig = rig();
    rig.receive_bytes("reply x\n".repeat(600).as_bytes());
    while rig.machine.is_in_batch() {
        rig.machine.decode(at(0));
    }
    assert_eq!(rig.calls(), ["cut 4800 bytes at 0", "cut 2752 bytes at 0", "cut 704 bytes at 0"]);
    assert_eq!(rig.written().len(), 600);
}

#[test]
fn bytes_behind_a_hello_wait_for_the_answer() {
    let mut rig = Rig::new(Setup { handshake: true, ..Setup::framer() });
    rig.calls();
    rig.receive_bytes(b"reply a\nhello me\nreply b\nrep");
    assert_eq!((rig.written(), rig.actions()), (vec!["a".to_owned()], vec!["hello me".to_owned()]));
    rig.machine.decode(at(1));
    assert_eq!(rig.calls(), ["cut 28 bytes at 0"]);
    rig.machine.answer(200, b"", at(2));
    rig.machine.decode(at(3));
    assert_eq!(rig.calls(), ["answer 200  at 2", "cut 11 bytes at 3"]);
    assert_eq!(rig.written(), ["b"]);
    rig.receive_bytes(b"ly c\n");
    assert_eq!(rig.written(), ["c"]);
}

#[test]
fn a_packet_longer_than_the_largest_ends_the_session_behind_those_before_it() {
    let mut rig = rig();
    let long = format!("reply a\nreply {}\nreply b\n", "x".repeat(94));
    rig.receive_bytes(long.as_bytes());
    assert_eq!(rig.written(), ["a"]);
    assert_eq!(rig.closed(), Some(SplitError::TooLong { length: 101, max: 100 }.into()));

    let mut rig = self::rig();
    rig.receive_bytes(b"need 101\n");
    assert_eq!(rig.closed(), Some(SplitError::TooLong { length: 101, max: 100 }.into()));
}

#[test]
fn an_answer_that_breaks_the_contract_is_the_codecs_fault() {
    let mut rig = rig();
    rig.receive_bytes(b"reply a\nneed 2\nxx");
    assert_eq!(rig.closed(), fault(Violation::NoProgress));
    rig.calls();
    rig.receive_bytes(b"reply b\n");
    assert!(rig.calls().is_empty());
}

#[test]
fn each_message_holds_whole_packets_where_it_has_to() {
    let setup = || Setup { messages: true, ..Setup::framer() };
    let mut rig = Rig::established_with(setup());
    rig.receive_bytes(b"reply a\nreply b\n");
    rig.receive_bytes(b"reply c\n");
    assert_eq!((rig.written(), rig.closed()), (["a", "b", "c"].map(str::to_owned).into(), None));
    rig.receive_bytes(b"reply d\nrep");
    assert_eq!(rig.written(), ["d"]);
    assert_eq!(rig.closed(), Some(SplitError::PartialMessage.into()));

    // What the codec needs behind a message does not delay a shorter one.
    let mut rig = Rig::established_with(setup());
    rig.receive_bytes(b"need 50\n");
    rig.receive_bytes(b"reply a\n");
    assert_eq!((rig.written(), rig.closed()), (["a".to_owned()].into(), None));

    let mut rig = Rig::established_with(setup());
    rig.receive_bytes(b"");
    assert_eq!(rig.closed(), Some(SplitError::EmptyMessage.into()));
}

#[test]
fn packets_go_out_as_the_codec_made_them() {
    let mut rig = rig();
    rig.receive_bytes(b"bare a\nbare b\nreply c\n");
    assert_eq!(rig.written(), ["abc"]);
}

#[test]
fn a_packet_that_cannot_be_sent_is_the_codecs_fault_because_the_stream_would_lack_it() {
    let mut reply = rig();
    reply.receive_bytes(("reply ".to_owned() + &"x".repeat(93) + "\nreply a\n").as_bytes());
    assert_eq!(reply.closed(), None);
    assert_eq!(reply.written().len(), 2);

    // A line of a hundred bytes, and its end.
    let line = "reply ..................................................\
                ..................................................";
    let mut answer = Rig::new(Setup { handshake: true, answer: line, ..Setup::framer() });
    answer.receive_bytes(b"hello me\n");
    answer.machine.answer(200, b"", at(0));
    assert_eq!(answer.closed(), fault(Violation::Unsendable));

    let mut push = rig();
    push.session.send(Message::push("on", "x".repeat(95))).unwrap();
    push.flush();
    assert_eq!(push.closed(), fault(Violation::Unsendable));
    assert!(push.written().is_empty());
}

#[test]
fn tls_begins_behind_a_packet_and_the_codec_is_called_for_nothing_before_it_is_up() {
    let mut rig = rig();
    rig.receive_bytes(b"timer 5; reply a\nstart-tls\nthe client's TLS");
    assert_eq!((rig.written(), rig.actions()), (vec!["a".to_owned()], vec!["start-tls".to_owned()]));
    assert!(rig.machine.tls_begins());
    assert_eq!(rig.machine.take_tls(), b"the client's TLS");
    let mut more = &b"more TLS"[..];
    rig.machine.receive(&mut more, false, at(0));
    assert_eq!(more, b"more TLS", "it is not the codec's");
    assert_eq!(rig.machine.deadline(), None);
    assert!(!rig.machine.on_time(at(5)));
    rig.calls();

    rig.machine.secured(&[("tls-sni".to_owned(), "host".to_owned())], at(7));
    assert_eq!(rig.calls(), [r#"secured [("tls-sni", "host")] at 7"#]);
    assert_eq!(rig.written(), ["secured"]);
    assert!(!rig.machine.tls_begins());
    assert!(rig.machine.on_time(at(7)), "a timer that was due fires after that");
    rig.receive_bytes(b"reply b\n");
    assert_eq!(rig.written(), ["b"]);
    // TLS begins once in a connection.
    rig.receive_bytes(b"start-tls\n");
    assert_eq!(rig.closed(), fault(Violation::StartTls));
}
