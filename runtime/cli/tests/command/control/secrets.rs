//! Secrets in a codec's options do not appear in the answers, the log or the files of a real
//! server.

use std::fs;
use std::path::Path;

use serde_json::json;
use wireplug_tests::folder::Folder;
use wireplug_tests::hostile::Function::Configure;
use wireplug_tests::hostile::Guest;
use wireplug_tests::running::{Signal, finish};

use super::{Controlled, command, run};

const FILE: &str = "hunter2-first";
const ROTATED: &str = "hunter2-second";

/// An environment variable that cargo sets for tests, and that the servers of the tests inherit.
const VARIABLE: &str = "CARGO_PKG_DESCRIPTION";

/// Returns a guest that keeps its options in its memory.
fn guest(name: &str) -> Vec<u8> {
    let configure =
        "(memory.copy (i32.const 4096) (local.get $options) (local.get $length)) (call $honest-configure)";
    Guest::new(name).with(Configure, configure).build()
}

fn contains(path: &Path, texts: &[&str]) -> bool {
    let content = fs::read(path).expect("it can be read");
    texts.iter().any(|text| content.windows(text.len()).any(|part| part == text.as_bytes()))
}

#[test]
fn a_secret_is_in_no_answer_no_log_line_and_no_file() {
    let folder = Folder::new("control-secrets");
    folder.write("secret", format!("{FILE}\n"));
    folder.write("lines.wasm", guest("lines"));
    let config = "app = 'demo'
        [codecs.lines]
        file = 'lines.wasm'
        swap.watch = false
        options.auth.key = { file = 'secret' }
        options.names = [{ env = 'CARGO_PKG_DESCRIPTION' }, 'plain']
        [compile]
        cache = 'cache'
        [[listeners]]
        url = 'tcp://127.0.0.1:0'
        codec = 'lines'
        [control]
        listen = '127.0.0.1:0'";
    folder.write("w.toml", config);
    let config = &*folder.text("w.toml");
    let variable = std::env::var(VARIABLE).expect("cargo sets it");
    let secrets = [FILE, ROTATED, &variable];
    let shows_none = |text: &str| {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret:?} in {text}");
        }
    };
    let given = json!({
        "auth": { "key": { "file": "secret" } },
        "names": [{ "env": VARIABLE }, "plain"],
    });

    let server = Controlled::with(&[config]);
    let listed = || {
        let (status, answer) = server.ask("GET", "/codecs", b"");
        assert_eq!(status, 200, "{answer}");
        let generations = answer[0]["generations"].as_array().expect("a list").clone();
        assert_eq!(generations.last().expect("one at least")["options"], given);
        shows_none(&answer.to_string());
        generations.len()
    };
    assert_eq!(listed(), 1);
    shows_none(&server.ask("GET", "/nodes", b"").1.to_string());
    let url = format!("http://{}", server.control);
    let control = ["--control", &url];
    for command in [&["codec", "list", "--json"][..], &["codec", "list"]] {
        shows_none(&run(&[command, &control].concat()).expect("the server answers"));
    }
    shows_none(&run(&["config", "check", config]).expect("it is right"));

    // The secret changes; the component and the references stay the same.
    folder.write("secret", ROTATED);
    server.signal(Signal::HUP);
    let line = server.logged("reloaded");
    assert!(line.contains("from=1 to=2"), "{line}");
    listed();
    // An uploaded component gets the options of the slot, with the secrets read again.
    let (status, answer) = server.ask("PUT", "/codecs/lines", &guest("sent"));
    assert_eq!((status, &answer["to"]), (200, &json!(3)), "{answer}");
    listed();
    fs::remove_file(folder.path("secret")).expect("it is there");
    let why = server.refused("PUT", "/codecs/lines", &guest("late"), 422);
    assert!(why.contains("options.auth.key: the file ") && why.contains("cannot be read"), "{why}");
    shows_none(&why);

    let kept: Vec<_> = fs::read_dir(folder.path("cache"))
        .expect("there is a cache")
        .map(|file| file.unwrap().path())
        .collect();
    assert!(!kept.is_empty());
    for file in kept {
        assert!(!contains(&file, &secrets), "{}", file.display());
    }
    server.log.so_far().for_each(|line| shows_none(&line));
    // The server starts without the secret.
    let done = finish(&mut command(&["serve", config]));
    let said = done.output + &done.errors;
    assert!(done.code == Some(1) && said.contains("options.auth.key: the file "), "{said}");
    shows_none(&said);
}

/// Commands that show the options they use refuse references to secrets.
#[test]
fn commands_for_authors_take_no_secrets() {
    let folder = Folder::new("control-no-secrets");
    folder.write("lines.wasm", guest("lines"));
    let file = &*folder.text("lines.wasm");
    let error =
        run(&["codec", "check", file, "--options", r#"{"a":{"b":{"env":"PATH"}}}"#]).expect_err("a secret");
    assert!(error.contains("options.a.b is a secret, which a check would show"), "{error}");
    let options = "options {\"key\":[{\"file\":\"/etc/hostname\"}]}\nsession\n";
    folder.write("lines.vectors", options);
    let error = run(&["codec", "test", file]).expect_err("a secret");
    assert!(error.contains("vectors:1: options.key[0] is a secret, which vectors would show"), "{error}");
}
