//! What a trap leaves behind: the text of a panic, the functions that were running, and the input;
//! and guests that lie about it.

use std::sync::Arc;

use wireplug::config::CodecLimits;
use wireplug_core::codec::{
    Codec, CodecError, CodecSession, Encoded, Events, Messages, ResolvedOptions, Secrets,
};
use wireplug_core::framing::Packets;
use wireplug_tests::hostile::Function::{Decode, DecodeBatch, EncodeBatch, Open};
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_wasm::{WasmCodec, WasmEngine, WasmLoader};

use super::trial::Trial;
use super::{at, load, peer, push};

/// The record of an honest guest: no position, and a text.
const PANIC: &str = "src/lib.rs:7:9: boom";

/// Adds a record at 4096 with this position and text, and this length.
fn with_record(guest: Guest, position: u32, length: u32, text: &[u8]) -> Guest {
    let bytes = [&position.to_le_bytes()[..], &length.to_le_bytes(), text].concat();
    let data: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    guest.items(&format!(
        "(global (export \"wireplug_trap\") i32 (i32.const 4096)) (data (i32.const 4096) \"{data}\")"
    ))
}

/// Returns a guest that traps in this way at every packet, with the record of a panic.
fn panicking(body: &str) -> Guest {
    with_record(Guest::new("panicking"), u32::MAX, PANIC.len() as u32, PANIC.as_bytes()).with(Decode, body)
}

/// Returns the error of a session that decodes these packets.
fn error_of(codec: &WasmCodec, packets: &[&[u8]]) -> CodecError {
    let mut session = codec.open(peer(), at(0)).expect("every client is welcome");
    let packets = Arc::new(packets.iter().copied().collect::<Packets>());
    session.decode(&packets, at(1), &mut Events::new()).expect_err("the guest traps")
}

/// Returns how a guest fails to decode a packet.
fn fails(guest: &Guest) -> String {
    error_of(&load(guest), &[b"!?"]).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_has_panic_backtrace_and_packet() {
    let guest = with_record(Guest::new(""), 0, PANIC.len() as u32, PANIC.as_bytes()).strike(bodies::TRAP);
    let trial = Trial::begin(&guest.named("loud")).await;
    let line = trial.ends(b"!\x01\xff\n", "codec-trap").await;
    let expected =
        "codec fault: trap: panicked at src/lib.rs:7:9: boom; backtrace: strike [method]session.decode < ";
    assert!(line.contains(expected), "{line}");
    assert!(line.contains("; input: packet 1 of 1, 3 bytes: 2101ff"), "{line}");
    trial.end().await;
}

#[test]
fn a_guest_without_a_record_has_backtrace_and_packet() {
    let error = fails(&Guest::new("plain").strike(bodies::TRAP));
    assert!(
        error.starts_with(
            "trap: wasm `unreachable` instruction executed; backtrace: strike [method]session.decode < "
        ),
        "{error}"
    );
    assert!(error.ends_with("; input: packet 1 of 1, 2 bytes: 213f"), "{error}");
}

/// The text belongs to a panic, which ends with `unreachable`. Nothing else shows it.
#[test]
fn other_failures_do_not_show_the_text() {
    let boom = |body| fails(&panicking(body));
    assert!(boom("unreachable").starts_with("trap: panicked at src/lib.rs:7:9: boom; "));
    for (body, cause) in [
        ("(i32.load (i32.const -4))", "trap: out of bounds memory access"),
        ("(i32.div_u (i32.const 1) (i32.const 0))", "trap: integer divide by zero"),
        (bodies::RECURSION, "trap: call stack exhausted"),
        (bodies::LOOP, "deadline: more than 10 ms"),
        ("(drop (memory.grow (i32.const 60000))) unreachable", "memory: "),
    ] {
        let error = boom(body);
        assert!(error.starts_with(cause), "{error}");
        assert!(!error.contains("boom") && error.contains("; backtrace: "), "{error}");
        assert!(error.ends_with("; input: packet 1 of 1, 2 bytes: 213f"), "{error}");
    }
}

#[test]
fn texts_are_escaped_and_cut() {
    let shown = |text: &[u8], length: usize| {
        let guest = with_record(Guest::new("text"), 0, length as u32, text).with(Decode, bodies::TRAP);
        let error = fails(&guest);
        assert!(error.len() < 2500 && !error.contains(char::is_control), "{error:?}");
        error.split_once("; backtrace: ").expect("it has one").0.to_owned()
    };
    let controls = b"\x1b[31mred\n2026-01-01 WARN forged\r\0\xe2\x80\xae";
    let escaped = r"trap: panicked at \u{1b}[31mred\n2026-01-01 WARN forged\r\0\u{202e}";
    assert_eq!(shown(controls, controls.len()), escaped);
    assert_eq!(shown(b"a\xffb\xf0\x9f", 5), "trap: panicked at a\u{fffd}b\u{fffd}");
    let long = "trap: panicked at ".to_owned() + &"z".repeat(256 - "panicked at ".len());
    assert_eq!(shown(&[b'z'; 512], 512), long);
    // A length that no SDK writes: none, more than a record has room for, or more than the memory.
    for length in [0, 513, 4 << 20, u32::MAX as usize] {
        assert_eq!(shown(&[b'z'; 600], length), "trap: wasm `unreachable` instruction executed", "{length}");
    }
}

/// The address may lie anywhere, and the exports may be of any kind.
#[test]
fn records_that_cannot_be_read() {
    let memory = |exports: &str| Guest::new("odd").memory(&format!("(memory {exports} 2)"));
    let honest = || memory("(export \"memory\")");
    let at = |address: &str| {
        honest().items(&format!("(global (export \"wireplug_trap\") i32 (i32.const {address}))"))
    };
    for guest in [
        at("-1"),
        at("131072"),
        at("131066"),
        at("0x7fffffff"),
        honest().items("(global (export \"wireplug_trap\") i64 (i64.const 4096))"),
        honest().items("(global (export \"wireplug_trap\") (mut f32) (f32.const 4096))"),
        honest().items("(func (export \"wireplug_trap\"))"),
        honest().items("(table (export \"wireplug_trap\") 1 funcref)"),
    ] {
        let error = fails(&guest.with(Decode, bodies::TRAP));
        assert!(error.starts_with("trap: wasm `unreachable` instruction executed; backtrace: "), "{error}");
    }
    // A record at the very end of the memory has no room for its text.
    let end = at("131064").items("(data (i32.const 131064) \"\\00\\00\\00\\00\\01\")");
    assert!(fails(&end.with(Decode, bodies::TRAP)).starts_with("trap: wasm `unreachable`"));
}

/// The position is only an index into what the host has passed.
#[test]
fn the_position_chooses_a_packet_or_message() {
    let shown = |position: u32| {
        let guest = with_record(Guest::new("batch"), position, 0, b"")
            .with(DecodeBatch, bodies::TRAP)
            .with(EncodeBatch, bodies::TRAP);
        let codec = load(&guest);
        let decoding = error_of(&codec, &[b"one", b"", b"three"]).to_string();
        let mut session = codec.open(peer(), at(0)).expect("every client is welcome");
        let mut messages = Messages::new();
        ["a", "b"].into_iter().for_each(|body| messages.push(push(body)));
        let encoding = session.encode(&Arc::new(messages), at(1), &mut Encoded::default());
        [decoding, encoding.expect_err("it traps").to_string()]
            .map(|error| error.split_once("; input: ").expect("it has one").1.to_owned())
    };
    assert_eq!(
        shown(0),
        ["packet 1 of 3, 3 bytes: 6f6e65", "message 1 of 2, notice \"onChat\", 1 bytes: 61"]
    );
    assert_eq!(shown(1), ["packet 2 of 3, 0 bytes", "message 2 of 2, notice \"onChat\", 1 bytes: 62"]);
    let all = ["3 packets, 8 bytes: 6f6e657468726565", "2 messages, 14 bytes: 6f6e43686174616f6e4368617462"];
    assert_eq!(shown(3), all);
    assert_eq!(shown(u32::MAX), all);
}

#[test]
fn a_long_packet_is_cut() {
    let error = error_of(&load(&Guest::new("long").with(Decode, bodies::TRAP)), &[&[7; 300]]).to_string();
    let shown = format!("; input: packet 1 of 1, 300 bytes: {} and 44 bytes more", "07".repeat(256));
    assert!(error.ends_with(&shown), "{error}");
}

/// Neither the text nor the input shows a secret of the options.
#[test]
fn secrets_are_removed() {
    let text = b"src/lib.rs:1:1: no key s3cret-k3y here";
    let guest = with_record(Guest::new("leaky"), 0, text.len() as u32, text).with(Decode, bodies::TRAP);
    let limits = CodecLimits::default();
    let engine = WasmEngine::new(4, limits.memory).expect("room for few sandboxes");
    let secrets = Secrets::new([("s3cret-k3y", "{\"env\":\"KEY\"}")]);
    let options = ResolvedOptions::new("{}".to_owned(), secrets);
    let codec = WasmLoader::new(&engine, limits).load(&guest.build(), options).expect("it behaves at first");
    let error = error_of(&codec, &[b"<s3cret-k3y>"]).to_string();
    assert!(error.contains("panicked at src/lib.rs:1:1: no key {\"env\":\"KEY\"} here; "), "{error}");
    let hex: String = b"<{\"env\":\"KEY\"}>".iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(error.ends_with(&hex), "{error}");
}

#[test]
fn a_panic_before_the_first_packet_is_shown_too() {
    let guest = with_record(Guest::new("early"), u32::MAX, PANIC.len() as u32, PANIC.as_bytes());
    let error =
        load(&guest.with(Open, bodies::TRAP)).open(peer(), at(0)).err().expect("it traps").to_string();
    assert!(error.starts_with("trap: panicked at src/lib.rs:7:9: boom; backtrace: "), "{error}");
}

/// Names of functions may be of any length, and may hold any text.
#[test]
fn names_of_functions_are_escaped_and_cut() {
    let long = "x".repeat(5000);
    let guest = Guest::new("names")
        .items(&format!("(func $\"{long}\" unreachable) (func $\"red\\1b[31m\\0aline\" (call $\"{long}\"))"))
        .with(Decode, "(call $\"red\\1b[31m\\0aline\") unreachable");
    let error = fails(&guest);
    assert!(
        error.contains(&format!("; backtrace: {} < red\\u{{1b}}[31m\\nline < ", "x".repeat(100))),
        "{error}"
    );
}
