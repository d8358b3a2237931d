//! Signed codecs: what a server with `[trust]` loads, refuses, shows and writes down.

use std::fs;

use serde_json::{Value, json};
use wireplug::trust::PrivateKey;
use wireplug_tests::folder::Folder;
use wireplug_tests::running::{Running, Signal};

use super::{Controlled, command, noted, run};

/// A folder with a configuration, and two keys: `release`, and another one.
struct Signing {
    folder: Folder,
    release: PrivateKey,
    other: PrivateKey,
}

impl Signing {
    fn new(name: &str) -> Self {
        let key = || PrivateKey::generate().expect("there are random bytes");
        let signing = Self { folder: Folder::new(&format!("trust-{name}")), release: key(), other: key() };
        signing.folder.write("release.pub", signing.release.public().to_pem());
        signing
    }

    /// Writes a configuration with these keys, and returns its path.
    fn configure(&self, codec: &str, trust: &str) -> String {
        let text = format!(
            "app = 'demo'
            [codecs.chat]
            {codec}
            [[listeners]]
            url = 'tcp://127.0.0.1:0'
            codec = 'chat'
            [control]
            listen = '127.0.0.1:0'
            audit-log = 'audit.log'
            [compile]
            cache = 'cache'
            {trust}"
        );
        self.folder.replace("w.toml", text);
        self.folder.text("w.toml")
    }

    fn trusting_release(&self) -> String {
        self.configure("file = 'chat.wasm'", "[trust.keys.release]\nfile = 'release.pub'")
    }

    fn by_release(&self, wasm: &[u8]) -> Vec<u8> {
        self.release.sign(wasm).expect("it is signed")
    }

    fn by_other(&self, wasm: &[u8]) -> Vec<u8> {
        self.other.sign(wasm).expect("it is signed")
    }

    fn release_id(&self) -> String {
        self.release.public().fingerprint().to_string()
    }

    fn audited(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path("audit.log")).expect("it is there");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }
}

/// Returns the errors of a server that does not start.
fn not_started(config: &str) -> String {
    let mut server = Running::start(command(&["serve"]).arg(config));
    assert_eq!(server.output.rest().next(), None, "it serves");
    assert_eq!(server.exit_code(), Some(1));
    server.log.rest().collect::<Vec<_>>().join("\n")
}

#[test]
fn only_what_a_trusted_key_has_signed_becomes_current_or_a_candidate() {
    let signing = Signing::new("swaps");
    signing.folder.write("chat.wasm", signing.by_release(&noted("trust-one")));
    let server = Controlled::with(&[&signing.trusting_release()]);
    let codec = |arguments: &[&str]| {
        let url = format!("http://{}", server.control);
        run(&[&["codec"], arguments, &["--control", &url]].concat())
    };
    let current = || server.ask("GET", "/codecs/chat", b"").1["current"].clone();
    let list = codec(&["list"]).expect("the server answers");
    assert!(list.contains(" SIGNED BY ") && list.contains(" release "), "{list}");

    // Uploads and trials of what nobody has signed, or somebody else.
    let two = noted("trust-two");
    let keys =
        format!("A codec needs the signature of one of these keys: release ({}). ", signing.release_id());
    for (wasm, why) in [
        (two.clone(), "it is not signed. ".to_owned()),
        (
            signing.by_other(&two),
            format!(
                "it is signed by a key that is not trusted, as it says {}. ",
                signing.other.public().fingerprint()
            ),
        ),
        (
            [signing.by_release(&two), b"\0\x05\x04more".to_vec()].concat(),
            format!("it was changed after it was signed, as it says by release ({}). ", signing.release_id()),
        ),
    ] {
        for query in ["", "?trial=canary&share=1", "?trial=shadow&share=1", "?force=true"] {
            let error = server.refused("PUT", &format!("/codecs/chat{query}"), &wasm, 422);
            assert!(error.contains(&format!("cannot load the codec chat: {why}{keys}")), "{query}: {error}");
        }
    }
    assert_eq!(current(), 1);
    assert!(signing.audited().iter().all(|line| {
        line["outcome"] == "refused"
            && line["to-signed-by"] == json!([])
            && line["reason"].as_str().is_some_and(|why| why.contains(&keys))
    }));
    let refused = signing.audited().len();

    // What is signed, by the trusted key and another one.
    let both = signing.folder.write("two.wasm", signing.by_other(&signing.by_release(&two)));
    let unknown = format!("unknown:{}", signing.other.public().fingerprint());
    let swap = codec(&["swap", "chat", both.to_str().expect("it is text")]).expect("it is trusted");
    assert!(swap.contains(&format!("\n  signed by release, {unknown}\n")), "{swap}");
    let three = signing.by_release(&noted("trust-three"));
    assert_eq!(server.ask("PUT", "/codecs/chat?trial=canary&share=1", &three).0, 200);
    assert_eq!(server.ask("POST", "/codecs/chat/promote", b"").0, 200);
    assert_eq!(server.ask("POST", "/codecs/chat/rollback", b"").0, 200);
    let lines = signing.audited();
    let shown: Vec<_> =
        lines[refused..].iter().map(|line| json!([line["change"], line["to-signed-by"]])).collect();
    assert_eq!(
        shown,
        [
            json!(["swap", ["release", unknown]]),
            json!(["trial", ["release"]]),
            json!(["promote", ["release"]]),
            json!(["rollback", ["release", unknown]]),
        ]
    );
    server.logged("to_signed_by=\"release");
    let status = server.ask("GET", "/codecs/chat", b"").1;
    assert_eq!(status["generations"][0]["signed-by"], json!(["release", unknown]), "{status}");

    // A changed file.
    signing.folder.replace("chat.wasm", &two);
    let line = server.logged("the changed file is refused");
    assert!(line.contains("chat.wasm: it is not signed. "), "{line}");
    assert_eq!(current(), 2);
    signing.folder.replace("chat.wasm", signing.by_release(&noted("trust-four")));
    let line = server.logged("swapped");
    assert!(line.contains("to=4"), "{line}");
}

/// The compiled code of a component is kept on disk, and so is the last component that was loaded.
#[test]
fn what_is_in_the_cache_is_not_trusted_for_that() {
    let signing = Signing::new("cache");
    signing.folder.write("chat.wasm", noted("trust-cached"));
    let config = signing.configure("file = 'chat.wasm'", "");
    drop(Controlled::with(&[&config]));
    let kept = fs::read_dir(signing.folder.path("cache")).expect("there is a cache").count();
    assert!(kept > 2, "{kept} entries");

    let config = signing.trusting_release();
    let why = not_started(&config);
    let file = signing.folder.text("chat.wasm");
    assert!(why.contains(&format!("cannot load the codec {file}: it is not signed. ")), "{why}");
    assert!(
        why.contains(&signing.release_id()) && why.contains("`wireplug codec sign` signs a file"),
        "{why}"
    );
    let why = run(&["config", "check", &config]).expect_err("a check refuses it too");
    assert!(why.contains("it is not signed. "), "{why}");

    // The file is broken, and its last good version is one that nobody has signed.
    signing.folder.replace("chat.wasm", "nothing");
    let why = not_started(&config);
    assert!(why.contains("it is not a WebAssembly component. "), "{why}");

    // With a pin, the signature is needed all the same; and the other way round.
    let one = noted("trust-pinned");
    let signed = signing.by_release(&one);
    let digest = |wasm: &[u8]| wireplug::codec::Digest::of(wasm);
    let pinned = |to: &[u8]| {
        let codec = format!("file = 'chat.wasm'\nsha256 = '{}'", digest(to));
        signing.configure(&codec, "[trust.keys.release]\nfile = 'release.pub'")
    };
    signing.folder.replace("chat.wasm", &one);
    assert!(not_started(&pinned(&one)).contains("it is not signed. "));
    signing.folder.replace("chat.wasm", &signed);
    assert!(not_started(&pinned(&one)).contains("and the slot is pinned to "));
    drop(Controlled::with(&[&pinned(&signed)]));
}

#[test]
fn a_reload_changes_who_is_trusted_and_nothing_that_runs() {
    let signing = Signing::new("reload");
    signing.folder.write("chat.wasm", signing.by_release(&noted("trust-reload")));
    let codec = "file = 'chat.wasm'\nswap.watch = false";
    let config = signing.configure(codec, "[trust.keys.release]\nfile = 'release.pub'");
    let server = Controlled::with(&[&config]);
    let current = || server.ask("GET", "/codecs/chat", b"").1["current"].clone();
    server.refused("PUT", "/codecs/chat", &signing.by_other(&noted("trust-early")), 422);

    // A codec comes together with the key that has signed it.
    signing.folder.replace("chat.wasm", signing.by_other(&noted("trust-other")));
    signing.folder.replace("release.pub", signing.other.public().to_pem());
    server.signal(Signal::HUP);
    assert!(server.logged("reloaded").contains("from=1 to=2"));

    // The key is replaced alone.
    signing.folder.replace("release.pub", signing.release.public().to_pem());
    server.signal(Signal::HUP);
    let line = server.logged("a codec runs on that would not be loaded any more");
    assert!(line.contains("the key that has signed it, release, is not trusted any more. "), "{line}");
    assert_eq!(current(), 2);
    server.say("still there?");
    let late = signing.by_other(&noted("trust-late"));
    assert!(server.refused("PUT", "/codecs/chat", &late, 422).contains("a key that is not trusted"));

    // A file that is no key changes nothing.
    signing.folder.replace("release.pub", "no key");
    server.signal(Signal::HUP);
    server.logged("it is not an Ed25519 public key");
    server.refused("PUT", "/codecs/chat", &late, 422);
    assert_eq!(server.ask("PUT", "/codecs/chat", &signing.by_release(&noted("trust-more"))).0, 200);

    // Without the table every codec is loaded.
    signing.configure(codec, "");
    let diff = run(&["config", "diff", &config, "--control", &format!("http://{}", server.control)]);
    assert!(diff.as_ref().is_ok_and(|text| text.contains("trust: differs; at once\n")), "{diff:?}");
    server.signal(Signal::HUP);
    server.logged("trust: differs");
    assert_eq!(server.ask("PUT", "/codecs/chat", &noted("trust-anybody")).0, 200);
}

#[test]
fn without_require_signatures_are_shown_and_missed() {
    let signing = Signing::new("shown");
    signing.folder.write("chat.wasm", signing.by_other(&noted("trust-shown")));
    let config = signing
        .configure("file = 'chat.wasm'", "[trust]\nrequire = false\nkeys.release.file = 'release.pub'");
    let check = run(&["config", "check", &config]).expect("it is right");
    assert!(
        check.contains("  loads codecs that are signed by release, and others, with a warning\n"),
        "{check}"
    );
    let server = Controlled::with(&[&config]);
    let line = server.logged("a codec is loaded that no trusted key has signed");
    assert!(line.contains("it is signed by a key that is not trusted"), "{line}");
    let status = server.ask("GET", "/codecs/chat", b"").1;
    let unknown = format!("unknown:{}", signing.other.public().fingerprint());
    assert_eq!(status["generations"][0]["signed-by"], json!([unknown]), "{status}");
}

/// Built-in codecs are part of the program. What replaces them is not.
#[test]
fn built_in_codecs_need_no_signature() {
    let signing = Signing::new("built-in");
    let server = Controlled::with(&[
        &signing.configure("builtin = 'pomelo'", "[trust.keys.release]\nfile = 'release.pub'")
    ]);
    let wasm = noted("trust-built-in");
    assert!(server.refused("PUT", "/codecs/chat", &wasm, 422).contains("it is not signed. "));
    assert_eq!(server.ask("PUT", "/codecs/chat", &signing.by_release(&wasm)).0, 200);
    assert_eq!(server.ask("POST", "/codecs/chat/rollback", b"").0, 200);
    let status = server.ask("GET", "/codecs/chat", b"").1;
    assert_eq!(
        (&status["current"], &status["generations"][0]["signed-by"]),
        (&json!(1), &json!([])),
        "{status}"
    );
}
