//! Tests that the check finds the flaws of a guest.

use wireplug_core::vectors::Vectors;
use wireplug_tests::hostile::Function::{Decode, DecodeBatch, Encode, EncodeShared, Save};
use wireplug_tests::hostile::{Framing, Guest, bodies};

use crate::check::{Check, Report};

/// Code that answers with the number of packets so far.
const COUNT: &str = "(i32.store8 (i32.const 4096) (i32.add (i32.load8_u (i32.const 4096)) (i32.const 1)))
    (call $honest-decode (local.get $self) (i32.const 4096) (i32.const 1) (local.get $now))";

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
fn an_honest_guest() {
    let (report, failures) = failures(&guest());
    assert_eq!(failures, [], "{report}");
    assert_eq!(report.cases, 2000);
}

#[test]
fn one_that_traps() {
    let trap = "session\nin \"!\"\n  # trap: wasm trap: wasm `unreachable` instruction executed\n";
    assert_fails(&guest().strike(bodies::TRAP), "robust", trap);
}

#[test]
fn one_that_never_comes_back() {
    let deadline = "session\nin \"!\"\n  # deadline: more than 10 ms of CPU time\n";
    assert_fails(&guest().strike(bodies::LOOP), "robust", deadline);
}

#[test]
fn one_that_balloons() {
    let (report, failures) = failures(&guest().strike(bodies::GROW));
    let [("robust", script)] = &failures[..] else { panic!("{report}") };
    // The number of wanted bytes depends on the host's memory for the instances.
    assert!(script.starts_with("session\nin \"!\"\n  # memory: "), "{report}");
    assert!(script.ends_with(" bytes wanted, 16777216 allowed\n"), "{report}");
}

#[test]
fn one_that_forgets_its_batches() {
    let (report, failures) = failures(&guest().with(DecodeBatch, DecodeBatch.honest()));
    let names: Vec<_> = failures.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["decode-batch", "encode-batch"], "{report}");
    let script = "session\nin \"\"\n  message 1 a.b.c \"\"\n  # in `decode-batch`:\n  #   nothing\n";
    assert_eq!(failures[0].1, script);
}

#[test]
fn one_whose_handoff_forgets() {
    let guest = guest().with(Decode, COUNT).with(Save, Save.honest());
    let script = "session\nin \"\"\n  message 1 a.b.c 01\nhandoff\nin \"\"\n  message 1 a.b.c 02\n  \
                  # after `save` and `restore`:\n  #   message 1 a.b.c 01\n";
    assert_fails(&guest, "handoff", script);
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
fn one_that_needs_ever_more_memory() {
    let vectors = "session\nin 'x'\n  message 1 a.b.c \"x\"\nout - onEvent 200 'y'\n  packet \"y\"\n";
    let vectors = Vectors::parse(vectors).expect("they are good");
    let steady = |guest: &Guest| {
        let report = Check::new(&guest.build()).vectors(&vectors).cases(20).run(&mut |_| {});
        let line = report.to_string().lines().find(|line| line.starts_with("steady")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{report}"))
    };
    assert_eq!(steady(&guest()), "steady         held 4 times");

    let honest_encode =
        "(call $honest-encode (local.get $self) (local.get $has-id) (local.get $id) (local.get $route)
        (local.get $route-length) (local.get $body) (local.get $body-length) (local.get $status) (local.get $now))";
    let honest_decode =
        "(call $honest-decode (local.get $self) (local.get $packet) (local.get $length) (local.get $now))";
    for (function, honest) in [(Decode, honest_decode), (Encode, honest_encode)] {
        let line = steady(&guest().with(function, &losing(honest)));
        assert!(
            line.starts_with("steady         WARNING: memory grows by some 512 bytes with each of many "),
            "{line}"
        );
    }
}

#[test]
fn one_that_remembers_pushes_to_many() {
    // Sometimes the cases contain a push that is longer than the guest's buffer, which is another
    // failure.
    let body = format!(
        "(if (i32.gt_u (local.get $body-length) (i32.const 4000)) (then (return {})))",
        EncodeShared.honest()
    );
    let locals = "(local $at i32) (local $kept i32) (local $length i32)";
    let last = bodies::LAST_PUSH.replacen(locals, &format!("{locals} {body}"), 1);
    let (report, failures) = failures(&guest().with(EncodeShared, &last));
    let names: Vec<_> = failures.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["stateless"], "{report}");
    let script = &failures[0].1;
    assert!(script.contains("`encode-shared` after another push in the same instance: "), "{script}");
}
