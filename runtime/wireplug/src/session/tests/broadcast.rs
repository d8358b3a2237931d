//! Pushes to many: the receiver that flushes first encodes them, and they keep their place among
//! the other messages.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use super::rig::{Rig, Setup};
use super::script::trap;
use crate::codec::{Codec, CodecError, CodecSession, Description, Instant, MessageRef, Peer, Role, Sharing};
use crate::config::Overflow;
use crate::session::broadcast;
use crate::session::fan_out::send_to_all;
use crate::session::{BroadcastClass, ClientInfo, Message, Output, Session, SessionId, Sessions};
use wireplug_core::framing::{Packets, Payload};

/// A codec that only makes shared encodings. It shares an encoding from two receivers on, for at
/// most two classes of each push.
pub(super) struct Sharer {
    description: Description,
    pub(super) encoded: AtomicUsize,
    /// If set, an encoding waits until it receives from this channel.
    pub(super) release: Mutex<Option<Receiver<()>>>,
}

impl Default for Sharer {
    fn default() -> Self {
        let description = Description {
            name: "sharer".into(),
            version: String::new(),
            framing: None,
            messages: None,
            payload: Payload::Binary,
            json: false,
            handshake: false,
            client_requests: 0,
            coalesces: false,
            max_packet: None,
        };
        Self { description, encoded: AtomicUsize::new(0), release: Mutex::new(None) }
    }
}

impl Codec for Sharer {
    fn description(&self) -> &Description {
        &self.description
    }

    fn open(&self, _peer: Peer, _now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        unreachable!("the rig opens sessions itself")
    }

    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Packets, CodecError> {
        assert_eq!((message.role, message.id, message.status), (Role::Notice, 0, 200));
        if let Some(release) = &*self.release.lock().unwrap() {
            release.recv().unwrap();
        }
        self.encoded.fetch_add(1, Ordering::Relaxed);
        let mut packets = Packets::new();
        match str::from_utf8(message.body).unwrap() {
            "trap" => return Err(trap()),
            "formless" => {}
            body => {
                let packet = |part: &str| format!("to class {class}: {part}");
                body.split('|').for_each(|part| packets.push(packet(part).as_bytes()));
            }
        }
        Ok(packets)
    }

    fn sharing(&self) -> Sharing {
        Sharing { min_receivers: 2, max_classes: 2 }
    }
}

/// Returns sessions that share encodings of this codec, one for each of the classes.
pub(super) fn rigs(codec: &Arc<Sharer>, classes: &[u32]) -> Vec<Rig> {
    classes.iter().map(|class| rig(codec, *class)).collect()
}

fn rig(codec: &Arc<Sharer>, class: u32) -> Rig {
    let rig = Rig::established();
    share(&rig.session, codec, class);
    rig
}

pub(super) fn share(session: &Session, codec: &Arc<Sharer>, class: u32) {
    session.set_broadcast_class(Some(BroadcastClass { codec: Arc::clone(codec) as Arc<dyn Codec>, class }));
}

pub(super) fn push(rigs: &[Rig], body: &'static str) {
    let sessions = || rigs.iter().map(|rig| &rig.session);
    assert_eq!(send_to_all(sessions, &Message::push("on", body), None), rigs.len());
}

/// Flushes, and returns what was written and the calls of the session's own codec.
fn flush(rig: &mut Rig) -> (Vec<String>, Vec<String>) {
    rig.flush();
    (rig.written(), rig.calls())
}

fn written(rig: &mut Rig) -> Vec<String> {
    flush(rig).0
}

#[test]
fn the_first_receiver_encodes_for_its_class_and_the_caller_for_nobody() {
    let codec = Arc::default();
    let mut rigs = rigs(&codec, &[7, 7, 7]);
    push(&rigs, "news");
    assert_eq!(codec.encoded.load(Ordering::Relaxed), 0, "the caller has called no codec");
    for rig in &mut rigs {
        assert_eq!(flush(rig), (vec!["to class 7: news".to_owned()], vec![]));
        let tally = rig.machine.take_tally();
        assert_eq!((tally.packets_out, tally.messages_out), (1, 1));
    }
    assert_eq!(codec.encoded.load(Ordering::Relaxed), 1);
}

#[test]
fn each_class_gets_its_own_bytes_and_small_ones_encode_for_themselves() {
    let codec = Arc::default();
    let mut rigs = rigs(&codec, &[1, 2, 1, 2, 3]);
    push(&rigs, "news");
    let all: Vec<_> = rigs.iter_mut().map(flush).collect();
    let texts: Vec<_> = all.iter().map(|(written, _)| &*written[0]).collect();
    assert_eq!(
        texts,
        ["to class 1: news", "to class 2: news", "to class 1: news", "to class 2: news", "- on 200 news"]
    );
    assert_eq!(all[4].1, ["encode 1"]);
    assert_eq!(codec.encoded.load(Ordering::Relaxed), 2);
}

#[test]
fn no_more_classes_share_than_may() {
    let codec = Arc::default();
    let mut rigs = rigs(&codec, &[1, 2, 3, 3, 1, 2]);
    push(&rigs, "news");
    let texts: Vec<_> = rigs.iter_mut().flat_map(written).collect();
    assert_eq!(texts.iter().filter(|text| *text == "- on 200 news").count(), 2);
    assert_eq!(codec.encoded.load(Ordering::Relaxed), 2);
}

#[test]
fn pushes_of_both_kinds_go_out_in_the_order_of_the_calls() {
    let codec = Arc::default();
    let mut rigs = rigs(&codec, &[7, 7]);
    rigs[0].push("a");
    rigs[0].push("b");
    push(&rigs, "one for all");
    rigs[0].push("c");
    push(&rigs, "another");
    let (written, calls) = flush(&mut rigs[0]);
    assert_eq!(calls, ["encode 2", "encode 1"], "runs between shared packets are one call each");
    assert_eq!(
        written,
        ["- on 200 a", "- on 200 b", "to class 7: one for all", "- on 200 c", "to class 7: another"]
    );
    assert_eq!(self::written(&mut rigs[1]), ["to class 7: one for all", "to class 7: another"]);
}

#[test]
fn pushes_that_are_not_shared_are_encoded_in_one_batch_with_others() {
    let codec = Arc::default();
    let mut rigs = rigs(&codec, &[1, 2]);
    rigs[0].push("a");
    push(&rigs, "b");
    push(&rigs, "c");
    let (written, calls) = flush(&mut rigs[0]);
    assert_eq!((written.len(), calls), (3, vec!["encode 3".to_owned()]));
}

#[test]
fn nobody_waits_for_an_encoding_that_runs_elsewhere() {
    let codec = Arc::<Sharer>::default();
    let (open, release) = channel();
    *codec.release.lock().unwrap() = Some(release);
    let mut rigs = rigs(&codec, &[7, 7, 7]);
    push(&rigs, "news");
    let (mut first, mut second) = (rigs.remove(0), rigs.remove(0));
    let encoding = thread::spawn(move || written(&mut first));
    // The first holds the lock of `release` until it has encoded.
    while codec.release.try_lock().is_ok() {
        thread::yield_now();
    }
    assert_eq!(written(&mut second), ["- on 200 news"], "it encodes for itself");
    open.send(()).unwrap();
    assert_eq!(encoding.join().unwrap(), ["to class 7: news"]);
    assert_eq!(written(&mut rigs[0]), ["to class 7: news"]);
}

#[test]
fn a_session_whose_class_has_changed_encodes_for_itself() {
    let (codec, other) = (Arc::default(), Arc::default());
    let mut rigs = rigs(&codec, &[7, 7, 7]);
    push(&rigs, "news");
    share(&rigs[0].session, &other, 7);
    rigs[1].session.set_broadcast_class(None);
    assert_eq!(written(&mut rigs[0]), ["- on 200 news"]);
    assert_eq!(written(&mut rigs[1]), ["- on 200 news"]);
    assert_eq!(written(&mut rigs[2]), ["to class 7: news"]);
}

#[test]
fn what_a_codec_cannot_share_each_session_encodes() {
    let codec = Arc::default();
    let mut rigs = rigs(&codec, &[7, 7]);
    push(&rigs, "formless");
    rigs.iter_mut().for_each(|rig| assert_eq!(flush(rig), (vec![], vec![])));
    push(&rigs, "trap");
    for rig in &mut rigs {
        rig.flush();
        assert_eq!(rig.calls(), ["encode 1"], "each finds out for itself");
    }
    assert_eq!(codec.encoded.load(Ordering::Relaxed), 2);
}

#[test]
fn a_shared_packet_that_cannot_be_framed_is_counted_and_harms_no_other() {
    let codec = Arc::default();
    let mut rigs = rigs(&codec, &[7, 7]);
    push(&rigs, "two\nlines");
    push(&rigs, "one");
    assert_eq!(written(&mut rigs[0]), ["to class 7: one"]);
    assert_eq!(rigs[0].machine.take_tally().refused, 1);
}

#[test]
fn a_shared_encoding_may_have_several_packets() {
    let codec = Arc::default();
    let mut rigs = rigs(&codec, &[7, 7]);
    push(&rigs, "a|b|c");
    push(&rigs, "d");
    let all = ["to class 7: a", "to class 7: b", "to class 7: c", "to class 7: d"];
    for rig in &mut rigs {
        assert_eq!(flush(rig), (all.map(str::to_owned).into(), vec![]));
        let tally = rig.machine.take_tally();
        assert_eq!((tally.packets_out, tally.messages_out), (4, 2));
    }
    assert_eq!(codec.encoded.load(Ordering::Relaxed), 2);
}

#[test]
fn the_packets_of_a_shared_encoding_are_sent_together_or_not_at_all() {
    for body in ["two\nlines|b", "a|two\nlines", "a|two\nlines|c"] {
        let codec = Arc::default();
        let mut rigs = rigs(&codec, &[7, 7]);
        push(&rigs, body);
        push(&rigs, "one");
        for rig in &mut rigs {
            assert_eq!(flush(rig), (vec!["to class 7: one".to_owned()], vec![]), "{body}");
            let tally = rig.machine.take_tally();
            assert_eq!((tally.packets_out, tally.messages_out, tally.refused), (1, 1, 1));
        }
    }
}

#[test]
fn each_packet_of_a_shared_encoding_is_a_message_of_the_transport() {
    let codec = Arc::default();
    let rig = || {
        let rig = Rig::established_with(Setup { messages: true, ..Setup::default() });
        share(&rig.session, &codec, 7);
        rig
    };
    let mut rigs = [rig(), rig()];
    push(&rigs, "a|b");
    for rig in &mut rigs {
        rig.flush();
        let Output::Messages(output) = rig.machine.output() else { unreachable!() };
        let messages: Vec<_> = std::iter::from_fn(|| output.pop()?.message).collect();
        assert_eq!(messages, ["to class 7: a\n", "to class 7: b\n"]);
    }
}

#[test]
fn a_complete_shared_packet_that_cannot_be_sent_is_dropped_and_costs_no_session() {
    const LONG: &str =
        "a body of almost a hundred bytes, which is the length of the largest packet in these tests. so";
    let codec = Arc::default();
    let rig = || {
        let rig = Rig::established_with(Setup::framer());
        share(&rig.session, &codec, 7);
        rig
    };
    let mut rigs = [rig(), rig()];
    push(&rigs, LONG);
    for rig in &mut rigs {
        assert!(written(rig).is_empty());
        assert_eq!((rig.closed(), rig.machine.take_tally().refused), (None, 1));
    }
    // The stream goes on.
    push(&rigs, "short");
    for rig in &mut rigs {
        assert!(!written(rig).is_empty());
    }
}

#[test]
fn a_push_to_many_that_no_packet_can_hold_is_counted_and_no_codec_is_asked() {
    const LONG: &str = "a body that is longer than the largest packet, which has a hundred bytes in these tests, as all \
                        of its receivers can tell";
    let codec = Arc::default();
    let mut rigs = rigs(&codec, &[7, 7]);
    push(&rigs, LONG);
    assert_eq!(flush(&mut rigs[0]), (vec![], vec![]));
    assert_eq!(rigs[0].machine.take_tally().refused, 1);
    assert_eq!(codec.encoded.load(Ordering::Relaxed), 0);
}

#[test]
fn a_session_that_is_ending_gets_responses_and_no_pushes_to_many() {
    let codec = Arc::default();
    let mut rigs = rigs(&codec, &[7, 7]);
    rigs[0].receive(&["close 0 done"]);
    push(&rigs, "news");
    rigs[0].respond(1, "answer");
    assert_eq!(written(&mut rigs[0]), ["1 route 200 answer"]);
    assert_eq!(rigs[0].machine.take_tally().unsent, 1);
    assert_eq!(codec.encoded.load(Ordering::Relaxed), 0);
}

#[test]
fn pushes_to_many_wait_unencoded_and_may_be_dropped_as_others() {
    let codec = Arc::<Sharer>::default();
    let room = 2 * Message::push("on", "1").size();
    let session = |id| {
        let outbox = super::outbox(room, Overflow::DropOldest);
        let session = Session::new(SessionId(id), ClientInfo::default(), outbox, Sessions::default());
        share(&session, &codec, 7);
        session
    };
    let sessions = [session(1), session(2)];
    for body in ["1", "2", "3"] {
        assert_eq!(send_to_all(|| sessions.iter(), &Message::push("on", body), None), 2);
    }
    for session in &sessions {
        assert_eq!(
            (session.waiting(), session.outbox().take_overflowed()),
            (room, 1),
            "each counts the whole of it"
        );
        let (push, sharing) = session.outbox().take_shared().expect("it waits");
        assert_eq!((&*push.message.body, sharing), (&b"2"[..], broadcast::Sharing::Class(0)));
    }
}

#[test]
fn a_session_that_shares_nothing_encodes_for_itself() {
    let mut rigs = [Rig::established(), Rig::new(Setup { handshake: true, ..Setup::default() })];
    push(&rigs, "news");
    assert_eq!(written(&mut rigs[0]), ["- on 200 news"]);
    assert!(written(&mut rigs[1]).is_empty(), "its handshake is not over");
}
