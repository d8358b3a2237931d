//! `wireplug codec`, as authors of codecs use it.

use std::fs;

use wireplug_tests::folder::Folder;
use wireplug_tests::hostile::{Framing, Guest, bodies};
use wireplug_tests::running::{Finished, finish};

use super::MANIFEST;
use super::program::wireplug;

const POMELO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wireplug/codecs/pomelo.wasm");
const NOTHING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../codec-tools/nothing.wasm");
const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wireplug/codecs/pomelo.vectors");

#[test]
fn inspect_tells_what_a_component_is() {
    let text = printed(&["inspect", POMELO]);
    for line in [
        "codec        pomelo 0.1.0\n",
        "contract     0.2.0\n",
        "streams      a length of 3 bytes, big-endian, after the first byte of each packet\n",
        "bodies       JSON\n",
        "runs         in the standard pool\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&printed(&["inspect", POMELO, "--json"])).expect("JSON");
    assert_eq!(json["description"]["name"], "pomelo");
    assert_eq!(json["size"], fs::metadata(POMELO).expect("it is there").len());
}

#[test]
fn inspect_tells_why_a_file_would_be_refused() {
    assert!(printed(&["inspect", MANIFEST]).contains("refused      it is not a WebAssembly file\n"));
    let (code, _, error) = fails(&["inspect", "/nowhere/x.wasm"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("cannot read the codec /nowhere/x.wasm"), "{error}");
}

#[test]
fn bench_measures_beside_a_codec_that_does_nothing() {
    let file = Vectors::new("measured", "session\nin 'hello'\n  notice '' 'hello'\n");
    let text = printed(&["bench", NOTHING, &file.path(), "--rounds", "1"]);
    assert!(text.starts_with("nothing 0.1.0, beside a codec that does nothing\n"), "{text}");
    for begins in ["open and close a session", "memory a session", "2     decode: in 'hello'  5      1 "] {
        assert!(text.lines().any(|line| line.starts_with(begins)), "{begins}: {text}");
    }
    let json = printed(&["bench", NOTHING, &file.path(), "--rounds", "1", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["costs"].as_array().map(Vec::len), Some(3), "{json}");
    assert_eq!(json["costs"][2]["batch"], 64, "{json}");
    assert_eq!(json["costs"][2]["codec"]["fuel"], json["costs"][2]["nothing"]["fuel"], "{json}");
}

#[test]
fn bench_says_what_it_needs() {
    let (code, _, error) = fails(&["bench", NOTHING, "/nowhere/x.vectors"]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("there are no vectors at /nowhere/x.vectors") && error.contains("--update"),
        "{error}"
    );
    let file = Vectors::new("once", "session\n");
    let (_, _, error) = fails(&["bench", NOTHING, &file.path(), "--rounds", "1"]);
    assert!(
        error.contains("the vectors have no packet and no message: there is nothing to measure"),
        "{error}"
    );
}

#[test]
fn test_replays_the_vectors_beside_the_component() {
    let text = printed(&["test", POMELO]);
    assert!(
        text.contains("pomelo.vectors: all ") && text.ends_with(" steps are answered as they should be\n"),
        "{text}"
    );
}

#[test]
fn test_shows_the_difference_and_update_writes_it() {
    let right = fs::read_to_string(VECTORS).expect("it is there");
    let wrong =
        right.replacen("reply 04 04 01 '{\"code\":404}'", "reply 04 04 01 '{\"code\":500}'  # kept?", 1);
    let file = Vectors::new("wrong", &wrong);
    let difference = "in 04 01 01 00 04 \"{}\"\n-   reply 04 04 01 '{\"code\":500}'\n+   reply 04 04 01 '{\"code\":404}'\n";

    let (code, text, error) = fails(&["test", POMELO, &file.path()]);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("line ") && text.ends_with(difference), "{text}");
    assert!(
        error.contains("wrong.vectors: 1 of ") && error.contains(" are not answered as they should be"),
        "{error}"
    );
    assert_eq!(file.read(), wrong);

    let text = printed(&["test", POMELO, &file.path(), "--update"]);
    assert!(text.contains(difference), "{text}");
    assert!(
        text.contains("wrong.vectors: the answers to 1 of ") && text.ends_with(" are written anew\n"),
        "{text}"
    );
    assert_eq!(file.read(), right);
}

#[test]
fn test_says_which_lines_are_wrong_and_which_steps_failed() {
    let file = Vectors::new("lines", "session\nnonsense\nin 0\n");
    let (code, _, error) = fails(&["test", POMELO, &file.path()]);
    assert_eq!(code, Some(1));
    for line in ["lines.vectors:2: \"nonsense\" is no step", "lines.vectors:3: \"0\" is neither hex"] {
        assert!(error.contains(line), "{error}");
    }

    // A session gets no call after its farewell.
    let failing = "session\nfarewell kicked 'bye'\nin 00\nsession\nin 00\n";
    let file = Vectors::new("failing", failing);
    let (code, text, error) = fails(&["test", POMELO, &file.path(), "--update"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("line 3: in 00\n!   "), "{text}");
    assert!(error.contains("1 of 5 steps failed, and have no answer to write"), "{error}");
    assert_eq!(file.read(), format!("{failing}  fatal \"package type 0 is not 1 to 5\"\n"));

    let file = Vectors::new("options", "options {\"nope\": 1}\n");
    let (_, _, error) = fails(&["test", POMELO, &file.path()]);
    assert!(error.contains("it refuses its options: unknown option `nope`"), "{error}");
    let (_, _, error) = fails(&["test", MANIFEST]);
    assert!(
        error.contains("there is no ") && error.contains("Cargo.vectors: write a line `session`"),
        "{error}"
    );
}

#[test]
fn check_tells_what_held() {
    let text = printed(&["check", POMELO, "--cases", "100", "--seed", "5"]);
    for line in ["loads          held\n", "robust         held 100 times\n", "100 cases, seed 5\n"] {
        assert!(text.contains(line), "{text}");
    }
    let json = printed(&["check", POMELO, VECTORS, "--case", "7", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["cases"], &json["seed"]), (&1.into(), &1.into()));
    let found = json["findings"].as_array().expect("a list");
    let robust = found.iter().find(|finding| finding["property"] == "robust").expect("it is reported");
    assert_eq!(robust["outcome"]["held"]["times"], 1, "{json}");
}

#[test]
fn check_tells_the_smallest_session_that_fails_and_finds_it_again() {
    let folder = Folder::new("codec-trap");
    let guest = Guest::new("trap").framing(Framing::Length).strike(bodies::TRAP);
    folder.write("trap.wasm", guest.build());
    let file = &*folder.text("trap.wasm");

    let (code, text, error) = fails(&["check", file, "--cases", "2000"]);
    assert_eq!(code, Some(1));
    let (_, rest) = text.split_once("\nrobust FAILED in case ").expect("it traps");
    let (case, rest) = rest.split_once(": trap: ").expect("it is said how it fails");
    assert!(rest.contains("\n\nsession\nin \"!\"\n  # trap: "), "{text}");
    assert!(error.contains("trap.wasm does not keep what every codec promises: robust"), "{error}");

    let (_, text, _) = fails(&["check", file, "--case", case]);
    assert!(text.contains(&format!("1 case, seed 1\n\nrobust FAILED in case {case}: trap: ")), "{text}");
}

#[test]
fn check_says_what_is_wrong_with_its_arguments() {
    for (arguments, wrong) in [
        (["--options", "[1]"], "options are a JSON object: invalid type"),
        (["--limits", "{\"call-cpu\": \"soon\"}"], "\"soon\" is not a time such as"),
        (["--time", "10"], "a time above zero has a whole number and a unit"),
    ] {
        let (code, _, error) = fails(&["check", POMELO, arguments[0], arguments[1]]);
        assert_eq!(code, Some(2));
        assert!(error.contains(wrong), "{error}");
    }
    let (_, text, _) = fails(&["check", MANIFEST]);
    assert!(
        text.contains("loads          FAILED: the codec does not load: it is not a WebAssembly file"),
        "{text}"
    );
}

/// A file of vectors in a folder of its own.
struct Vectors(Folder, String);

impl Vectors {
    fn new(name: &str, text: &str) -> Self {
        let folder = Folder::new(&format!("codec-{name}"));
        folder.write(&format!("{name}.vectors"), text);
        Self(folder, format!("{name}.vectors"))
    }

    fn path(&self) -> String {
        self.0.text(&self.1)
    }

    fn read(&self) -> String {
        fs::read_to_string(self.path()).expect("it is there")
    }
}

fn finished(arguments: &[&str]) -> Finished {
    finish(wireplug(["codec"]).args(arguments))
}

/// Returns the output of a command that must succeed.
#[track_caller]
fn printed(arguments: &[&str]) -> String {
    finished(arguments).printed()
}

/// Returns the exit code, the output and the errors of a command that must fail.
#[track_caller]
fn fails(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Finished { code, output, errors } = finished(arguments);
    assert_ne!(code, Some(0), "{arguments:?}: {output}");
    (code, output, errors)
}
