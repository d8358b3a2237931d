//! Mistakes of authors that prevent a build, and how they are reported.

use std::fs;
use std::path::PathBuf;

use super::{Folder, codec, folder};

/// Makes a new project in C.
fn project(folder: &Folder) -> PathBuf {
    let made = codec(&["new", "mended", "--lang", "c"]).current_dir(folder.root()).status();
    assert!(made.expect("it runs").success());
    folder.path("mended")
}

/// Replaces a text in a file.
fn exchange(file: PathBuf, old: &str, new: &str) {
    let text = fs::read_to_string(&file).expect("there is the file");
    assert!(text.contains(old), "{old:?} is not in {}", file.display());
    fs::write(file, text.replace(old, new)).expect("it can be written");
}

/// Builds a project. Returns its output and its errors.
fn build(folder: &Folder) -> (String, String) {
    let output = codec(&["build", "mended", "--yes"]).current_dir(folder.root()).output().expect("it runs");
    let text = |said| String::from_utf8(said).expect("it is text");
    let (printed, error) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.success(), printed.contains("mended.wasm"), "{printed}{error}");
    (printed, error)
}

/// `snprintf` looks harmless, but needs all of stdio.
#[test]
fn a_function_that_wants_a_system() {
    let folder = folder("mistake-libc");
    let code = project(&folder).join("codec.c");
    exchange(code.clone(), "#include <stdlib.h>\n", "#include <stdio.h>\n#include <stdlib.h>\n");
    exchange(
        code,
        "    free(session);\n",
        "    char text[32];\n    snprintf(text, sizeof text, \"%p\", (void *)session);\n    if (text[0]) free(session);\n",
    );
    let (_, error) = build(&folder);
    assert!(error.contains("of the C library that wants a system") && error.contains("snprintf"), "{error}");
}

/// An error in a world is reported with its line. A successful build prints the exports.
#[test]
fn an_ability_that_is_misspelled_or_forgotten() {
    let folder = folder("mistake-world");
    let world = project(&folder).join("wit/world.wit");
    exchange(world.clone(), "codec/batch@", "codec/bach@");
    let (_, error) = build(&folder);
    assert!(
        error.contains("wit/world.wit:") && error.contains("export wireplug:codec/bach@0.2.0;"),
        "{error}"
    );

    exchange(world, "codec/bach@", "codec/batch@");
    let (printed, _) = build(&folder);
    assert!(printed.trim_end().ends_with("; it exports codec, batch"), "{printed}");
}
