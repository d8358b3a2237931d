//! Guests that never return, trap, or give invalid answers.

use wireplug_tests::hostile::Function::{Decode, DecodeBatch, EncodeBatch, Open, Tick};
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_tests::raw::Raw;

use super::trial::Trial;

/// Tests guests that misbehave at packets that begin with `!`, while other clients use the same
/// codec.
macro_rules! strikes {
    ($($name:ident: $guest:expr => $cause:literal, $text:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let trial = Trial::begin(&$guest.named(stringify!($name))).await;
            for _ in 0..2 {
                let line = trial.ends(b"!\n", $cause).await;
                assert!(line.contains($text), "{line}");
            }
            trial.end().await;
        }
    )*

        /// Returns all of these guests, each with a packet of a client and the cause of the
        /// connection's end.
        pub(super) fn strikers() -> Vec<Hostile> {
            vec![$(($guest.named(stringify!($name)), b"!\n", $cause)),*]
        }
    };
}

/// Tests guests that misbehave at any packet.
macro_rules! always {
    ($($name:ident: $guest:expr => $cause:literal, $text:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let trial = Trial::alone(&$guest.named(stringify!($name))).await;
            let line = trial.ends(b"?\n", $cause).await;
            assert!(line.contains($text), "{line}");
            trial.end().await;
        }
    )*

        /// Returns all of these guests, each with a packet of a client and the cause of the
        /// connection's end.
        pub(super) fn rogues() -> Vec<Hostile> {
            vec![$(($guest.named(stringify!($name)), b"?\n", $cause)),*]
        }
    };
}

/// A guest, a packet that a client sends, and the cause of the connection's end.
pub(super) type Hostile = (Guest, &'static [u8; 2], &'static str);

fn guest() -> Guest {
    Guest::new("")
}

strikes! {
    loop_in_decode: guest().strike(bodies::LOOP) => "codec-deadline", "more than 10 ms of CPU time";
    loop_in_encode: guest().strike_back(bodies::LOOP) => "codec-deadline", "more than 10 ms of CPU time";
    trap_in_decode: guest().strike(bodies::TRAP) => "codec-trap", "unreachable";
    trap_in_encode: guest().strike_back(bodies::TRAP) => "codec-trap", "unreachable";
    // Honest neighbours use the same codec, and never call its import.
    call_of_an_import: guest().import("wasi:clocks/monotonic-clock@0.2.6").strike("(drop (call $imported)) unreachable")
        => "codec-trap", "it called its import wasi:clocks/monotonic-clock@0.2.6#call, and nothing is behind it";
    deep_recursion: guest().strike(bodies::RECURSION) => "codec-trap", "call stack exhausted";
    // A reply of 8 MiB, which fills the memory.
    oversized_answer: guest().strike(
        "(local $event i32)
         (drop (memory.grow (i32.const 126)))
         (local.set $event (call $alloc (i32.const 48)))
         (call $event (local.get $event) (i32.const 3))
         (drop (call $two (i32.add (local.get $event) (i32.const 8)) (i32.const 0) (i32.const 8388608)))
         (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $event) (i32.const 1))",
    ) => "codec-oversized", "more than a call may hand back";
    // As many empty events as the memory holds.
    countless_events: guest().strike(
        "(call $three (call $alloc (i32.const 16)) (i32.const 0)
           (call $alloc (i32.const 14400000)) (i32.const 300000))",
    ) => "codec-oversized", "more than a call may hand back";
    // The length of the answer's list is wrong.
    events_beyond_memory: guest().strike(
        "(call $three (call $alloc (i32.const 16)) (i32.const 0) (i32.const 65536) (i32.const 1000000))",
    ) => "codec-trap", "out of bounds";
    route_that_is_not_text: guest().items("(data (i32.const 4096) \"a.\\ff\")").strike(
        "(local $event i32)
         (local.set $event (call $alloc (i32.const 48)))
         (call $message (local.get $event) (local.get $packet) (local.get $length))
         (drop (call $two (i32.add (local.get $event) (i32.const 24)) (i32.const 4096) (i32.const 3)))
         (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $event) (i32.const 1))",
    ) => "codec-trap", "utf-8";
    unknown_event: guest().strike(
        "(local $event i32)
         (local.set $event (call $alloc (i32.const 48)))
         (call $event (local.get $event) (i32.const 8))
         (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $event) (i32.const 1))",
    ) => "codec-trap", "discriminant";
    handle_bomb: guest().strike("(loop $again (drop (call $new (i32.const 1))) (br $again)) unreachable")
        => "codec-trap", "handle limit exceeded";
    // A copy cannot be interrupted, so only the size of the memory limits it. This guest copies
    // nearly 16 MiB, again and again.
    large_copies: guest().strike(
        "(drop (memory.grow (i32.const 253)))
         (loop $again (memory.copy (i32.const 8192) (i32.const 16384) (i32.const 16695296)) (br $again)) unreachable",
    ) => "codec-deadline", "more than 10 ms of CPU time";
    copy_of_a_gigabyte: guest().strike(
        "(memory.copy (i32.const 0) (i32.const 65536) (i32.const 1073741824)) unreachable",
    ) => "codec-trap", "out of bounds";
    timer_without_a_clock: guest().strike(
        "(local $event i32)
         (local.set $event (call $alloc (i32.const 48)))
         (call $event (local.get $event) (i32.const 4))
         (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $event) (i32.const 1))",
    ) => "codec-violation", "a timer event from a codec that does not export the interface it needs";
    hello_without_a_handshake: guest().strike(
        "(local $event i32)
         (local.set $event (call $alloc (i32.const 48)))
         (call $event (local.get $event) (i32.const 0))
         (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $event) (i32.const 1))",
    ) => "codec-violation", "a hello event from a codec that does not export the interface it needs";
    established_twice: guest().strike(
        "(local $event i32)
         (local.set $event (call $alloc (i32.const 48)))
         (call $event (local.get $event) (i32.const 1))
         (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $event) (i32.const 1))",
    ) => "codec-violation", "an `established` event that was not due";
}

always! {
    loop_in_open: guest().with(Open, bodies::LOOP) => "codec-deadline", "more than 250 ms of CPU time";
    loop_in_tick: guest().with(Tick, bodies::LOOP) => "codec-deadline", "more than 10 ms of CPU time";
    loop_in_decode_batch: guest().with(DecodeBatch, bodies::LOOP) => "codec-deadline", "more than 10 ms";
    trap_in_open: guest().with(Open, bodies::TRAP) => "codec-trap", "unreachable";
    message_before_established: guest().handshake() => "codec-violation", "a message before `established`";
    // A session that the guest has not made.
    forged_session: guest().with(Open, "(call $two (call $alloc (i32.const 16)) (i32.const 0) (i32.const 7))")
        => "codec-trap", "unknown handle index 7";
    // One head for a packet that was not in the batch.
    unknown_packet: guest().with(DecodeBatch,
        "(local $head i32)
         (local.set $head (call $head (i32.const 3)))
         (i32.store offset=4 (local.get $head) (i32.const 1))
         (call $events (i32.const 0) (i32.const 0) (local.get $head) (i32.const 1))",
    ) => "codec-violation", "a packet index is out of order or out of range";
    // One head whose body ends after the buffer.
    offset_past_the_end: guest().with(DecodeBatch,
        "(local $head i32)
         (local.set $head (call $head (i32.const 3)))
         (i32.store offset=32 (local.get $head) (i32.const 5))
         (call $events (i32.const 0) (i32.const 4) (local.get $head) (i32.const 1))",
    ) => "codec-violation", "an offset is out of order or out of range";
    // One message whose body ends before its route.
    offsets_out_of_order: guest().with(DecodeBatch,
        "(local $head i32)
         (local.set $head (call $head (i32.const 2)))
         (i32.store offset=28 (local.get $head) (i32.const 4))
         (i32.store offset=32 (local.get $head) (i32.const 2))
         (call $events (i32.const 0) (i32.const 4) (local.get $head) (i32.const 1))",
    ) => "codec-violation", "an offset is out of order or out of range";
    // A route of one byte that is not UTF-8.
    route_that_is_not_text_in_a_batch: guest().items("(data (i32.const 4096) \"\\ff\")").with(DecodeBatch,
        "(local $head i32)
         (local.set $head (call $head (i32.const 2)))
         (i32.store offset=28 (local.get $head) (i32.const 1))
         (i32.store offset=32 (local.get $head) (i32.const 1))
         (call $events (i32.const 4096) (i32.const 1) (local.get $head) (i32.const 1))",
    ) => "codec-violation", "a route is not valid UTF-8";
    // A refused message that was not in the batch.
    unknown_message: guest().with(DecodeBatch,
        "(local $head i32)
         (local.set $head (call $head (i32.const 2)))
         (i32.store8 offset=8 (local.get $head) (i32.const 1))
         (i64.store offset=16 (local.get $head) (i64.const 1))
         (call $events (i32.const 0) (i32.const 0) (local.get $head) (i32.const 1))",
    ).with(EncodeBatch,
        "(local $at i32) (local $refusal i32)
         (local.set $refusal (call $three (call $alloc (i32.const 16)) (i32.const 7) (i32.const 0) (i32.const 0)))
         (local.set $at (call $alloc (i32.const 36)))
         (memory.fill (local.get $at) (i32.const 0) (i32.const 36))
         (drop (call $two (i32.add (local.get $at) (i32.const 28)) (local.get $refusal) (i32.const 1)))
         (local.get $at)",
    ) => "codec-violation", "a message index is out of order or out of range";
}

/// The guest is honest a million times before it traps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_after_a_million_calls() {
    const MILLION: usize = 1_000_000;
    let body = format!(
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
         (if (i32.gt_u (global.get $calls) (i32.const {MILLION})) (then unreachable))
         (call $three (call $alloc (i32.const 16)) (i32.const 0) (i32.const 0) (i32.const 0))"
    );
    let guest = guest()
        .named("trap_after_a_million_calls")
        .items("(global $calls (mut i32) (i32.const 0))")
        .with(Decode, &body);
    let trial = Trial::alone(&guest).await;
    let mut client = Raw::connect(&trial.server.tcp()).await;
    let said = b"x\n".repeat(MILLION / 10);
    for _ in 0..10 {
        client.send(&said).await;
    }
    trial.server.until("a million packets", |stats| stats.packets_in >= MILLION as u64).await;
    assert_eq!(trial.server.stats().closes, [].into());
    client.send(b"x\n").await;
    assert_eq!(client.rest().await, b"");
    trial.server.until_closed("codec-trap", 1).await;
    trial.end().await;
}

/// The guest is honest for a hundred packets before it traps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_after_a_hundred_calls() {
    let guest =
        guest().named("trap_after_a_hundred_calls").items("(global $calls (mut i32) (i32.const 0))").with(
            Decode,
            "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
             (if (i32.gt_u (global.get $calls) (i32.const 100)) (then unreachable))
             (call $honest-decode (local.get $packet) (local.get $length))",
        );
    let trial = Trial::alone(&guest).await;
    for _ in 0..3 {
        let mut client = Raw::connect(&trial.server.tcp()).await;
        for n in 0..100 {
            client.send(format!("{n}\n").as_bytes()).await;
            assert_eq!(client.line().await, n.to_string());
        }
        client.send(b"over\n").await;
        assert_eq!(client.rest().await, b"");
        let line = trial.closing_line(client.address()).await;
        assert!(line.contains("cause=\"codec-trap\""), "{line}");
    }
    assert_eq!(trial.server.until_closed("codec-trap", 3).await.closes.len(), 1);
    trial.end().await;
}

/// The guest never encodes anything. That is no fault, because a message may have no form on the
/// wire.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_no_fault() {
    let silent = "(call $three (call $alloc (i32.const 16)) (i32.const 0) (i32.const 0) (i32.const 0))";
    let guest = guest().named("silence").strike_back(silent);
    let trial = Trial::begin(&guest).await;
    let mut client = Raw::connect(&trial.server.tcp()).await;
    client.send(b"!one\n!two\nthree\n").await;
    assert_eq!(client.line().await, "three");
    drop(client);
    trial.server.until_closed("client-closed", 1).await;
    trial.end().await;
}

/// The guest sets its timer to zero again and again. The runtime calls it at most once a
/// millisecond.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restlessness_harms_nobody() {
    let guest = guest().named("restless").with(
        Tick,
        "(local $event i32)
         (local.set $event (call $alloc (i32.const 48)))
         (call $event (local.get $event) (i32.const 4))
         (call $two (call $alloc (i32.const 8)) (local.get $event) (i32.const 1))",
    );
    let trial = Trial::begin(&guest).await;
    trial.neighbours_go_on().await;
    trial.end().await;
}

/// A thousand replies to one packet arrive at a client that reads them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_replies_all_arrive() {
    let guest = guest().named("eager").strike(
        "(local $events i32) (local $at i32) (local $left i32)
         (local.set $events (call $alloc (i32.const 48000)))
         (local.set $at (local.get $events))
         (local.set $left (i32.const 1000))
         (loop $again
           (call $event (local.get $at) (i32.const 3))
           (drop (call $two (i32.add (local.get $at) (i32.const 8)) (local.get $packet) (local.get $length)))
           (local.set $at (i32.add (local.get $at) (i32.const 48)))
           (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
         (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $events) (i32.const 1000))",
    );
    let trial = Trial::begin(&guest).await;
    let mut client = Raw::connect(&trial.server.tcp()).await;
    for _ in 0..10 {
        client.send(b"!\nnext\n").await;
        for _ in 0..1000 {
            assert_eq!(client.line().await, "!");
        }
        assert_eq!(client.line().await, "next");
    }
    trial.neighbours_go_on().await;
    drop(client);
    trial.end().await;
}

/// A client that makes a guest trap and disconnects at once does not hide the trap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_behind_a_hang_up_is_seen() {
    let trial = Trial::begin(&guest().named("trap_and_run").strike(bodies::TRAP)).await;
    for _ in 0..3 {
        let mut client = Raw::connect(&trial.server.tcp()).await;
        client.send(b"!\n").await;
        client.finish().await;
    }
    assert_eq!(trial.server.until_closed("codec-trap", 3).await.closes.len(), 1);
    trial.end().await;
}
