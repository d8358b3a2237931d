//! Text from guests is escaped, cut and logged in one line.

use wireplug::config::CodecLimits;
use wireplug_tests::hostile::Guest;
use wireplug_tests::hostile::heavy::importing;
use wireplug_tests::log;
use wireplug_wasm::{WasmEngine, WasmLoader};

use super::trial::Trial;

/// Returns a body that closes with this many bytes at 4096 as the reason.
fn closes(length: usize) -> String {
    format!(
        "(local $event i32)
         (local.set $event (call $alloc (i32.const 48)))
         (call $event (local.get $event) (i32.const 7))
         (drop (call $two (i32.add (local.get $event) (i32.const 12)) (i32.const 4096) (i32.const {length})))
         (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $event) (i32.const 1))"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_characters_are_escaped() {
    let text = "\\1b[31mred\\0a2026-01-01 WARN forged line\\0d\\00";
    let guest =
        Guest::new("forger").items(&format!("(data (i32.const 4096) \"{text}\")")).strike(&closes(38));
    let trial = Trial::begin(&guest).await;
    let line = trial.ends(b"!\n", "protocol").await;
    assert!(line.contains("protocol: \\u{1b}[31mred\\n2026-01-01 WARN forged line\\r\\0"), "{line}");
    assert!(!line.contains('\u{1b}'), "{line:?}");
    let forged = log::lines(&["forged line"]);
    assert!(forged.iter().all(|line| line.contains("codec=\"forger\"")), "{forged:?}");
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_reasons_are_cut() {
    let body = format!(
        "(memory.fill (i32.const 4096) (i32.const 122) (i32.const 100000))
         (global.set $heap (i32.const 110000))
         (call $close)
         ) (func $close (result i32)
         {}",
        closes(100_000)
    );
    let trial = Trial::begin(&Guest::new("chatterbox").strike(&body)).await;
    let line = trial.ends(b"!\n", "protocol").await;
    assert!(line.contains(&"z".repeat(256)), "{line}");
    assert!(!line.contains(&"z".repeat(257)), "{line}");
    trial.end().await;
}

/// Sixty imports with names of a hundred kilobytes each, which contain control characters.
#[test]
fn names_of_imports() {
    let name = |number: usize| format!("url=<x:{number}\u{1b}[31m\n{}>", "x".repeat(90_000));
    let names: Vec<_> = (0..60).map(name).collect();
    let wasm = importing(&names);
    let limits = CodecLimits::default();
    let engine = WasmEngine::new(1, limits.memory).expect("room for few sandboxes");
    let loader = WasmLoader::new(&engine, limits);
    let error = loader.load(&wasm, "{}".into()).err().expect("it imports").to_string();
    let inspection = loader.inspect(&wasm);
    let json = serde_json::to_string(&inspection).expect("it is JSON");
    for text in [&error, &json, &inspection.to_string().replace('\n', " ")] {
        assert!(text.len() < 40_000, "{} bytes", text.len());
        assert!(!text.contains(char::is_control), "{text}");
    }
    assert!(error.starts_with("it imports url=<x:0\\u{1b}[31m\\nxxx"), "{error}");
    assert!(error.contains(" and 44 more: a codec may import nothing"), "{error}");
    assert_eq!(inspection.imports.len(), 60);
}

/// The validator's errors quote names of exports.
#[test]
fn names_in_errors() {
    let text = "(component (import \"a\" (func)) (import \"A\\1b[31m\\n\" (func)))";
    let wasm = wat::parse_str(text).expect("well-formed");
    let limits = CodecLimits::default();
    let engine = WasmEngine::new(1, limits.memory).expect("room for few sandboxes");
    let error = WasmLoader::new(&engine, limits).load(&wasm, "{}".into()).err().expect("no name").to_string();
    assert!(error.starts_with("it does not compile: ") && !error.contains(char::is_control), "{error:?}");
}
