//! Tests that a recorded session replays exactly, and that a call that failed fails again.

use std::ops::Range;
use std::sync::Arc;

use super::{replay_on, shown, vectors};
use crate::codec::driver::{CallError, PacketSink, SessionDriver, StreamRules};
use crate::codec::tests::script::Script;
use crate::codec::{Carrier, Cause, Codec as _, CodecSession, Instant, MessageRef, Messages, Peer, Secrets};
use crate::framing::{Packets, Payload};
use crate::vectors::{Recorder, Start};

const SEED: [u8; 32] = [0xab; 32];

fn peer() -> Peer {
    Peer {
        carrier: Carrier::Bytes,
        transport: "tls".into(),
        address: "10.0.0.1:5000".into(),
        dialed: false,
        max_packet: 100,
        random_seed: SEED,
        attributes: vec![("starttls".into(), "yes".into())],
    }
}

/// The time of a real session: its two clocks do not advance together.
fn at(session_ms: u64) -> Instant {
    Instant { session_ms, unix_ms: 1_764_480_000_000 + session_ms + session_ms % 3 }
}

struct Ignore;

impl PacketSink for Ignore {
    fn packets<'a>(&mut self, _: Range<usize>, _: impl ExactSizeIterator<Item = &'a [u8]> + Clone) -> bool {
        true
    }

    fn refused(&mut self, _: usize, _: &[u8]) {}
}

/// A session that is recorded from its opening.
struct Recorded {
    driver: SessionDriver<Box<dyn CodecSession>>,
}

impl Recorded {
    fn open(codec: &Script) -> Self {
        let session = codec.open(peer(), at(0)).unwrap();
        let mut driver = SessionDriver::new(codec, session, 0);
        let recorder = Recorder::new("{}", &peer(), Start::Opening, at(0), Secrets::default());
        driver.set_observer(Some(Box::new(recorder)));
        driver.open(at(0), |_, _| {}).unwrap();
        Self { driver }
    }

    fn decode(&mut self, packets: &[&str], ms: u64) -> Result<usize, CallError> {
        let packets = Arc::new(packets.iter().map(|packet| packet.as_bytes()).collect::<Packets>());
        self.driver.decode(&packets, at(ms), |_, _| {})
    }

    fn encode(&mut self, messages: &[MessageRef<'_>], ms: u64) {
        let mut batch = Messages::new();
        messages.iter().for_each(|message| batch.push(*message));
        self.driver.encode(&Arc::new(batch), at(ms), &mut Ignore).unwrap();
    }

    fn text(&mut self) -> String {
        let observer = self.driver.observer_mut().expect("it is recorded") as &mut dyn std::any::Any;
        observer.downcast_mut::<Recorder>().expect("it is a recorder").take()
    }
}

#[test]
fn a_session_replays_with_its_seed_its_times_and_its_client() {
    let codec = Script::with_client_requests();
    let mut session = Recorded::open(&codec);
    assert_eq!(session.decode(&["peer", "reply a; hello b", "reply never"], 10).unwrap(), 2);
    session.driver.answer(200, b"yes", at(20), |_, _| {}).unwrap();
    session.decode(&["unix", "request 7 a.b c; timer 5", "rejected x", "log warn y"], 30).unwrap();
    session.driver.on_timer(at(35), |_, _| {}).unwrap();
    session.encode(
        &[
            MessageRef::response(7, "a.b", 200, b"x|y"),
            MessageRef::notice("on", b"formless"),
            MessageRef::notice("on", b"refuse"),
            MessageRef::request(1, "ask", b"formless"),
        ],
        40,
    );
    session.driver.abandoned(1, at(41), |_, _| {}).unwrap();
    session.driver.broadcast_class().unwrap();
    session.driver.observe_restored(&[0xcd; 32], at(50));
    session.driver.farewell(Cause::Kicked, "enough", at(60), |_| {}).unwrap();
    let text = session.text();
    assert!(
        text.contains(&format!("seed {}\nclock 1764480000000\nmax-packet 100\n", "ab".repeat(32))),
        "{text}"
    );
    assert!(text.contains("session tls 10.0.0.1:5000 starttls yes\n  reply \"0\"\nat 10 "), "{text}");
    assert!(!text.contains("never"), "{text}");
    assert_eq!(replay_on(&codec, &text), [], "{text}");

    // Each value counts.
    for (from, to) in [("ab".repeat(32), "ac".repeat(32)), ("5000".to_owned(), "5001".to_owned())] {
        assert_ne!(replay_on(&codec, &text.replacen(&from, &to, 1)), [], "{from}");
    }
    let other_clock = text.replacen(&format!("at 30 {}", at(30).unix_ms), "at 30 7", 1);
    assert_ne!(replay_on(&codec, &other_clock), [], "{text}");
}

#[test]
fn a_packet_that_traps_fails_again_until_the_codec_is_mended() {
    let codec = Script::default();
    let mut session = Recorded::open(&codec);
    session.decode(&["established; reply a"], 1).unwrap();
    session.decode(&["notice b", "trap"], 2).unwrap_err();
    let text = session.text();
    assert!(text.ends_with("in \"trap\"\n  any\n# codec fault: trap: scripted\n"), "{text}");
    let mismatches = replay_on(&codec, &text);
    assert_eq!(mismatches.len(), 1, "{}", shown(&mismatches));
    assert!(shown(&mismatches).contains("!   trap: scripted"), "{}", shown(&mismatches));
    // The mended codec may answer as it likes.
    assert_eq!(replay_on(&codec, &text.replace("in \"trap\"", "in \"rejected no\"")), []);
    assert_eq!(replay_on(&codec, &text.replace("in \"trap\"", "in \"reply fine; log info x\"")), []);
    // What came before must stay as it was.
    assert_ne!(replay_on(&codec, &text.replacen("reply \"a\"", "reply \"b\"", 1)), []);
}

#[test]
fn an_opening_that_traps_or_is_refused_is_a_recording_too() {
    let codec = Script::default();
    for transport in ["trap", "banned"] {
        let peer = Peer { transport: transport.into(), ..peer() };
        let error = codec.open(peer.clone(), at(0)).err().expect("it does not open");
        let mut recorder = Recorder::new("{}", &peer, Start::Opening, at(0), Secrets::default());
        recorder.not_opened(&error);
        assert!(recorder.is_over());
        let mismatches = replay_on(&codec, recorder.text());
        assert_eq!(mismatches.len(), usize::from(transport == "trap"), "{}", shown(&mismatches));
    }
}

#[test]
fn a_recording_goes_on_from_a_state() {
    let codec = Script::default();
    let mut session = Recorded::open(&codec);
    session.decode(&["established", "timer 30", "reply x"], 100).unwrap();
    let state = session.driver.save().unwrap();
    let timer = session.driver.timer();
    let start = Start::State(&state, session.driver.is_established(), timer);
    let recorder = Recorder::new("{}", &peer(), start, at(110), Secrets::default());
    session.driver.set_observer(Some(Box::new(recorder)));
    session.decode(&["packets", "notice a b"], 120).unwrap();
    session.driver.on_timer(at(130), |_, _| {}).unwrap();
    session.encode(&[MessageRef::notice("on", b"x")], 131);
    let text = session.text();
    assert!(text.contains("state 110 established 130 03\nsession tls"), "{text}");
    assert_eq!(replay_on(&codec, &text), [], "{text}");
    assert_ne!(replay_on(&codec, &text.replace("130 03\n", "130 04\n")), [], "the state counts");
    assert_ne!(replay_on(&codec, &text.replace("established 130", "opening 130")), [], "the phase counts");
    assert_ne!(replay_on(&codec, &text.replace("established 130", "established -")), [], "the timer counts");
    let mut deaf = Script::default();
    deaf.abilities.handoff = false;
    let refused = shown(&replay_on(&deaf, &text.replace("03\n", "0d\n")));
    assert!(refused.contains("refused \"an unlucky state\""), "{refused}");
}

#[test]
fn a_stream_replays_as_it_was_divided() {
    let codec = Script::framer();
    let mut session = Recorded::open(&codec);
    let rules = StreamRules { payload: Payload::Binary, max_packet: 100, may_start_tls: true };
    let pass = |session: &mut Recorded, bytes: &str, ms| {
        let bytes = Arc::new(bytes.as_bytes().to_vec());
        session.driver.decode_stream(&bytes, rules, at(ms), |_, _| {})
    };
    pass(&mut session, "reply a\nrep", 1).unwrap();
    pass(&mut session, "reply b", 2).unwrap();
    pass(&mut session, "reply b\nhello c\nreply d\n", 3).unwrap();
    session.driver.answer(200, b"", at(4), |_, _| {}).unwrap();
    pass(&mut session, "reply d\n", 5).unwrap();
    pass(&mut session, "start-tls\nTLS", 6).unwrap();
    session.driver.secured(&[("a".into(), "b".into())], at(7), |_, _| {}).unwrap();
    pass(&mut session, "reply e\ntrap\n", 8).unwrap_err();
    let text = session.text();
    assert!(text.contains("stream \"reply a\\nrep\"\n  cut \"reply a\\n\"\n  reply \"a\"\nat 2 "), "{text}");
    assert!(text.contains("stream \"ly b\"\nat 3 "), "{text}");
    assert!(text.contains("stream \"start-tls\\n\"\n"), "{text}");
    let mismatches = replay_on(&codec, &text);
    assert_eq!(mismatches.len(), 1, "{text}\n{}", shown(&mismatches));
    assert!(shown(&mismatches).contains("!   trap: scripted"), "{}", shown(&mismatches));
    let mended = text.replace("trap\\n", "reply\\n");
    assert_eq!(replay_on(&codec, &mended), [], "{mended}");
}

#[test]
fn packets_of_a_batch_that_the_codec_joins_are_not_compared() {
    let codec = Script::coalescing();
    let mut session = Recorded::open(&codec);
    session.decode(&["established"], 0).unwrap();
    session.encode(&[MessageRef::notice("on", b"x"), MessageRef::notice("on", b"y")], 1);
    session.encode(&[MessageRef::notice("on", b"z")], 2);
    let text = session.text();
    assert_eq!(text.matches("  any\n").count(), 2, "{text}");
    assert_eq!(replay_on(&codec, &text), [], "{text}");
}

#[test]
fn values_above_a_session_are_for_it_alone() {
    let fault = |text: &str| crate::vectors::Vectors::parse(text).expect_err("it is wrong").to_string();
    for (text, wanted) in [
        ("seed 00\nsession\n", "32 bytes, and not 1"),
        ("clock soon\nsession\n", "wall clock in milliseconds"),
        ("max-packet 0\nsession\n", "1 or more bytes"),
        ("state 5 later - 00\nsession\n", "opening or established"),
        ("state 5 opening x 00\nsession\n", "or - for none"),
        ("session\nclock 7\nin 00\n", "`clock` stands above `session`, and not above `in`"),
        ("session\nstate 5 opening - 00\nhandoff\n", "`state` stands above `session`"),
        ("session\n  any\n  reply 00\n", "`any` stands alone"),
        ("session\n  reply 00\n  any\n", "`any` stands alone"),
        ("session\nat 5 x\n", "wall clock"),
    ] {
        assert!(fault(text).contains(wanted), "{text}: {}", fault(text));
    }
    assert_eq!(vectors("session\nat 5 7 # why\nat 6   # why\nin 00\n").len(), 2);
}
