//! C: how the SDK handles mistakes of authors, and which compiler is used.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::{Folder, codec, folder};

/// Makes a project with `codec new`.
fn project(name: &str) -> (Folder, PathBuf) {
    let folder = folder(name);
    let project = folder.path("lines");
    let made = codec(&["new", "lines", "--lang", "c"]).current_dir(folder.root()).status();
    assert!(made.expect("it runs").success());
    (folder, project)
}

/// The SDK drops the other events of a rejected packet, and all events after a close, for single
/// packets and in batches.
#[test]
fn what_follows_the_end_is_left_out() {
    let (_folder, project) = project("c-events");
    let file = project.join("codec.c");
    let source = fs::read_to_string(&file).expect("it is there");
    let decoding = "    bool is_text = wp_is_utf8(packet);\n";
    let more = r#"
    if (wp_is(packet, "no")) {
        wp_notice(events, wp_text("before"), packet);
        wp_reject(events, wp_text("not this"));
        wp_notice(events, wp_text("behind"), packet);
        wp_put_text(wp_begin_reply(events), "behind");
        wp_end_reply(events);
        wp_close(events, wp_text("behind"));
        wp_fatal(events, wp_text("behind"));
        return;
    }
    if (wp_is(packet, "bye")) {
        wp_close(events, wp_text("said so"));
        wp_reply(events, packet);
        return;
    }
"#;
    assert_eq!(source.matches(decoding).count(), 1, "the template has changed");
    fs::write(&file, source.replace(decoding, &format!("{decoding}{more}"))).expect("it can be written");
    let steps = "session\nin 'no'\n  rejected \"not this\"\nin '1 a {}'\n  request 1 a \"{}\"\n\
        in 'bye'\n  close 0 \"said so\"\n";
    fs::write(project.join("lines.vectors"), steps).expect("it can be written");
    for arguments in [&["build"][..], &["check", "lines.wasm", "--cases", "2000"]] {
        let output = codec(arguments).current_dir(&project).output().expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

/// Errors of the compiler about an author's mistake are shown without advice. A clang without a
/// libc is not used.
#[test]
fn advice_is_given_where_it_helps() {
    let (folder, project) = project("c-advice");
    let fails = |path: Option<&PathBuf>| {
        let mut build = codec(&["build"]);
        if let Some(path) = path {
            build.env("PATH", path);
        }
        let output = build.current_dir(&project).env_remove("WASI_SDK_PATH").output().expect("it runs");
        assert!(!output.status.success());
        String::from_utf8(output.stderr).expect("it is text")
    };
    let file = project.join("codec.c");
    let source = fs::read_to_string(&file).expect("it is there");
    fs::write(&file, format!("#include \"mine.h\"\n{source}")).expect("it can be written");
    let error = fails(None);
    assert!(error.contains("mine.h") && !error.contains("apt install"), "{error}");

    // The folder has clang but not its linker.
    let path = folder.path("bin");
    fs::create_dir(&path).expect("it can be made");
    let found = std::env::split_paths(&std::env::var_os("PATH").expect("there are programs"))
        .map(|folder| folder.join("clang"))
        .find(|program| program.exists());
    symlink(found.expect("clang is installed"), path.join("clang")).expect("it can be linked");
    let error = fails(Some(&path));
    assert!(error.contains("apt install") && error.contains("clang"), "{error}");
}
