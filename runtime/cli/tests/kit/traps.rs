//! A codec of each compiled language that panics: its text, its functions and the packet are shown
//! by `codec test`, by `codec check` and in the log of a server.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use wireplug_tests::folder::Folder;
use wireplug_tests::served::Served;

use super::{KEPT, codec, folder};
use crate::program::wireplug;

/// Makes and builds a project whose codec traps in `decode`, at packets that begin with `!`.
fn project(lang: &str, file: &str, before: &str, trap: &str) -> (Folder, PathBuf) {
    let folder = folder(&format!("traps-{lang}"));
    let project = folder.path("lines");
    let made = codec(&["new", "lines", "--lang", lang]).current_dir(folder.root()).status();
    assert!(made.expect("it runs").success());
    let path = project.join(file);
    let source = fs::read_to_string(&path).expect("it is there");
    assert_eq!(source.matches(before).count(), 1, "the template has changed");
    fs::write(&path, source.replace(before, &format!("{trap}{before}"))).expect("it can be written");
    let mut build = codec(&["build", "--yes"]);
    build.current_dir(&project).env("CARGO_TARGET_DIR", Path::new(KEPT).join("cargo"));
    let built = build.output().expect("it runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    (folder, project)
}

/// Returns what a command of a project prints.
fn printed(project: &Path, arguments: &[&str]) -> String {
    let output = codec(arguments).current_dir(project).output().expect("it runs");
    assert!(!output.status.success(), "the codec traps");
    String::from_utf8([output.stdout, output.stderr].concat()).expect("it is text")
}

/// Checks that each way to run the codec shows a text that begins with `panic`, this function, and
/// the packet.
fn is_shown(project: &Path, panic: &str, function: &str) {
    let is_in = |text: &str, input: &str| {
        let found = text.split(panic).skip(1).any(|rest| {
            let Some((backtrace, rest)) = rest.split_once("; input: ") else { return false };
            backtrace.contains(function) && rest.starts_with(input)
        });
        assert!(found, "{panic:?}, {function:?}, {input:?}:\n{text}");
    };
    fs::write(project.join("lines.vectors"), "session\nin '!ab'\n").expect("it can be written");
    is_in(&printed(project, &["test", "lines.wasm"]), "packet 1 of 1, 3 bytes: 216162");
    is_in(&printed(project, &["check", "lines.wasm", "--cases", "2000"]), "packet ");

    // No server loads a codec that traps in its vectors.
    fs::remove_file(project.join("lines.vectors")).expect("it was written");
    // Three packets that come at once are one batch, and the second one traps.
    let mut serve = wireplug(["serve", "--codec", "lines.wasm", "--listen", "tcp://127.0.0.1:0"]);
    let server = Served::start(serve.current_dir(project));
    server.connect().write_all(b"1 a {}\n!ab\n2 a {}\n").expect("it reads");
    is_in(&server.logged("codec-trap"), "packet 2 of 3, 3 bytes: 216162");
}

#[test]
fn in_rust() {
    let before = "        let Some((id, route, body)) = parse(packet) else {\n";
    let trap = "        assert!(!packet.starts_with(b\"!\"), \"boom at {} bytes\", packet.len());\n";
    let (_folder, project) = project("rust", "src/lib.rs", before, trap);
    is_shown(&project, "trap: panicked at src/lib.rs:", "decode");
}

#[test]
fn in_c() {
    let before = "    bool is_text = wp_is_utf8(packet);\n";
    let trap = "    wp_assert(packet.len == 0 || packet.at[0] != '!');\n";
    let (_folder, project) = project("c", "codec.c", before, trap);
    is_shown(&project, "trap: panicked at codec.c:", "decode");
}

#[test]
fn in_go() {
    let before = "\tline := bytes.TrimSuffix(packet, []byte(\"\\r\"))\n";
    let trap =
        "\tif bytes.HasPrefix(packet, []byte(\"!\")) {\n\t\tevents.Reply(packet[len(packet)+1:])\n\t}\n";
    let (_folder, project) = project("go", "codec.go", before, trap);
    is_shown(&project, "trap: panicked at codec.go:", "main.__session_.Decode");
}
