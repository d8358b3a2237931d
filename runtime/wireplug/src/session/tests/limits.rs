//! The largest packet: that of the listener, or that of the codec if it is smaller.

use super::rig::{Rig, Setup};
use crate::session::{CloseReason, Message};
use wireplug_core::framing::SplitError;

fn setup(codec_max_packet: Option<u32>) -> Setup {
    Setup { max_packet: 60, codec_max_packet, ..Setup::default() }
}

/// Checks that packets of this number of bytes pass in both directions, and that longer ones do
/// not. The session has ended afterwards.
fn assert_largest_packet(rig: &mut Rig, max: usize) {
    rig.written();
    rig.machine.take_tally();
    let reply = |length: usize| format!("reply {}", "x".repeat(length));
    // The reply is shorter than the packet that asks for it.
    rig.receive(&[&reply(max - 6)]);
    assert_eq!(rig.written(), ["x".repeat(max - 6)]);

    // The packet of a push has 9 bytes beside its body.
    for (body, passes) in [(max - 9, true), (max - 8, false)] {
        rig.session.send(Message::push("on", "y".repeat(body))).unwrap();
        rig.flush();
        let expected = if passes { vec![format!("- on 200 {}", "y".repeat(body))] } else { Vec::new() };
        assert_eq!(rig.written(), expected);
    }
    assert_eq!(rig.machine.take_tally().refused, 1);

    rig.calls();
    rig.session.send(Message::push("on", "y".repeat(max + 1))).unwrap();
    rig.flush();
    assert!(rig.calls().is_empty(), "no packet can hold this body");
    assert_eq!(rig.machine.take_tally().refused, 1);

    rig.receive(&[&reply(max - 5)]);
    let error = SplitError::TooLong { length: max as u64 + 1, max };
    assert_eq!(rig.closed(), Some(CloseReason::Framing(error)));
}

#[test]
fn the_smaller_of_both_limits_counts() {
    for (codec, max) in [(None, 60), (Some(40), 40), (Some(60), 60), (Some(1000), 60)] {
        assert_largest_packet(&mut Rig::established_with(setup(codec)), max);
    }
}

#[test]
fn a_swap_changes_the_limit() {
    for (before, after, max) in
        [(None, Some(30), 30), (Some(30), Some(50), 50), (Some(30), None, 60), (Some(30), Some(1000), 60)]
    {
        let mut rig = Rig::established_with(setup(before));
        rig.replace_codec(setup(after));
        assert_largest_packet(&mut rig, max);
    }
}

#[test]
fn a_partial_packet_is_measured_by_the_limit_of_the_next_codec() {
    let mut rig = Rig::established_with(setup(None));
    rig.receive_bytes(("reply ".to_owned() + &"x".repeat(40)).as_bytes());
    rig.replace_codec(setup(Some(30)));
    rig.receive_bytes(b"\n");
    assert_eq!(rig.closed(), Some(CloseReason::Framing(SplitError::TooLong { length: 31, max: 30 })));

    let mut rig = Rig::established_with(setup(Some(30)));
    rig.receive_bytes(("reply ".to_owned() + &"x".repeat(20)).as_bytes());
    rig.replace_codec(setup(None));
    rig.receive_bytes(("x".repeat(20) + "\n").as_bytes());
    assert_eq!(rig.written(), ["x".repeat(40)]);
}
