//! A hello is the last event of a call, and nothing is decoded before its answer.

use super::*;

#[test]
fn packets_behind_a_hello_are_decoded_after_the_answer_and_not_before() {
    let mut rig = Rig::new(&Script::default());
    assert_eq!(rig.decode(&["reply a", "hello b", "reply c", "packets"], 0), Ok(2));
    assert_eq!(rig.taken(), ["0 reply \"a\"", "1 hello \"b\""]);
    assert!(rig.driver.hello_is_open());
    assert_eq!(rig.decode(&["reply c", "packets"], 0), not_allowed(NotAllowed::HelloOpen));
    rig.answer().unwrap();
    assert_eq!(rig.taken(), ["reply \"200\"", "established"]);
    assert!(!rig.driver.hello_is_open());
    // The codec has seen `c` once.
    assert_eq!(rig.decode(&["reply c", "packets"], 0), Ok(2));
    assert_eq!(rig.taken(), ["0 reply \"c\"", "1 reply 04"]);
}

#[test]
fn a_hello_of_the_last_packet_leaves_none_behind() {
    let mut rig = Rig::new(&Script::default());
    assert_eq!(rig.decode(&["reply a", "timer 5; hello b"], 0), Ok(2));
    assert!(rig.driver.hello_is_open());
    assert_eq!(rig.driver.timer(), Some(5), "a timer may stand before a hello");
}

#[test]
fn an_event_behind_a_hello_breaks_the_contract() {
    // `wrong` gives an event of the next packet.
    for packet in ["hello a; reply b", "hello a; timer 5", "hello a; close 0 b", "hello a; wrong"] {
        let mut rig = Rig::new(&Script::default());
        assert_eq!(rig.decode(&[packet, "reply c"], 0), violation(Violation::AfterHello), "{packet}");
        assert_eq!(rig.taken(), ["0 hello \"a\""]);
        assert_eq!(rig.answer(), not_allowed(NotAllowed::Over));
    }
}

#[test]
fn a_tick_may_say_hello_as_its_last_event() {
    let mut rig = Rig::new(&Script::default());
    rig.decode(&["at-tick reply a, hello b", "timer 5"], 0).unwrap();
    rig.on_timer(5).unwrap();
    assert_eq!(rig.taken(), ["1 timer 5", "reply \"a\"", "hello \"b\""]);
    assert_eq!(rig.decode(&["reply c"], 5), not_allowed(NotAllowed::HelloOpen));

    let mut rig = Rig::new(&Script::default());
    rig.decode(&["at-tick hello a, reply b", "timer 5"], 0).unwrap();
    assert_eq!(rig.on_timer(5), violation(Violation::AfterHello));
    assert_eq!(rig.taken(), ["1 timer 5", "hello \"a\""]);
}

#[test]
fn a_second_hello_before_the_answer_breaks_the_contract() {
    let mut rig = Rig::new(&Script::default());
    rig.decode(&["at-tick hello b", "timer 5; hello a"], 0).unwrap();
    rig.taken();
    assert_eq!(rig.on_timer(5), violation(Violation::SecondHello));
    assert!(rig.taken().is_empty());
}

#[test]
fn a_hello_stays_open_for_the_next_codec() {
    let mut rig = Rig::new(&Script::default());
    rig.decode(&["hello a"], 0).unwrap();
    rig.replace(&Script::default(), 0);
    assert_eq!(rig.decode(&["reply b"], 0), not_allowed(NotAllowed::HelloOpen));
    rig.answer().unwrap();
    assert_eq!(rig.decode(&["reply b"], 0), Ok(1));
}
