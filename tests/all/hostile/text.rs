//! Text that guests hand over: it goes into the log in one line, escaped and cut.

use wireplug_tests::hostile::Guest;
use wireplug_tests::log;

use super::trial::Trial;

/// Closes with the reason that lies at 4096 and has so many bytes.
fn closes(length: usize) -> String {
    format!(
        "(local $event i32)
         (local.set $event (call $alloc (i32.const 48)))
         (call $event (local.get $event) (i32.const 5))
         (drop (call $two (i32.add (local.get $event) (i32.const 8)) (i32.const 4096) (i32.const {length})))
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
