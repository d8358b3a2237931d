//! For each language, the way from an empty folder to a client's request, with the commands in the
//! project's README.

use super::{codec, folder, guide};

fn from_nothing(lang: &str, blocks: usize) {
    let folder = folder(&format!("project-{lang}"));
    let project = folder.path("chat-lines");
    let made = codec(&["new", project.to_str().expect("it is text"), "--lang", lang]).status();
    assert!(made.expect("it runs").success());

    let readme = std::fs::read_to_string(project.join("README.md")).expect("there is one");
    let mut guide = guide(&project);
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
fn in_go() {
    from_nothing("go", 5);
}

#[test]
fn in_javascript() {
    from_nothing("js", 5);
}

#[test]
fn in_python() {
    from_nothing("python", 5);
}

/// If a toolchain is missing, the error says what to install.
#[test]
fn what_is_missing() {
    let folder = folder("missing");
    for (lang, install) in [
        ("rust", "rustc is missing: install Rust with rustup"),
        ("c", "apt install clang lld wasi-libc libclang-rt-dev-wasm32"),
        ("go", "go is missing: install Go 1.24 or later"),
        ("js", "esbuild is missing: npm ci --ignore-scripts"),
        (
            "python",
            "componentize-py is missing: python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
        ),
    ] {
        // A folder with the name of a program would be found instead of it.
        let name = format!("{lang}-lines");
        let made = codec(&["new", &name, "--lang", lang]).current_dir(folder.root()).status();
        assert!(made.expect("it runs").success());
        let mut build = codec(&["build", &name, "--yes"]);
        build.current_dir(folder.root()).env("PATH", folder.root()).env_remove("WASI_SDK_PATH");
        let output = build.output().expect("it runs");
        let error = String::from_utf8(output.stderr).expect("it is text");
        assert!(!output.status.success() && error.contains(install), "{lang}: {error}");
        assert!(!folder.path(&name).join(&name).with_extension("wasm").exists());
    }
}

/// Programs of a project do not run without the user's consent.
#[test]
fn nothing_of_a_project_runs_unasked() {
    let folder = folder("unasked");
    let ran = folder.path("ran");
    let script = format!("#!/bin/sh\ntouch '{}'\nexit 1\n", ran.display());
    for (lang, program) in [
        ("rust", "bin/cargo"),
        ("js", "js/node_modules/.bin/esbuild"),
        ("python", "python/.venv/bin/componentize-py"),
    ] {
        let made = codec(&["new", lang, "--lang", lang]).current_dir(folder.root()).status();
        assert!(made.expect("it runs").success());
        let program = folder.path(program);
        std::fs::create_dir_all(program.parent().expect("it lies in a folder")).expect("it can be made");
        for program in [program.clone(), program.with_file_name("rustc")] {
            std::fs::write(&program, &script).expect("it can be written");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&program, mode).expect("it is ours");
        }
        let build = |yes: &[&str]| {
            let search = [folder.path("bin"), "/usr/bin".into(), "/bin".into()];
            let mut build = codec(&[&["build", lang], yes].concat());
            build.current_dir(folder.root()).env("PATH", std::env::join_paths(search).expect("no colons"));
            let output = build.stdin(std::process::Stdio::null()).output().expect("it runs");
            assert!(!output.status.success());
            String::from_utf8(output.stderr).expect("it is text")
        };
        let refused = build(&[]);
        assert!(refused.contains("these programs of the project run"), "{refused}");
        assert!(refused.contains(&format!("add --yes if you trust {lang}")), "{refused}");
        assert!(!ran.exists(), "{lang}: a program has run");
        // Without node, the build of the JavaScript project ends before that.
        if lang != "js" {
            build(&["--yes"]);
            assert!(ran.exists(), "{lang}: with --yes it runs");
            std::fs::remove_file(&ran).expect("it is there");
        }
    }
}

/// Keywords of WIT and of the languages are valid names. The name of the current folder is used for
/// `.`.
#[test]
fn names() {
    let folder = folder("names");
    for name in ["stream", "list", "flags", "type", "error-context", "world", "while"] {
        let project = folder.path("projects").join(name);
        std::fs::create_dir_all(project.join(".git")).expect("it can be made");
        let made = codec(&["new", ".", "--lang", "c"]).current_dir(&project).output().expect("it runs");
        assert!(made.status.success(), "{name}: {}", String::from_utf8_lossy(&made.stderr));
        let built = codec(&["build"]).current_dir(&project).output().expect("it runs");
        assert!(built.status.success(), "{name}: {}", String::from_utf8_lossy(&built.stderr));
    }
}

/// Tools take the name of a world as an argument, even if it is a keyword of WIT.
#[test]
fn a_word_of_wit_in_javascript() {
    let folder = folder("name-js");
    let project = folder.path("stream");
    let made = codec(&["new", project.to_str().expect("it is text"), "--lang", "js"]).status();
    assert!(made.expect("it runs").success());
    let readme = std::fs::read_to_string(project.join("README.md")).expect("there is one");
    guide(&project).follow(&readme);
}

/// Refuses invalid names, folders that are not empty, and folders that are no projects.
#[test]
fn what_is_refused() {
    let folder = folder("refused");
    let fails = |arguments: &[&str]| {
        let output = codec(arguments).current_dir(folder.root()).output().expect("it runs");
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
    std::fs::create_dir_all(folder.path("there")).expect("it can be made");
    std::fs::write(folder.path("there/file"), "").expect("it can be written");
    assert!(fails(&["new", "there", "--lang", "c"]).contains("there is there already, and is not empty"));
    assert!(fails(&["build", "there"]).contains("there is no project of a codec: one has Cargo.toml (Rust)"));
    assert!(fails(&["build", "nowhere"]).contains("nowhere is not a folder"));
}
