//! Streams that the codec cuts itself, and TLS in the middle of them.

use super::*;
use crate::codec::driver::{Cut, StreamRules};
use crate::codec::{Abilities, Next};
use crate::framing::{Payload, SplitError};

const RULES: StreamRules = StreamRules { payload: Payload::Binary, max_packet: 100, may_start_tls: true };

impl Rig {
    fn decode_stream(&mut self, bytes: &[u8], rules: StreamRules) -> Result<Cut, CallError> {
        let Self { driver, taken, .. } = self;
        driver.decode_stream(&Arc::new(bytes.to_vec()), rules, Instant::for_test(0), |of, event| {
            taken.push(format!("{of} {}", Answer::Event(event)));
        })
    }

    fn stream(&mut self, bytes: &str) -> Result<Cut, CallError> {
        self.decode_stream(bytes.as_bytes(), RULES)
    }

    fn secured(&mut self) -> Result<(), CallError> {
        let Self { driver, taken, .. } = self;
        let attributes = [("tls-sni".to_owned(), "host".to_owned())];
        let now = Instant::for_test(0);
        driver.secured(&attributes, now, |_, event| taken.push(Answer::Event(event).to_string()))
    }
}

fn rig() -> Rig {
    Rig::new(&Script::framer())
}

fn cut(consumed: usize, packets: usize, next: Next) -> Result<Cut, CallError> {
    Ok(Cut { consumed, packets, next: Ok(next) })
}

#[test]
fn packets_at_the_front_are_decoded_and_the_rest_waits() {
    let mut rig = rig();
    assert_eq!(rig.stream("reply a\nreply b; reply c\nrep"), cut(25, 2, Next::Need(4)));
    assert_eq!(rig.taken(), ["0 reply \"a\"", "1 reply \"b\"", "1 reply \"c\""]);
    assert_eq!(rig.driver.ends(), [8, 25]);
    assert_eq!(rig.stream("rep"), cut(0, 0, Next::Need(4)));
    assert!(rig.taken().is_empty());
}

#[test]
fn a_codec_without_a_framer_gets_no_stream() {
    let not_exported = not_allowed(NotAllowed::Interface("framer"));
    assert_eq!(Rig::established().stream("reply a\n"), not_exported);
}

#[test]
fn a_call_has_at_most_256_packets() {
    let mut rig = rig();
    assert_eq!(rig.stream(&"reply a\n".repeat(257)), cut(256 * 8, 256, Next::Full));
    assert_eq!(rig.taken().len(), 256);
    let too_many = format!("{}end 2050\nxx", "reply a\n".repeat(255));
    assert_eq!(rig.stream(&too_many), violation(Violation::Ends));
    assert!(rig.taken().is_empty(), "nothing of a wrong answer counts");
}

#[test]
fn ends_are_checked() {
    assert_eq!(rig().stream("end 8\nxx"), cut(8, 2, Next::Need(3)));
    assert_eq!(rig().stream("end 6\nxx"), violation(Violation::Ends));
    assert_eq!(rig().stream("end 9\nxx"), violation(Violation::Ends));
}

#[test]
fn nothing_behind_a_hello_is_cut_before_its_answer() {
    let mut rig = rig();
    assert_eq!(rig.stream("reply a\nhello b\nreply c\n"), cut(16, 2, Next::Full));
    assert_eq!(rig.taken(), ["0 reply \"a\"", "1 hello \"b\""]);
    assert_eq!(rig.stream("reply c\n"), not_allowed(NotAllowed::HelloOpen));
    rig.answer().unwrap();
    rig.taken();
    assert_eq!(rig.stream("reply c\n"), cut(8, 1, Next::Need(1)));
    assert_eq!(rig.taken(), ["0 reply \"c\""]);
}

#[test]
fn a_hello_comes_from_the_last_packet_and_its_answer_is_full() {
    for stream in ["hello a; need 9\n", "hello a; end 17\nxxx", "hello a; start-tls\n"] {
        assert_eq!(rig().stream(stream), violation(Violation::AfterHello), "{stream}");
    }
}

#[test]
fn what_a_client_may_not_send_ends_the_stream_and_its_events_do_not_count() {
    let packet = |length: usize| format!("reply {}\n", "x".repeat(length - 7));
    let mut rig = rig();
    let error = SplitError::TooLong { length: 101, max: 100 };
    let expected = Cut { consumed: 117, packets: 1, next: Err(error) };
    assert_eq!(rig.stream(&format!("reply a\n{}reply b\n", packet(101))), Ok(expected));
    assert_eq!(rig.taken(), ["0 reply \"a\""]);
    assert_eq!(self::rig().stream(&packet(100)), cut(100, 1, Next::Need(1)));
}

#[test]
fn a_packet_that_is_no_text_ends_a_stream_of_text() {
    let (mut rig, stream) = (rig(), b"reply a\nreply \xff\n");
    let rules = StreamRules { payload: Payload::Text, ..RULES };
    let expected = Cut { consumed: 16, packets: 1, next: Err(SplitError::NotText) };
    assert_eq!(rig.decode_stream(stream, rules), Ok(expected));
    assert_eq!(rig.taken(), ["0 reply \"a\""]);
    assert_eq!(self::rig().decode_stream(stream, RULES), cut(16, 2, Next::Need(1)));
}

#[test]
fn a_need_above_the_largest_packet_is_an_error_of_the_client() {
    assert_eq!(rig().stream("need 100\nxx"), cut(9, 1, Next::Need(100)));
    let error = SplitError::TooLong { length: 101, max: 100 };
    assert_eq!(rig().stream("need 101\nxx"), Ok(Cut { consumed: 9, packets: 1, next: Err(error) }));
}

#[test]
fn each_answer_makes_progress() {
    for stream in ["need 0\nxx", "need 1\nxx", "need 2\nxx"] {
        assert_eq!(rig().stream(stream), violation(Violation::NoProgress), "{stream}");
    }
    assert_eq!(rig().stream("need 3\nxx"), cut(7, 1, Next::Need(3)));
    let mut rig = rig();
    assert_eq!(rig.stream("stuck\nxx"), cut(6, 1, Next::Full));
    assert_eq!(rig.stream("xx"), violation(Violation::NoProgress));
}

#[test]
fn events_about_the_rest_are_replies_and_log_lines_before_an_end() {
    let mut rig = rig();
    let about = "reply a; rest reply b, log warn c, fatal d\nxx";
    assert_eq!(rig.stream(about), cut(43, 1, Next::Full));
    assert_eq!(rig.taken(), ["0 reply \"a\"", "1 reply \"b\"", "1 log warn \"c\"", "1 fatal \"d\""]);
    assert!(!rig.driver.is_working());
    for wrong in
        ["reply b", "log warn b", "notice r b, close 0 c", "timer 5, close 0 c", "hello b", "rejected b"]
    {
        let mut rig = self::rig();
        let stream = format!("reply a; rest {wrong}\nxx");
        assert_eq!(rig.stream(&stream), violation(Violation::AboutRest), "{wrong}");
        assert!(rig.taken().is_empty());
    }
}

#[test]
fn an_event_of_a_packet_behind_the_rest_is_a_violation() {
    assert_eq!(rig().stream("rest close 0 a\nxx"), cut(15, 1, Next::Full));
    assert_eq!(rig().stream("wrong; wrong\n"), violation(Violation::AboutRest));
    assert_eq!(rig().stream("rest wrong\nxx"), violation(Violation::PacketIndex));
}

#[test]
fn tls_begins_behind_a_packet_and_nothing_is_called_before_it_is_up() {
    let mut rig = rig();
    assert_eq!(rig.stream("timer 5; reply a; start-tls\nxx"), cut(28, 1, Next::StartTls));
    assert!(rig.driver.tls_begins());
    assert_eq!(rig.driver.timer(), None, "a timer waits for TLS");
    assert_eq!(rig.stream("reply b\n"), not_allowed(NotAllowed::TlsBegins));
    assert_eq!(rig.on_timer(5), not_allowed(NotAllowed::TlsBegins));
    assert_eq!(rig.driver.save(), not_allowed(NotAllowed::TlsBegins));
    assert_eq!(rig.farewell(Cause::Shutdown, "all"), not_allowed(NotAllowed::TlsBegins));
    rig.taken();
    rig.secured().unwrap();
    assert_eq!(rig.taken(), [r#"reply 'secured [("tls-sni", "host")]'"#]);
    assert_eq!(rig.driver.timer(), Some(5));
    assert_eq!(rig.secured(), not_allowed(NotAllowed::NoTls));
    assert_eq!(rig.stream("reply b\n"), cut(8, 1, Next::Need(1)));
}

#[test]
fn tls_begins_only_where_it_can() {
    let without = Script {
        abilities: Abilities { tls_upgrade: false, ..Script::framer().abilities },
        ..Script::framer()
    };
    let missing = violation(Violation::MissingAbility("start-tls"));
    assert_eq!(Rig::new(&without).stream("start-tls\n"), missing);
    let rules = StreamRules { may_start_tls: false, ..RULES };
    assert_eq!(rig().decode_stream(b"start-tls\n", rules), violation(Violation::StartTls));
}
