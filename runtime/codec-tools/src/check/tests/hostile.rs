//! Tests that the check finds the flaws of a guest.

use wireplug_core::vectors::Vectors;
use wireplug_tests::hostile::Function::{Decode, DecodeBatch, Encode, EncodeShared, Save};
use wireplug_tests::hostile::{Framing, Guest, bodies};

use crate::check::{Check, Report};

/// Code that answers with the number of packets so far.
const COUNT: &str = "(i32.store8 (i32.const 4096) (i32.add (i32.load8_u (i32.const 4096)) (i32.const 1)))
    (call $honest-decode (i32.const 4096) (i32.const 1))";

/// Returns an honest guest. Its packets may hold any bytes.
fn guest() -> Guest {
    Guest::new("checked").framing(Framing::Length)
}

/// Returns the names of the broken properties, and the sessions that show them.
fn failures(guest: &Guest) -> (Report, Vec<(&'static str, String)>) {
    let report = Check::new(&guest.build()).cases(2000).run(&mut |_| {});
    let failures =
        report.failures().map(|(property, failure)| (property.name(), failure.script.clone())).collect();
    (report, failures)
}

fn assert_fails(guest: &Guest, name: &str, script: &str) {
    let (report, failures) = failures(guest);
    assert_eq!(failures, [(name, script.to_owned())], "{report}");
}

#[test]
fn an_honest_guest_has_all_properties() {
    let (report, failures) = failures(&guest());
    assert_eq!(failures, [], "{report}");
    assert_eq!(report.cases, 2000);
}

/// Checks that a guest fails at the packet `!` for this reason, and that the script shows the
/// functions that were running, and the packet.
fn assert_strikes(guest: &Guest, reason: &str) {
    let (report, failures) = failures(guest);
    let [("robust", script)] = &failures[..] else { panic!("{report}") };
    let begin = format!("session\nin \"!\"\n  # {reason}; backtrace: strike [method]session.decode < ");
    assert!(script.starts_with(&begin), "{report}");
    assert!(script.ends_with("; input: packet 1 of 1, 1 bytes: 21\n"), "{report}");
}

#[test]
fn a_trap_is_found() {
    assert_strikes(&guest().strike(bodies::TRAP), "trap: wasm `unreachable` instruction executed");
}

#[test]
fn a_call_that_never_returns_is_found() {
    assert_strikes(&guest().strike(bodies::LOOP), "deadline: more than 10 ms of CPU time");
}

#[test]
fn a_call_that_needs_too_much_memory_is_found() {
    let (report, failures) = failures(&guest().strike(bodies::GROW));
    let [("robust", script)] = &failures[..] else { panic!("{report}") };
    // The number of wanted bytes depends on the host's memory for the instances.
    assert!(script.starts_with("session\nin \"!\"\n  # memory: "), "{report}");
    assert!(script.contains(" bytes wanted, 16777216 allowed; backtrace: "), "{report}");
}

#[test]
fn batches_without_answers_are_found() {
    let (report, failures) = failures(&guest().with(DecodeBatch, DecodeBatch.honest()));
    let names: Vec<_> = failures.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["decode-batch", "encode-batch"], "{report}");
    let script = "session\nin \"\"\n  request 1 a.b.c \"\"\n  # in `decode-batch`:\n  #   nothing\n";
    assert_eq!(failures[0].1, script);
}

#[test]
fn a_handoff_that_loses_state_is_found() {
    let guest = guest().with(Decode, COUNT).with(Save, Save.honest());
    let script = "session\nin \"\"\n  request 1 a.b.c 01\nhandoff\nin \"\"\n  request 1 a.b.c 02\n  \
                  # after `save` and `restore`:\n  #   request 1 a.b.c 01\n";
    assert_fails(&guest, "handoff", script);
}

#[test]
fn no_packet_is_longer_than_the_codec_allows() {
    let trap_above = |bytes: usize| {
        let is_long = format!("(i32.gt_u (local.get $length) (i32.const {bytes}))");
        guest()
            .max_packet(100)
            .with(Decode, &format!("(if {is_long} (then unreachable)) {}", Decode.honest()))
    };
    let (report, found) = failures(&trap_above(100));
    assert_eq!(found, [], "{report}");
    let (report, found) = failures(&trap_above(99));
    assert!(matches!(found[..], [("robust", _)]), "{report}");
}

/// Returns code that loses 512 bytes with each call: a page in 128 calls.
fn losing(honest: &str) -> String {
    format!(
        "(i32.store8 (i32.const 4100) (i32.add (i32.load8_u (i32.const 4100)) (i32.const 1)))
        (if (i32.eqz (i32.rem_u (i32.load8_u (i32.const 4100)) (i32.const 128)))
            (then (drop (memory.grow (i32.const 1)))))
        {honest}"
    )
}

#[test]
fn memory_that_grows_with_each_call_is_found() {
    let vectors = "session\nin 'x'\n  request 1 a.b.c \"x\"\nout notice onEvent 'y'\n  packet \"y\"\n";
    let vectors = Vectors::parse(vectors).expect("they are good");
    let steady = |guest: &Guest| {
        let report = Check::new(&guest.build()).vectors(&vectors).cases(20).run(&mut |_| {});
        let line = report.to_string().lines().find(|line| line.starts_with("steady")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{report}"))
    };
    assert_eq!(steady(&guest()), "steady         held 4 times");

    for function in [Decode, Encode] {
        let line = steady(&guest().with(function, &losing(function.honest())));
        assert!(
            line.starts_with("steady         WARNING: memory grows by some 512 bytes with each of many "),
            "{line}"
        );
    }
}

#[test]
fn an_answer_that_depends_on_the_push_before_is_found() {
    // Sometimes the cases contain a push that is longer than the guest's buffer, which is another
    // failure.
    let body = format!(
        "(if (i32.gt_u (local.get $body-length) (i32.const 4000)) (then (return {})))",
        EncodeShared.honest()
    );
    let locals = "(local $kept i32) (local $length i32)";
    let last = bodies::LAST_PUSH.replacen(locals, &format!("{locals} {body}"), 1);
    let (report, failures) = failures(&guest().with(EncodeShared, &last));
    let names: Vec<_> = failures.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["stateless"], "{report}");
    let script = &failures[0].1;
    assert!(script.contains("`encode-shared` after another push in the same instance: "), "{script}");
}
