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
        ("c", "apt install clang lld wasi-libc libclang-rt-dev-wasm32"),
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

/// Words of WIT and of the languages are names like others; the folder that one is in has a name too.
#[test]
fn names() {
    let folder = Folder::new("names");
    for name in ["stream", "list", "flags", "type", "error-context", "world", "while"] {
        let project = folder.0.join("projects").join(name);
        std::fs::create_dir_all(project.join(".git")).expect("it can be made");
        let made = codec(&["new", ".", "--lang", "c"]).current_dir(&project).output().expect("it runs");
        assert!(made.status.success(), "{name}: {}", String::from_utf8_lossy(&made.stderr));
        let built = codec(&["build"]).current_dir(&project).output().expect("it runs");
        assert!(built.status.success(), "{name}: {}", String::from_utf8_lossy(&built.stderr));
    }
}

/// Programs of others take a world's name as an argument.
#[test]
fn a_word_of_wit_in_javascript() {
    let folder = Folder::new("name-js");
    let project = folder.0.join("stream");
    let made = codec(&["new", project.to_str().expect("it is text"), "--lang", "js"]).status();
    assert!(made.expect("it runs").success());
    let readme = std::fs::read_to_string(project.join("README.md")).expect("there is one");
    Guide::new(&project).follow(&readme);
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
    for name in ["std", "wireplug-guest"] {
        let error = fails(&["new", name, "--lang", "rust"]);
        assert!(
            error.contains("is no name for a codec in Rust: a crate that it needs has it"),
            "{name}: {error}"
        );
    }
    assert!(fails(&["new", "nowhere/..", "--lang", "c"]).contains("cannot find nowhere/.."));
    std::fs::create_dir_all(folder.0.join("there")).expect("it can be made");
    std::fs::write(folder.0.join("there/file"), "").expect("it can be written");
    assert!(fails(&["new", "there", "--lang", "c"]).contains("there is there already, and is not empty"));
    assert!(fails(&["build", "there"]).contains("there is no project of a codec: one has Cargo.toml (Rust)"));
    assert!(fails(&["build", "nowhere"]).contains("nowhere is not a folder"));
}
