//! Files that are refused when they are loaded, with the problem and the advice.

use serde_json::{Value, json};
use wireplug::CodecSource;
use wireplug_tests::app;
use wireplug_tests::client::Client;
use wireplug_tests::hostile::Function::{Configure, Open};
use wireplug_tests::hostile::{Guest, VERSION, bodies};
use wireplug_tests::raw::Raw;
use wireplug_tests::server;

/// Returns the error of a server that should start with this file.
async fn refusal(wasm: Vec<u8>, options: Value) -> String {
    let source = CodecSource::bytes("suspect", wasm, options);
    match server::try_serve(app::with_guests(), server::setup(), [source]).await {
        Ok(_) => panic!("the codec was loaded"),
        Err(error) => format!("{error:#}"),
    }
}

async fn refused(wasm: Vec<u8>, text: &str) {
    let error = refusal(wasm, json!({})).await;
    assert!(error.starts_with("cannot load the codec suspect: "), "{error}");
    assert!(error.contains(text), "{error}");
}

#[tokio::test]
async fn what_is_not_wasm() {
    refused(b"#!/bin/sh".to_vec(), "it is not a WebAssembly file").await;
    refused(Vec::new(), "it is not a WebAssembly file").await;
    refused(vec![0; 100_000], "it is not a WebAssembly file").await;
    refused(b"\0asm\x0d\0\x01\0garbage".to_vec(), "it does not compile").await;
}

#[tokio::test]
async fn a_core_module() {
    refused(
        Guest::new("core").module(),
        "it is a core module, not a component: link it with wasm-component-ld",
    )
    .await;
}

#[tokio::test]
async fn a_file_that_is_cut() {
    let wasm = Guest::new("cut").build();
    let step = wasm.len() / 40;
    for length in (0..wasm.len()).step_by(step).chain([wasm.len() - 1]).skip(1) {
        let error = refusal(wasm[..length].to_vec(), json!({})).await;
        let expected = ["it is not a WebAssembly file", "it does not compile", "it does not export"];
        assert!(expected.iter().any(|text| error.contains(text)), "{length} bytes: {error}");
    }
}

#[tokio::test]
async fn an_import_by_its_name() {
    let guest = Guest::new("importer").import("test:host/clock@1.0.0");
    let text = "it imports test:host/clock@1.0.0: a codec may import nothing";
    refused(guest.build(), text).await;
    // `allow_unused_wasi` does not allow this import.
    let source = CodecSource::bytes("suspect", guest.build(), json!({})).allow_unused_wasi(true);
    let refused = server::try_serve(app::with_guests(), server::setup(), [source]).await.err();
    assert!(refused.is_some_and(|error| format!("{error:#}").contains(text)));
}

#[tokio::test]
async fn an_import_of_wasi_unless_it_is_let_in() {
    let guest = Guest::new("importer").import("wasi:clocks/monotonic-clock@0.2.6");
    let text = "it imports wasi:clocks/monotonic-clock@0.2.6: a codec may import nothing. To mend it, for Rust, build for \
                wasm32-unknown-unknown";
    refused(guest.build(), text).await;
    refused(guest.build(), "`allow-unused-wasi` lets them in, each a trap").await;

    let source = CodecSource::bytes("unused", guest.build(), json!({})).allow_unused_wasi(true);
    let server = server::serve(app::with_guests(), server::setup(), [source]).await;
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(b"nobody calls it\n").await;
    client.expect(b"nobody calls it\n").await;

    // The import is called while the codec is loaded, when no connection could end because of it.
    let called = guest.with(Configure, "(drop (call $imported)) unreachable");
    let source = CodecSource::bytes("suspect", called.build(), json!({})).allow_unused_wasi(true);
    let error = server::try_serve(app::with_guests(), server::setup(), [source]).await.err().expect("a trap");
    let text = "it called its import wasi:clocks/monotonic-clock@0.2.6#call, and nothing is behind it";
    assert!(format!("{error:#}").contains(text), "{error:#}");
}

#[tokio::test]
async fn another_version_of_the_contract() {
    for version in ["0.1.0", "0.3.0"] {
        let text = format!(
            "it exports wireplug:codec/codec@{version}, and this runtime speaks version {VERSION}: rebuild it"
        );
        refused(Guest::new("other").contract(version).build(), &text).await;
    }
}

#[tokio::test]
async fn a_component_that_is_no_codec() {
    let wasm = wat::parse_str("(component)").expect("well-formed");
    refused(wasm, "it does not export wireplug:codec/codec@0.2.0").await;
}

#[tokio::test]
async fn harm_at_the_start() {
    let looping = Guest::new("looper").start(bodies::LOOP.trim_end_matches(" unreachable"));
    refused(looping.build(), "more than 250 ms of CPU time").await;
    refused(Guest::new("trap").start(bodies::TRAP).build(), "unreachable").await;
    refused(Guest::new("loop").with(Configure, bodies::LOOP).build(), "more than 250 ms of CPU time").await;
    refused(Guest::new("trap").with(Configure, bodies::TRAP).build(), "it cannot take its options: trap")
        .await;
    let large = Guest::new("large").memory("(memory (export \"memory\") 257)");
    refused(large.build(), "memory").await;
}

#[tokio::test]
async fn options_that_it_refuses() {
    let body = "(call $three (call $alloc (i32.const 16)) (i32.const 1) (i32.const 4096) (i32.const 14))";
    let guest =
        Guest::new("picky").items("(data (i32.const 4096) \"not\\0athese\\1b[1m\")").with(Configure, body);
    refused(guest.build(), "it refuses its options: not\\nthese\\u{1b}[1m").await;
}

/// A failed start leaves nothing behind and does not affect another server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_servers_do_not_notice() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let mut client = Client::connect(&server.tcp()).await;
    refused(b"no".to_vec(), "it is not a WebAssembly file").await;
    assert_eq!(client.call(app::ECHO, &json!(1)).await, json!(1));
}

/// Refusing a client is not a fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_it_refuses() {
    let body = "(call $three (call $alloc (i32.const 16)) (i32.const 1) (i32.const 4096) (i32.const 9))";
    let guest = Guest::new("haughty").items("(data (i32.const 4096) \"not\\0a\\1byou!\")").with(Open, body);
    let trial = super::trial::Trial::alone(&guest).await;
    let line = trial.ends(b"?\n", "refused").await;
    assert!(line.contains("the codec refused the client: not\\n\\u{1b}you!"), "{line}");
    trial.end().await;
}
