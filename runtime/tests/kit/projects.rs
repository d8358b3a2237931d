//! Each language's way from an empty folder to a client's request, by the commands in the project's README.

use super::{Folder, Guide, codec};

fn from_nothing(lang: &str, blocks: usize) {
    let folder = Folder::new(&format!("project-{lang}"));
    let project = folder.0.join("chat-lines");
    let made = codec(&["new", project.to_str().expect("it is text"), "--lang", lang]).status();
    assert!(made.expect("it runs").success());

    let readme = std::fs::read_to_string(project.join("README.md")).expect("there is one");
    let mut guide = Guide::new(&project);
    guide.follow(&readme);
    assert_eq!(guide.blocks, blocks, "not all of the page was done");
}

#[test]
fn in_rust() {
    from_nothing("rust", 5);
}

#[test]
fn in_c() {
    from_nothing("c", 5);
}

#[test]
fn in_javascript() {
    from_nothing("js", 5);
}

#[test]
fn in_python() {
    from_nothing("python", 5);
}

/// Where a toolchain is missing, it is told what to install.
#[test]
fn what_is_missing() {
    let folder = Folder::new("missing");
    for (lang, install) in [
        ("rust", "rustc is missing: install Rust with rustup"),
        ("c", "apt install clang lld wasi-libc libclang-rt-14-dev-wasm32"),
        ("js", "esbuild is missing: npm ci --ignore-scripts"),
        (
            "python",
            "componentize-py is missing: python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
        ),
    ] {
        let made = codec(&["new", lang, "--lang", lang]).current_dir(&folder.0).status();
        assert!(made.expect("it runs").success());
        let mut build = codec(&["build", lang]);
        build.current_dir(&folder.0).env("PATH", &folder.0).env_remove("WASI_SDK_PATH");
        let output = build.output().expect("it runs");
        let error = String::from_utf8(output.stderr).expect("it is text");
        assert!(!output.status.success() && error.contains(install), "{lang}: {error}");
        assert!(!folder.0.join(lang).join(lang).with_extension("wasm").exists());
    }
}

/// What of the C library wants a system is told as it is called in C.
#[test]
fn c_that_wants_a_system() {
    let folder = Folder::new("system");
    let made = codec(&["new", "lines", "--lang", "c"]).current_dir(&folder.0).status();
    assert!(made.expect("it runs").success());
    let hello =
        "#include <stdio.h>\n__attribute__((constructor)) static void hello(void) { puts(\"hello\"); }\n";
    std::fs::write(folder.0.join("lines/hello.c"), hello).expect("it can be written");
    let output = codec(&["build", "lines"]).current_dir(&folder.0).output().expect("it runs");
    let error = String::from_utf8(output.stderr).expect("it is text");
    assert!(!output.status.success() && error.contains("fd_write of the system"), "{error}");
    assert!(error.contains("a system: printf, puts, perror and a failed assert write"), "{error}");
}

/// A name that would not do anywhere, a folder that has something in it, and what is no project.
#[test]
fn what_is_refused() {
    let folder = Folder::new("refused");
    let fails = |arguments: &[&str]| {
        let output = codec(arguments).current_dir(&folder.0).output().expect("it runs");
        assert!(!output.status.success());
        String::from_utf8(output.stderr).expect("it is text")
    };
    for name in ["Chat", "7up", "a_b", "a--b", "-a", "a-", "ä"] {
        let error = fails(&["new", "--lang", "c", "--", name]);
        assert!(error.contains("is no name for a codec"), "{name}: {error}");
    }
    std::fs::create_dir_all(folder.0.join("there")).expect("it can be made");
    std::fs::write(folder.0.join("there/file"), "").expect("it can be written");
    assert!(fails(&["new", "there", "--lang", "c"]).contains("there is there already, and is not empty"));
    assert!(fails(&["build", "there"]).contains("there is no project of a codec: one has Cargo.toml (Rust)"));
    assert!(fails(&["build", "nowhere"]).contains("nowhere is not a folder"));
}
