//! The console in Chromium: its pages with answers of a test, and one way through them with a real
//! server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wireplug_tests::folder::Folder;
use wireplug_tests::running::finish;
use wireplug_tests::served::Served;
use wireplug_tests::versions::{self, POMELO};

use super::program::{PROGRAM, wireplug};

/// The folder of the repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Builds of components are kept here from one run to the next.
const KEPT: &str = env!("CARGO_TARGET_TMPDIR");

/// A package that the broken codec does not survive contains these bytes.
const FATAL: &str = "crash";

/// Runs tests of the console's folder `browser` with these variables.
fn run(test: &str, variables: &[(&str, &Path)]) {
    let mut node = Command::new("node");
    node.args(["--test", test]).current_dir(Path::new(ROOT).join("runtime/wireplug/console/browser"));
    node.envs(variables.iter().copied());
    if std::env::var_os("WIREPLUG_UPDATE").is_some() {
        node.env("PICTURES", Path::new(ROOT).join("docs/images"));
    }
    let done = finish(&mut node);
    assert_eq!(done.code, Some(0), "{}{}", done.output, done.errors);
}

/// Builds the Pomelo codec with a mistake: it panics at a packet that contains [`FATAL`].
fn broken(folder: &Folder) -> PathBuf {
    for part in ["src", ".cargo"] {
        fs::create_dir(folder.path(part)).expect("the folder is new");
    }
    let component = Path::new(ROOT).join("guest-examples/pomelo/component");
    for file in ["lib.rs", "bare.rs", "framed.rs"] {
        let mut source = fs::read_to_string(component.join("src").join(file)).expect("it is there");
        if file == "bare.rs" {
            let before = "    session.decode(packet, session_ms, sink)";
            assert_eq!(source.matches(before).count(), 1, "the codec has changed");
            let mistake = format!(
                "    assert!(!packet.windows({}).any(|at| at == b\"{FATAL}\"), \"the mistake of a test\");\n",
                FATAL.len()
            );
            source = source.replace(before, &format!("{mistake}{before}"));
        }
        folder.write(&format!("src/{file}"), &source);
    }
    let guests = Path::new(ROOT).join("guest-examples");
    let manifest = format!(
        "[package]\nname = 'broken'\nversion = '0.1.0'\nedition = '2024'\n[lib]\ncrate-type = ['cdylib']\n\
         [features]\nframer = []\n[dependencies]\nwireplug-guest = {{ path = '{0}/sdk' }}\n\
         wireplug-pomelo = {{ path = '{0}/pomelo/protocol' }}\n[profile.release]\npanic = 'abort'\n[workspace]\n",
        guests.display()
    );
    folder.write("Cargo.toml", &manifest);
    for file in ["Cargo.lock", ".cargo/config.toml"] {
        folder.write(file, fs::read(guests.join(file)).expect("it is there"));
    }
    let target = Path::new(KEPT).join("broken");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--quiet", "--target", "wasm32-unknown-unknown"]);
    cargo.env("CARGO_TARGET_DIR", &target);
    finish(cargo.current_dir(folder.root())).result().unwrap_or_else(|printed| panic!("{printed}"));
    target.join("wasm32-unknown-unknown/release/broken.wasm")
}

/// An operator finds a client, watches its packets, tries a codec that fails, and sees that it is
/// rolled back and why. The packets before the fault become a test that fails with this codec and
/// passes with the mended one.
#[test]
fn an_operator_finds_out_why_a_codec_fails() {
    let folder = Folder::new("browser");
    let broken = broken(&Folder::new("broken"));
    let mended = folder.write("mended.wasm", versions::noted(POMELO, "mended"));
    let config = folder.write(
        "wireplug.toml",
        "app = 'demo'
        [codecs.pomelo]
        builtin = 'pomelo'
        faults.rollback = 3
        limits.keep-packets = 32
        [[listeners]]
        url = 'hybrid://127.0.0.1:0'
        codec = 'pomelo'
        [control]
        listen = 'http://127.0.0.1:0'",
    );
    let mut serve = wireplug(["serve"]);
    let server = Served::start(serve.arg(&config).env("XDG_RUNTIME_DIR", folder.root()));
    let console = server.console.as_deref().expect("it is on TCP");
    let token = server.token.as_deref().expect("it was generated");
    let variables = [
        ("CONSOLE", Path::new(console)),
        ("TOKEN", Path::new(token)),
        ("CLIENT_URL", Path::new(&server.urls[0])),
        ("WIREPLUG", Path::new(PROGRAM)),
        ("BROKEN", &broken),
        ("MENDED", &mended),
        ("FATAL", Path::new(FATAL)),
        ("FOLDER", folder.root()),
    ];
    run("server.test.mjs", &variables);
}

#[test]
fn the_pages_show_what_the_api_answers() {
    run("pages.test.mjs", &[]);
}
