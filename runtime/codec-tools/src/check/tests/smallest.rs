//! Tests that a case is made as small as possible.

use crate::check::TRIES;
use crate::check::case::{Ask, Case, Message, STREAM, Step};
use crate::check::shrink::shrunk;

fn case(asks: impl IntoIterator<Item = (u64, Ask)>) -> Case {
    Case::new("ws", asks.into_iter().map(|(at, ask)| Step { at, ask }).collect())
}

fn packets(packets: &[&str]) -> Ask {
    Ask::Packets(packets.iter().map(|packet| packet.as_bytes().to_vec()).collect())
}

#[test]
fn what_does_not_matter_is_left_out() {
    let long = "noise ".repeat(500);
    let push = Message::push("some route", "some body");
    let big = case([
        (0, packets(&["one", "two"])),
        (10, Ask::Tick),
        (20, packets(&["three", &format!("{long}NEEDLE{long}"), "four"])),
        (30, Ask::Messages(vec![push.clone(), push.clone()])),
        (30, Ask::Farewell("so long".to_owned())),
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
    let small = shrunk(big, TRIES, &mut |case| {
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
    let small = shrunk(case([(0, packets(&["a", "a", "a"]))]), TRIES, &mut |case| {
        let count = |step: &Step| if let Ask::Packets(packets) = &step.ask { packets.len() } else { 0 };
        (case.steps.iter().map(count).sum::<usize>() == 3).then(|| case.clone())
    });
    assert_eq!(small.steps, [(); 3].map(|()| Step { at: 0, ask: packets(&[""]) }));
}

#[test]
fn bytes_become_plain_ones() {
    let small = shrunk(case([(5, packets(&["x7\u{e9}!"]))]), TRIES, &mut |case| {
        let is_long = |step: &Step| matches!(&step.ask, Ask::Packets(all) if all[..].concat().len() >= 5);
        case.steps.iter().any(is_long).then(|| case.clone())
    });
    assert_eq!(small.steps, [Step { at: 0, ask: Ask::Packets(vec![b"a0\0\0\0".to_vec()]) }]);
}

#[test]
fn what_never_gets_smaller_comes_to_an_end() {
    let big = case((0..50).map(|at| (at, Ask::Tick)));
    // Whatever case is tried, this is the part that runs.
    let run = big.clone();
    let small = shrunk(big, TRIES, &mut |_| Some(run.clone()));
    assert_eq!(small.steps, run.steps);
}
