//! Secrets in a codec's options reach the codec and nothing else.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use wireplug::CodecSource;
use wireplug::codec::Options;
use wireplug::config::CompileConfig;
use wireplug::slot::Trial;
use wireplug_tests::folder::Folder;
use wireplug_tests::hostile::Function::{Configure, Decode};
use wireplug_tests::hostile::Guest;
use wireplug_tests::raw::Raw;
use wireplug_tests::server::{self, Setup, TestServer};
use wireplug_tests::{app, chain, log};

use super::{slot, until};

/// The environment variable that holds a secret. Cargo sets it for tests.
const VARIABLE: &str = "CARGO_MANIFEST_DIR";

/// Returns a guest that answers a line with its options: in a message, at `?` as the reason of a
/// rejection, and at `!` as the reason of the end.
fn telling() -> Guest {
    // `result` 1 with the variant `fault`, whose text is the options.
    let at = |byte: u8, fault: u8| {
        format!(
            "(if (i32.eq (i32.load8_u (local.get $packet)) (i32.const {byte}))
               (then (drop (call $two (local.get $at) (i32.const 1) (i32.const {fault})))
                     (drop (call $two (i32.add (local.get $at) (i32.const 8)) (i32.const 4096) (global.get $size)))
                     (return (local.get $at))))"
        )
    };
    let decode = format!(
        "(local $event i32) (local $at i32)
         (local.set $at (call $alloc (i32.const 16)))
         {} {}
         (local.set $event (call $alloc (i32.const 48)))
         (call $message (local.get $event) (i32.const 4096) (global.get $size))
         (call $three (local.get $at) (i32.const 0) (local.get $event) (i32.const 1))",
        at(b'?', 0),
        at(b'!', 1)
    );
    Guest::new("telling")
        .items("(global $size (mut i32) (i32.const 0))")
        .with(
            Configure,
            "(memory.copy (i32.const 4096) (local.get $options) (local.get $length))
             (global.set $size (local.get $length)) (call $honest-configure)",
        )
        .with(Decode, &decode)
}

/// Returns a guest that refuses its options and quotes them.
fn quoting() -> Guest {
    let refuse =
        "(call $three (call $alloc (i32.const 16)) (i32.const 1) (local.get $options) (local.get $length))";
    Guest::new("quoting").with(Configure, refuse)
}

fn source(guest: &Guest, options: impl Into<Options>) -> CodecSource {
    CodecSource::bytes("guest", guest.build(), options)
}

async fn serve(source: CodecSource, cache: &Path) -> TestServer {
    let compile = CompileConfig { cache: Some(cache.to_owned()), ..CompileConfig::default() };
    server::serve(app::with_guests(), Setup { compile, ..server::setup() }, [source]).await
}

/// Returns the options that the codec has in a new session.
async fn had(server: &TestServer) -> Value {
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(b"what?\n").await;
    serde_json::from_str(&client.line().await).expect("options are JSON")
}

/// Returns whether a file of a folder contains a text.
fn contains(folder: &Path, text: &str) -> bool {
    let files: Vec<_> =
        fs::read_dir(folder).expect("the cache was made").map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty(), "nothing is kept at all");
    let has = |path: &Path| fs::read(path).unwrap().windows(text.len()).any(|part| part == text.as_bytes());
    files.iter().any(|path| has(path))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_goes_to_the_codec_and_nowhere_else() {
    const SECRET: &str = "hunter2-of-the-file \"quoted\"";
    let folder = Folder::new("codec");
    folder.replace("secret", format!("{SECRET}\n").as_bytes());
    let variable = std::env::var(VARIABLE).expect("cargo sets it");
    let given = json!({
        "keys": [{ "file": "secret" }],
        "home": { "deep": { "env": VARIABLE } },
        "file": { "file": "not a reference, since it has another key", "env": 1 },
    });
    let options = Options::from(given.clone()).within(&folder.path("."));
    let source = source(&telling(), options);
    assert!(!format!("{source:?}").contains("hunter2"));
    let server = serve(source, &folder.path("cache")).await;

    // The codec gets the secrets.
    let had = had(&server).await;
    assert_eq!(had["keys"], json!([SECRET]));
    assert_eq!(had["home"], json!({ "deep": variable }));
    assert_eq!(had["file"], given["file"]);

    // All that shows the options shows the references.
    let slot = &slot(&server);
    assert_eq!(slot.options().value(), &given);
    let status = slot.status();
    assert_eq!(status.generations[0].options, given);
    assert!(!format!("{status:?} {slot:?} {:?}", slot.options()).contains("hunter2"));

    // The reasons of the codec also show the references, in the log and to the application.
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(b"?\n!\n").await;
    assert_eq!(client.rest().await, b"");
    let line = log::closing_line(client.address()).await;
    assert!(
        line.contains(r#"{"keys":["{"file":"secret"}"]"#) || line.contains(r#"{"file":"secret"}"#),
        "{line}"
    );
    assert_eq!(log::lines(&["the codec dropped a packet", r#"{"file":"secret"}"#]).len(), 1);

    // So do the first differences of a shadow.
    let candidate = CodecSource::bytes("guest", Guest::new("candidate").build(), slot.options());
    slot.try_out(&candidate, Trial::Shadow, 1.0).await.expect("it goes with it");
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(b"mirrored\n").await;
    client.line().await;
    let status = until(slot, "a difference", |status| {
        status.shadow.as_ref().is_some_and(|shadow| !shadow.first.is_empty())
    })
    .await;
    let difference = &status.shadow.as_ref().unwrap().first[0];
    assert!(difference.current.contains(r#"{"file":"secret"}"#), "{difference:?}");
    assert!(!format!("{status:?}").contains("hunter2"));

    assert_eq!(log::lines(&["hunter2-of-the-file"]), [""; 0]);
    assert!(!contains(&folder.path("cache"), "hunter2"));
    assert!(!contains(&folder.path("cache"), &variable));
}

/// Checks that the previous test would find secrets in the cache: without secrets, a configured
/// instance is kept together with its options.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_without_secrets_are_kept_in_the_cache() {
    let folder = Folder::new("codec");
    let server =
        serve(source(&telling(), json!({ "plain": "kept-in-the-cache" })), &folder.path("cache")).await;
    assert_eq!(had(&server).await["plain"], "kept-in-the-cache");
    assert!(contains(&folder.path("cache"), "kept-in-the-cache"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_read_again_whenever_the_codec_is_loaded() {
    let folder = Folder::new("codec");
    folder.replace("secret", b"first-of-them\r\n");
    let options = Options::from(json!({ "key": { "file": folder.path("secret") } }));
    let server = serve(source(&telling(), options), &folder.path("cache")).await;
    let slot = &slot(&server);
    assert_eq!(had(&server).await["key"], "first-of-them");
    assert_eq!(slot.reload().await.expect("it is read"), None, "nothing has changed");

    // The component and the references stay the same.
    folder.replace("secret", b"second-of-them");
    assert_eq!(slot.reload().await.expect("it is read").map(|report| report.to), Some(2));
    assert_eq!(had(&server).await["key"], "second-of-them");
    assert_eq!(slot.reload().await.expect("it is read"), None);

    // A new component gets the secret and not the reference.
    folder.replace("secret", b"third-of-them");
    let sent = CodecSource::bytes("guest", telling().named("sent").build(), slot.options());
    assert_eq!(slot.swap(&sent, None).await.expect("it is good").to, 3);
    assert_eq!(had(&server).await["key"], "third-of-them");
    assert_eq!(
        slot.status().generations.last().unwrap().options,
        json!({ "key": { "file": folder.path("secret") } })
    );

    // A secret that cannot be read changes nothing.
    fs::remove_file(folder.path("secret")).expect("it is there");
    let error = chain(&slot.reload().await.expect_err("it is gone"));
    assert!(error.contains("options.key: the file ") && error.contains(" cannot be read"), "{error}");
    assert_eq!(had(&server).await["key"], "third-of-them");
    assert_eq!(log::lines(&["-of-them"]), [""; 0]);
    assert!(!contains(&folder.path("cache"), "-of-them"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_secret_is_reported_without_it() {
    let folder = Folder::new("codec");
    folder.replace("empty", b"\n");
    folder.replace("binary", b"not-\xff-text");
    folder.replace("large", vec![b'x'; (64 << 10) + 1]);
    fs::create_dir(folder.path("folder")).expect("a new folder");
    let cases = [
        (
            json!({ "key": { "env": "WIREPLUG_IS_NOT_SET" } }),
            "options.key: the environment variable \"WIREPLUG_IS_NOT_SET\" is not set",
        ),
        (json!({ "a": [1, { "b c": { "file": "nowhere" } }] }), "options.a[1].\"b c\": the file "),
        (json!({ "key": { "file": "nowhere" } }), "nowhere cannot be read: "),
        (json!({ "key": { "file": "empty" } }), "empty is empty"),
        (json!({ "key": { "file": "binary" } }), "binary is not UTF-8 text"),
        (json!({ "key": { "file": "large" } }), "large cannot be read: it is larger than 65536 bytes"),
        (json!({ "key": { "file": "folder" } }), "folder cannot be read: it is not a file"),
    ];
    for (options, wanted) in cases {
        let options = Options::from(options).within(&folder.path("."));
        let refused =
            server::try_serve(app::with_guests(), server::setup(), [source(&telling(), options)]).await;
        let error = format!("{:#}", refused.err().expect("it cannot start"));
        assert!(error.starts_with("cannot load the codec guest: ") && error.contains(wanted), "{error}");
        assert!(!error.contains("not-") && !error.contains("xx"), "{error}");
    }
}

/// The error of a codec that quotes a wrong secret shows which option it is, and not the secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_codec_that_quotes_a_secret_is_not_repeated() {
    let folder = Folder::new("codec");
    // Longer than the part of a reason that is shown, with characters that JSON and the log escape.
    let secret = format!("hunter\"3\\{}", "é-very-long-".repeat(40));
    folder.replace("secret", secret.as_bytes());
    let options = Options::from(json!({ "key": { "file": "secret" } })).within(&folder.path("."));
    let refused = server::try_serve(app::with_guests(), server::setup(), [source(&quoting(), options)]).await;
    let error = format!("{:#}", refused.err().expect("it refuses"));
    assert!(
        error.contains("it refuses its options: ") && error.contains(r#"{"key":"{"file":"secret"}""#),
        "{error}"
    );
    assert!(!error.contains("hunter") && !error.contains("very-long"), "{error}");
}
