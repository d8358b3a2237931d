//! Tests that a case is made as small as possible.

use crate::check::TRIES;
use crate::check::case::{Ask, Case, MESSAGES, Message, STREAM, Step};
use crate::check::shrink::shrunk;
use wireplug_core::codec::{Cause, Role};

fn case(asks: impl IntoIterator<Item = (u64, Ask)>) -> Case {
    Case::new(MESSAGES, asks.into_iter().map(|(at, ask)| Step { at, ask }).collect())
}

fn packets(packets: &[&str]) -> Ask {
    Ask::Packets(packets.iter().map(|packet| packet.as_bytes().to_vec()).collect())
}

#[test]
fn steps_and_bytes_that_do_not_matter_are_removed() {
    let long = "noise ".repeat(500);
    let push = Message::notice("some route", "some body");
    let big = case([
        (0, packets(&["one", "two"])),
        (10, Ask::Tick),
        (20, packets(&["three", &format!("{long}NEEDLE{long}"), "four"])),
        (30, Ask::Messages(vec![push.clone(), push.clone()])),
        (30, Ask::Farewell { cause: Cause::Kicked, reason: "so long".to_owned() }),
        (40, Ask::Handoff),
    ]);
    let holds = |case: &Case| {
        let has = |ask: &Ask| match ask {
            Ask::Packets(packets) => {
                packets.iter().any(|packet| packet.windows(6).any(|six| six == b"NEEDLE"))
            }
            _ => false,
        };
        let at = case.steps.iter().position(|step| has(&step.ask));
        at.is_some_and(|at| case.steps[at..].iter().any(|step| matches!(step.ask, Ask::Messages(_))))
    };
    let mut tries = 0;
    let small = shrunk(big, STREAM, TRIES, &mut |case| {
        tries += 1;
        holds(case).then(|| case.clone())
    });
    let expected = case([(0, packets(&["NEEDLE"])), (0, Ask::Messages(Vec::new()))]);
    assert_eq!(small.steps, expected.steps);
    assert_eq!(small.peer.transport, STREAM);
    assert!(tries < 500, "{tries}");
}

#[test]
fn batches_become_steps() {
    let small = shrunk(case([(0, packets(&["a", "a", "a"]))]), STREAM, TRIES, &mut |case| {
        let count = |step: &Step| if let Ask::Packets(packets) = &step.ask { packets.len() } else { 0 };
        (case.steps.iter().map(count).sum::<usize>() == 3).then(|| case.clone())
    });
    assert_eq!(small.steps, [(); 3].map(|()| Step { at: 0, ask: packets(&[""]) }));
}

#[test]
fn requests_and_responses_become_notices() {
    let message = |role, id| Message { role, id, ..Message::notice("", "") };
    let messages = vec![message(Role::Request, 5), message(Role::Response, 7)];
    let small = shrunk(case([(0, Ask::Messages(messages))]), MESSAGES, TRIES, &mut |case| {
        let count = |step: &Step| if let Ask::Messages(messages) = &step.ask { messages.len() } else { 0 };
        (case.steps.iter().map(count).sum::<usize>() == 2).then(|| case.clone())
    });
    let notice = || Step { at: 0, ask: Ask::Messages(vec![Message::notice("", "")]) };
    assert_eq!(small.steps, [notice(), notice()]);
    // The simplest client of a codec without streams.
    assert_eq!(small.peer.transport, MESSAGES);
}

#[test]
fn bytes_become_simple() {
    let small = shrunk(case([(5, packets(&["x7\u{e9}!"]))]), STREAM, TRIES, &mut |case| {
        let is_long = |step: &Step| matches!(&step.ask, Ask::Packets(all) if all[..].concat().len() >= 5);
        case.steps.iter().any(is_long).then(|| case.clone())
    });
    assert_eq!(small.steps, [Step { at: 0, ask: Ask::Packets(vec![b"a0\0\0\0".to_vec()]) }]);
}

#[test]
fn shrinking_ends_if_no_case_is_smaller() {
    let big = case((0..50).map(|at| (at, Ask::Tick)));
    // Whatever case is tried, this is the part that runs.
    let run = big.clone();
    let small = shrunk(big, STREAM, TRIES, &mut |_| Some(run.clone()));
    assert_eq!(small.steps, run.steps);
}
