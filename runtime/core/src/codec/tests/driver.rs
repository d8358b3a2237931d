//! Tests of the driver: which calls it allows, which events it hands out, and what ends a session.

use std::sync::Arc;

use super::script::Script;
use crate::codec::driver::{CallError, Disposition, NotAllowed, PacketSink, SessionDriver};
use crate::codec::{Abilities, Codec, CodecError, CodecSession, MessageRef, Messages, Peer, Violation};
use crate::framing::Packets;

/// A driver of a scripted codec's session, with what it has handed out.
struct Rig {
    driver: SessionDriver<Box<dyn CodecSession>>,
    /// Events, packets and refusals, in the order in which they came.
    taken: Vec<String>,
    /// Packets that contain this text cannot be framed.
    unframed: &'static str,
}

impl Rig {
    fn new(codec: &Script) -> Self {
        let peer = Peer {
            transport: "tcp".into(),
            address: String::new(),
            entropy: [0; 32],
            attributes: Vec::new(),
        };
        let session = codec.open(peer).unwrap();
        Self { driver: SessionDriver::new(codec, session, 0), taken: Vec::new(), unframed: "\n" }
    }

    fn established() -> Self {
        let mut rig = Self::new(&Script::default());
        rig.decode(&["established"], 0).unwrap();
        rig.taken.clear();
        rig
    }

    fn decode(&mut self, packets: &[&str], now_ms: u64) -> Result<(), CallError> {
        let packets = Arc::new(packets.iter().map(|packet| packet.as_bytes()).collect::<Packets>());
        self.driver.decode(&packets, now_ms, |of, event| self.taken.push(format!("{of} {event:?}")))
    }

    fn answer(&mut self) -> Result<(), CallError> {
        self.driver.answer(200, b"", 0, |_, _| ())
    }

    fn on_timer(&mut self, now_ms: u64) -> Result<(), CallError> {
        self.driver.on_timer(now_ms, |_, _| ())
    }

    /// Encodes messages, and the failed ones once more. Returns the number of messages that are
    /// encoded once more.
    fn encode(&mut self, messages: &[(Option<u64>, &str)]) -> Result<usize, CallError> {
        let mut batch = Messages::new();
        for &(id, body) in messages {
            batch.push(MessageRef { id, route: "on", body: body.as_bytes(), status: 200 });
        }
        let Self { driver, taken, unframed } = self;
        let mut sink = Sink { taken, unframed };
        let Some(failed) = driver.encode(&Arc::new(batch), 0, &mut sink)? else { return Ok(0) };
        driver.encode_failed(&failed, 0, &mut sink)?;
        Ok(failed.messages().count())
    }
}

struct Sink<'a> {
    taken: &'a mut Vec<String>,
    unframed: &'static str,
}

impl PacketSink for Sink<'_> {
    fn packet(&mut self, message: Option<usize>, packet: &[u8]) -> bool {
        let packet = String::from_utf8_lossy(packet);
        self.taken.push(format!("{message:?} {packet}"));
        !packet.contains(self.unframed)
    }

    fn refused(&mut self, message: usize, reason: &[u8]) {
        self.taken.push(format!("{message} refused: {}", String::from_utf8_lossy(reason)));
    }
}

fn not_allowed<T>(why: NotAllowed) -> Result<T, CallError> {
    Err(CallError::NotAllowed(why))
}

#[test]
fn events_come_with_the_index_of_their_packet() {
    let mut rig = Rig::established();
    rig.decode(&["reply a", "rejected b; reply c"], 0).unwrap();
    let [a, b, c] = [b"a", b"b", b"c"].map(|body| format!("{:?}", &body[..]));
    assert_eq!(rig.taken, [format!("0 Reply({a})"), format!("1 Rejected({b})"), format!("1 Reply({c})")]);
}

#[test]
fn each_hello_has_one_answer() {
    let mut rig = Rig::new(&Script::default());
    assert_eq!(rig.answer(), not_allowed(NotAllowed::NoHello));
    rig.decode(&["hello a"], 0).unwrap();
    rig.answer().unwrap();
    assert!(rig.driver.is_established(), "the scripted codec has answered `established`");
    assert_eq!(rig.answer(), not_allowed(NotAllowed::NoHello));
}

#[test]
fn a_timer_comes_once_and_not_before_it_is_due() {
    let mut rig = Rig::established();
    assert_eq!(rig.on_timer(0), not_allowed(NotAllowed::NoTimer));
    rig.decode(&["wake 10; wake 20"], 5).unwrap();
    assert_eq!(rig.driver.timer(), Some(25), "the later one replaces the one before");
    assert_eq!(rig.on_timer(24), not_allowed(NotAllowed::TimerNotDue { at: 25 }));
    rig.on_timer(25).unwrap();
    assert_eq!(rig.on_timer(26), not_allowed(NotAllowed::NoTimer));
    rig.decode(&["wake 0"], 30).unwrap();
    assert_eq!(rig.driver.timer(), Some(31), "no time at all means 1 ms");
}

#[test]
fn nothing_is_encoded_or_shared_before_the_session_is_established() {
    let mut rig = Rig::new(&Script::default());
    assert!(!rig.driver.can_encode());
    assert_eq!(rig.encode(&[(None, "x")]), not_allowed(NotAllowed::NotEstablished));
    assert_eq!(rig.driver.share_class(), not_allowed(NotAllowed::NotEstablished));
    assert!(rig.taken.is_empty());
}

#[test]
fn a_session_that_the_codec_has_ended_encodes_responses_only() {
    for end in ["close a", "fatal a"] {
        let mut rig = Rig::established();
        rig.decode(&["wake 5; hello a", &format!("{end}; reply late")], 0).unwrap();
        assert!(!rig.taken.iter().any(|taken| taken.contains("Reply")), "what follows the end is ignored");
        rig.taken.clear();
        assert_eq!(rig.driver.timer(), None);
        assert_eq!(rig.decode(&["reply a"], 0), not_allowed(NotAllowed::Ended));
        assert_eq!(rig.answer(), not_allowed(NotAllowed::Ended));
        assert_eq!(rig.on_timer(5), not_allowed(NotAllowed::Ended));
        assert_eq!(rig.driver.save(), not_allowed(NotAllowed::Ended));
        assert_eq!(rig.driver.farewell("a", 0), not_allowed(NotAllowed::Ended));
        assert_eq!(rig.encode(&[(Some(1), "x"), (None, "x")]), not_allowed(NotAllowed::Ended));
        assert_eq!(rig.driver.disposition(None, 1, 100), Disposition::DropEnded);
        assert_eq!(rig.driver.disposition(Some(1), 1, 100), Disposition::Encode);
        rig.encode(&[(Some(1), "x")]).unwrap();
        assert_eq!(rig.taken, ["Some(0) Some(1) on 200 at 0: x"]);
    }
}

#[test]
fn after_a_farewell_or_a_fault_nothing_is_allowed() {
    let mut farewell = Rig::established();
    assert_eq!(farewell.driver.farewell("all", 0), Ok(Some(b"bye all".to_vec())));
    let mut fault = Rig::established();
    assert!(matches!(fault.decode(&["trap"], 0), Err(CallError::Failed(CodecError::Trap(_)))));
    assert!(fault.driver.fault().is_some());
    for mut rig in [farewell, fault] {
        assert_eq!(rig.decode(&["reply a"], 0), not_allowed(NotAllowed::Over));
        assert_eq!(rig.encode(&[(Some(1), "x")]), not_allowed(NotAllowed::Over));
        assert_eq!(rig.driver.farewell("again", 0), not_allowed(NotAllowed::Over));
        assert!(rig.driver.into_working().is_none());
    }
}

#[test]
fn a_call_needs_the_interface_of_the_codec() {
    let mut rig = Rig::new(&Script { abilities: Abilities::default(), ..Script::default() });
    assert_eq!(rig.answer(), not_allowed(NotAllowed::Interface("handshake")));
    assert_eq!(rig.on_timer(0), not_allowed(NotAllowed::Interface("clock")));
    assert_eq!(rig.driver.farewell("a", 0), not_allowed(NotAllowed::Interface("farewell")));
    assert_eq!(rig.driver.share_class(), not_allowed(NotAllowed::Interface("broadcast")));
    assert_eq!(rig.driver.save(), not_allowed(NotAllowed::Interface("handoff")));
    let missing = |interface| Err(CallError::Failed(Violation::MissingAbility(interface).into()));
    assert_eq!(rig.decode(&["hello a"], 0), missing("hello"));
    let mut rig = Rig::new(&Script { abilities: Abilities::default(), ..Script::default() });
    assert_eq!(rig.decode(&["wake 5"], 0), missing("wake"));
}

#[test]
fn responses_without_a_packet_are_encoded_once_more_as_failed() {
    let mut rig = Rig::established();
    rig.unframed = ": two";
    let messages = [(Some(1), "refuse"), (None, "refuse"), (Some(2), "two"), (None, "two"), (Some(3), "c")];
    assert_eq!(rig.encode(&messages), Ok(2));
    assert_eq!(
        rig.taken,
        [
            "0 refused: not this",
            "1 refused: not this",
            "Some(2) Some(2) on 200 at 0: two",
            "Some(3) None on 200 at 0: two",
            "Some(4) Some(3) on 200 at 0: c",
            "Some(0) Some(1) on 500 at 0: ",
            "Some(1) Some(2) on 500 at 0: ",
        ]
    );
}

#[test]
fn beside_a_message_without_a_form_nobody_knows_whose_a_packet_is() {
    let mut rig = Rig::established();
    rig.unframed = ": two";
    assert_eq!(rig.encode(&[(Some(1), "formless"), (Some(2), "two")]), Ok(0));
    assert_eq!(rig.taken, ["None Some(2) on 200 at 0: two"]);
}

#[test]
fn an_answer_to_messages_is_checked() {
    let mut rig = Rig::established();
    let count = Err(CallError::Failed(Violation::Count.into()));
    assert_eq!(rig.encode(&[(None, "twice")]), count);
    assert!(rig.taken.is_empty());
    assert_eq!(rig.encode(&[(None, "x")]), not_allowed(NotAllowed::Over));
}

#[test]
fn what_no_packet_can_hold_is_failed_or_dropped() {
    let rig = Rig::established();
    assert_eq!(rig.driver.disposition(Some(1), 101, 100), Disposition::EncodeAsFailed);
    assert_eq!(rig.driver.disposition(None, 101, 100), Disposition::DropTooLarge);
    assert_eq!(rig.driver.disposition(None, 100, 100), Disposition::Encode);
}

#[test]
fn only_a_refusal_to_save_keeps_the_session() {
    let mut rig = Rig::established();
    rig.decode(&["set 12"], 0).unwrap();
    assert!(matches!(rig.driver.save(), Err(CallError::Failed(CodecError::Refused(_)))));
    assert!(rig.driver.is_working() && rig.driver.fault().is_none());
}

#[test]
fn a_timer_goes_on_with_another_codec_that_has_a_clock() {
    let without = Script { abilities: Abilities::default(), ..Script::default() };
    let session = |rig: Rig| rig.driver.into_working().unwrap();
    let mut rig = Rig::established();
    rig.decode(&["wake 10"], 0).unwrap();
    let other = session(Rig::established());
    rig.driver.replace(&Script::default(), other, 3, |_, _| unreachable!("it is not called")).unwrap();
    assert_eq!(rig.driver.timer(), Some(10));
    let other = session(Rig::new(&without));
    rig.driver.replace(&without, other, 3, |_, _| unreachable!("it is not called")).unwrap();
    assert_eq!(rig.driver.timer(), None);
    let (other, mut ticks) = (session(Rig::established()), 0);
    rig.driver.replace(&Script::default(), other, 3, |_, _| ticks += 1).unwrap();
    assert_eq!(ticks, 1, "a codec that begins to have a clock is called at once");
}
