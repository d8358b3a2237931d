//! Codecs of `guest-examples` with one mistake each, of kinds that people make. `wireplug codec
//! check` finds each mistake, and reports a session that shows it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Folder, KEPT, codec, folder};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The parts of the repository that the build of a codec needs.
const SOURCES: &[&str] = &["Cargo.toml", "guest-examples", "guest-sdk", "wit"];

/// Copies the sources of the examples, without build results. Links stay links, because they lead
/// to files within the copy. All files get the current time, so that cargo does not use what it
/// built from the sources with another mistake.
fn copy(folder: &Folder) {
    let mut tar = Command::new("bash");
    let script = format!(
        "tar -C '{ROOT}' --exclude target --exclude build --exclude node_modules --exclude .venv --exclude '*.wasm' -cf - {} | tar -C '{}' -xmf -",
        SOURCES.join(" "),
        folder.root().display()
    );
    assert!(tar.args(["-euo", "pipefail", "-c", &script]).status().expect("there is bash").success());
}

/// Builds an example with a mistake in it. Returns the report of `check`, which must fail.
fn checked(example: &str, name: &str, file: &str, right: &str, wrong: &str) -> String {
    let folder = folder(&format!("wrong-{name}"));
    copy(&folder);
    let project = folder.path("guest-examples").join(example);
    let source = project.join(file);
    let text = fs::read_to_string(&source).expect("there is the file");
    assert_eq!(text.matches(right).count(), 1, "{file} has changed: {right:?} is to be in it once");
    fs::write(&source, text.replace(right, wrong)).expect("it can be written");

    let built = codec(&["build", "--yes"])
        .current_dir(&project)
        .env("CARGO_TARGET_DIR", Path::new(KEPT).join("wrong"))
        .output();
    let built = built.expect("it runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let component: PathBuf = project.join(name).with_extension("wasm");
    let mut check = codec(&["check"]);
    check.arg(&component).arg(vectors(example, name)).args(["--cases", "3000"]);
    let output = check.output().expect("it runs");
    let report = String::from_utf8(output.stdout).expect("it is text");
    println!("{report}");
    assert!(!output.status.success(), "the mistake was not found");
    report
}

/// Returns the vectors of the correct codec.
fn vectors(example: &str, name: &str) -> PathBuf {
    let beside = Path::new(ROOT).join("guest-examples").join(example).join(name).with_extension("vectors");
    // The vectors of Pomelo lie beside the built-in component.
    if beside.exists() { beside } else { Path::new(ROOT).join("runtime/wireplug/codecs/pomelo.vectors") }
}

/// Returns the line of the report about a property.
fn says(report: &str, property: &str) -> String {
    let line = report.lines().find(|line| line.split_whitespace().next() == Some(property));
    line.unwrap_or_else(|| panic!("nothing of {property}")).to_owned()
}

/// A length check allows one byte that is not there.
#[test]
fn a_length_that_is_off_by_one() {
    let report = checked(
        "mqtt",
        "mqtt",
        "src/reader.rs",
        "self.0.split_at_checked(length).ok_or_else(cut)?",
        "if length > self.0.len() + 1 { return Err(cut()) } else { self.0.split_at(length) }",
    );
    assert!(says(&report, "robust").contains("FAILED: trap"), "{report}");
    assert!(report.contains("\nsession\n"), "no session shows it: {report}");
}

/// The memory of each packet is never freed, which a short session does not show.
#[test]
fn memory_that_is_kept_of_each_packet() {
    let report = checked(
        "json-lines",
        "json-lines",
        "src/lib.rs",
        "let Line { id, route, body } = serde_json::from_slice(packet)?;",
        "let Line { id, route, body } = serde_json::from_slice(Vec::leak(packet.repeat(200)))?;",
    );
    let steady = says(&report, "steady");
    assert!(
        steady.contains("FAILED: memory grows by some ") && steady.contains("a session ends after"),
        "{report}"
    );
    // With large packets the codec is slow, so on a slow machine there is a warning.
    assert!(!says(&report, "robust").contains("FAILED"), "{report}");
}

/// The codec refuses the routes that the runtime adds to all options, so no server could load it.
#[test]
fn routes_that_are_refused() {
    let report = checked(
        "mqtt",
        "mqtt",
        "src/lib.rs",
        "wireplug_guest::options(options)?",
        "serde_json::from_str(options).map_err(|error| error.to_string())?",
    );
    assert!(says(&report, "options").contains("FAILED: it refuses `routes`"), "{report}");
    assert!(says(&report, "vectors").contains("held"), "{report}");
}

/// In C, where batches have a loop of their own, a refused message is not handled.
#[test]
fn a_case_that_batches_forget() {
    let report = checked(
        "irc",
        "irc",
        "wireplug/wireplug_batch.c",
        "} else if (outcome == WP_REJECTED) {",
        "} else if (outcome == WP_REJECTED && i == 0) {",
    );
    assert!(says(&report, "encode-batch").contains("FAILED"), "{report}");
    assert!(says(&report, "deterministic").contains("held"), "{report}");
}

/// The handoff does not carry over when the client was last heard, so the client is given up too
/// early. The vectors do not detect this.
#[test]
fn a_handoff_that_loses_something() {
    let report = checked(
        "pomelo/component",
        "pomelo-codec",
        "../protocol/src/session/handoff.rs",
        "saved.extend(self.last_seen.to_be_bytes());",
        "saved.extend(0_u64.to_be_bytes());",
    );
    assert!(says(&report, "handoff").contains("FAILED"), "{report}");
    assert!(says(&report, "vectors").contains("held"), "{report}");
}

/// In Go, a session forgets in a handoff that a frame has come.
#[test]
fn a_state_that_is_not_read() {
    let report =
        checked("digits/go", "digits", "codec.go", "hasFrame: state[2] != 0", "hasFrame: state[2] > 1");
    assert!(says(&report, "handoff").contains("FAILED"), "{report}");
    assert!(says(&report, "robust").contains("held"), "{report}");
}
