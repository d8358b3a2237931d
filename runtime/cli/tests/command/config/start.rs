//! `wireplug config check` and `wireplug serve` refuse the same files with the same messages.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use wireplug::trust::PrivateKey;
use wireplug_tests::folder::Folder;
use wireplug_tests::hostile::Guest;
use wireplug_tests::hostile::heavy::{globals, with_instances};
use wireplug_tests::running::{Finished, Running, finish};
use wireplug_tests::versions::POMELO;

use crate::program::{PROGRAM, wireplug};

/// The keys that make a file valid.
const RIGHT: &str = "app = 'demo'
[codecs.a]
builtin = 'pomelo'
[[listeners]]
url = 'hybrid://127.0.0.1:0'
codec = 'a'
";

/// Returns the summary of a check, or its errors.
fn check(file: &Path) -> Result<String, String> {
    let Finished { code, output, errors } = finish(wireplug(["config", "check"]).arg(file));
    match code {
        Some(0) => Ok(output),
        Some(1) => Err(errors),
        _ => panic!("{code:?}: {errors}"),
    }
}

/// Starts a server and returns its errors if it does not serve.
fn start(file: &Path) -> Result<(), String> {
    let mut server = Running::start(wireplug(["serve"]).arg(file));
    // The server either prints the greeting or ends.
    if server.output.rest().next().is_some() {
        return Ok(());
    }
    let said: String = server.log.rest().map(|line| line + "\n").collect();
    assert_eq!(server.exit_code(), Some(1), "{said}");
    Err(said)
}

/// Returns the faults in the output of a command, without the log lines before them and without
/// their positions.
fn faults(said: &str, file: &Path) -> Vec<String> {
    let file = format!("{}:", file.display());
    let mut faults: Vec<String> = Vec::new();
    for line in said.lines() {
        match line.strip_prefix("wireplug: ").or(line.strip_prefix(&file)) {
            Some(fault) => faults.push(fault.to_owned()),
            // Further lines belong to the fault before them.
            None => faults.last_mut().into_iter().for_each(|fault| *fault += line),
        }
    }
    faults
}

#[test]
fn a_check_refuses_what_a_start_refuses() {
    let folder = Folder::new("config-refused");
    folder.write("text.wasm", b"no component");
    folder.write("module.wasm", b"\0asm\x01\0\0\0");
    folder.write("pomelo.wasm", POMELO);
    folder.write("wrong.wasm", POMELO);
    folder.write("wrong.vectors", b"session\nfeed 00\n  nothing that a codec answers\n");
    folder.write("a.pub", PrivateKey::generate().expect("there are random bytes").public().to_pem());
    folder.write_secret("secret", b"a secret of sixteen characters");
    folder.write_secret("short", b"short");
    folder.write_secret("empty", b"");

    let with = |from: &str, to: &str| {
        assert!(RIGHT.contains(from));
        RIGHT.replace(from, to)
    };
    let codec = |keys: &str| with("builtin = 'pomelo'\n", &format!("{keys}\n"));
    let url = |url: &str| with("hybrid://127.0.0.1:0", url);
    let nats = |keys: &str| {
        let services = format!("[services.chat]\n[nats]\nservers = ['nats://127.0.0.1:1']\n{keys}\n");
        with("app = 'demo'\n", &services)
    };
    let broken = [
        // Mistakes in the syntax, and mistakes that the schema finds.
        "app = demo".to_owned(),
        String::new(),
        with("'hybrid", "'hybrid://"),
        with("codec = 'a'", "codec = 'b'"),
        with("codec = 'a'", "codec = 'a'\nlimits.idle = '1s'"),
        with("app = 'demo'", "app = 'deno'"),
        // Mistakes in the application.
        with("app = 'demo'\n", ""),
        nats("").replace("[services.chat]\n", ""),
        format!("app = 'demo'\n{}", nats("")),
        // Settings that contradict each other.
        codec("builtin = 'pomelo'\nlimits.memory = '64KiB'"),
        codec("builtin = 'pomelo'\nfaults.suspend = 10"),
        codec("file = 'lost.wasm'"),
        url("tls://127.0.0.1:0"),
        url("quic://127.0.0.1:0"),
        // Mistakes in options of built-in codecs and in secrets.
        codec("builtin = 'pomelo'\noptions.heart = 1"),
        codec("builtin = 'pomelo'\noptions.timeout = 1"),
        codec("builtin = 'pomelo'\noptions.heartbeat = 'often'"),
        codec("builtin = 'pomelo'\noptions.heartbeat = { env = 'WIREPLUG_NO_SUCH_VARIABLE' }"),
        codec("builtin = 'pomelo'\noptions.heartbeat = { file = 'lost' }"),
        codec("builtin = 'pomelo'\noptions.heartbeat = { file = 'empty' }"),
        codec("builtin = 'sio'\noptions.nope = 1").replace("hybrid:", "ws:"),
        // Mistakes in components.
        codec("file = 'text.wasm'"),
        codec("file = 'module.wasm'"),
        codec("file = 'wrong.wasm'"),
        codec(&format!("file = 'pomelo.wasm'\nsha256 = '{}'", "0".repeat(64))),
        codec(&format!("builtin = 'pomelo'\nsha256 = '{}'", "0".repeat(64))),
        codec("file = 'pomelo.wasm'\noptions.x = 1"),
        // Mistakes in the keys that are trusted, and codecs that nobody has signed.
        format!("{RIGHT}[trust]\n"),
        format!("{RIGHT}[trust.keys.a]\nfile = 'secret'\n"),
        format!("{}[trust.keys.a]\nfile = 'a.pub'\n", codec("file = 'pomelo.wasm'")),
        // Codecs that do not fit their listeners, and mistakes in listeners.
        codec("builtin = 'sio'"),
        with("codec = 'a'", "codec = 'a'\noptions.mode = '660'"),
        url("unix:///tmp/no-such-wireplug.sock").replace("codec = 'a'", "codec = 'a'\noptions.mode = '888'"),
        url("udp://127.0.0.1:0").replace("codec = 'a'", "codec = 'a'\noptions.max-datagram = 5"),
        url("udp://127.0.0.1:0").replace("codec = 'a'", "codec = 'a'\nlimits.idle-timeout = '0s'"),
        url("udp://127.0.0.1:0").replace("codec = 'a'", "codec = 'a'\naccess.proxies = ['10.0.0.0/8']"),
        // Mistakes in credentials, tokens and roles.
        nats("credentials-file = 'secret'"),
        nats("token-file = 'lost'"),
        nats("user = 'ann'"),
        format!("{RIGHT}[control]\nlisten = '127.0.0.1:0'\ntoken-file = 'short'"),
        format!("{RIGHT}[control]\nlisten = 'unix:///tmp/no-such-wireplug.sock'\ntoken-file = 'secret'"),
        format!("{RIGHT}[control]\nallow = [{{ uid = 1, roles = ['read'] }}]"),
    ];
    for (number, text) in broken.iter().enumerate() {
        let file = folder.write(&format!("{number}.toml"), text);
        let started = start(&file).expect_err(text);
        let checked = check(&file).expect_err(text);
        let (started, checked) = (faults(&started, &file), faults(&checked, &file));
        assert!(!started.is_empty(), "{text}");
        assert_eq!(started.len(), checked.len(), "{text}\n{started:#?}\n{checked:#?}");
        for (started, checked) in started.iter().zip(&checked) {
            // A check also reports the position.
            assert!(checked.ends_with(started), "{text}\n{started}\n{checked}");
        }
    }
    for file in ["text.wasm", "lost.toml"] {
        let file = folder.path(file);
        let (started, checked) =
            (start(&file).expect_err("it is none"), check(&file).expect_err("it is none"));
        assert_eq!(started, checked);
    }
}

#[test]
fn a_check_takes_what_a_start_takes() {
    let folder = Folder::new("config-right");
    folder.write("pomelo.wasm", POMELO);
    for (number, text) in [
        RIGHT.to_owned(),
        RIGHT.replace("builtin = 'pomelo'", "file = 'pomelo.wasm'\noptions.heartbeat = 30"),
        RIGHT.replace("codec = 'a'\n", "").replace("hybrid:", "socketio:"),
        RIGHT.replace("builtin = 'pomelo'", "builtin = 'sio'").replace("hybrid:", "ws:"),
    ]
    .iter()
    .enumerate()
    {
        let file = folder.write(&format!("{number}.toml"), text);
        let summary = check(&file).unwrap_or_else(|why| panic!("{text}\n{why}"));
        assert!(summary.contains("serves the demo application"), "{summary}");
        start(&file).unwrap_or_else(|why| panic!("{text}\n{why}"));
    }
}

/// All faults are reported at once. A fault of a codec that two listeners share is reported once.
#[test]
fn all_codecs_and_listeners_are_looked_at() {
    let folder = Folder::new("config-all");
    let text = "app = 'demo'
[codecs.a]
builtin = 'pomelo'
options.heart = 1
[codecs.b]
builtin = 'pomelo'
options.timeout = 1
[[listeners]]
url = 'tcp://127.0.0.1:0'
codec = 'a'
[[listeners]]
url = 'udp://127.0.0.1:0'
codec = 'a'
[[listeners]]
url = 'ws://127.0.0.1:0'
codec = 'b'
[[listeners]]
url = 'udp://127.0.0.1:0'
codec = 'c'
limits.idle-timeout = '0s'
[codecs.c]
builtin = 'pomelo'
";
    let file = folder.write("w.toml", text);
    let said = check(&file).expect_err("it is wrong");
    let places: Vec<_> = said.lines().filter_map(|line| line.strip_prefix(file.to_str()?)).collect();
    assert_eq!(places.len(), 3, "{said}");
    for (place, begins) in places.iter().zip([
        ":2:9: codecs.a: cannot load the codec a: ",
        ":5:9: codecs.b: cannot load the codec b: ",
        ":17:1: listeners[3]: cannot listen on udp://127.0.0.1:0: ",
    ]) {
        assert!(place.starts_with(begins), "{said}");
    }
}

#[test]
fn a_check_gives_the_warnings_of_a_start() {
    let folder = Folder::new("config-warnings");
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.not_after = date_time_ymd(2020, 1, 1);
    folder.write("c.pem", params.self_signed(&key).expect("a certificate").pem());
    let key = folder.write("k.pem", key.serialize_pem());
    fs::set_permissions(key, Permissions::from_mode(0o644)).expect("it is ours");
    let text = RIGHT
        .replace("hybrid", "hybrid+tls")
        .replace("[codecs.a]", "server.max-connections = 900_000\n[codecs.a]");
    let file = folder.write("w.toml", format!("{text}tls.certificate = 'c.pem'\ntls.key = 'k.pem'\n"));
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -n 200 && exec \"$0\" config check \"$1\"", PROGRAM]).arg(file);
    let Finished { code, output, errors } = finish(limited.env_remove("RUST_LOG"));
    assert_eq!(code, Some(0), "{errors}");
    assert!(output.contains("w.toml: ok\n"), "{output}");
    for words in
        ["the certificate expired ", "the private key of TLS is not kept", "there are file descriptors for"]
    {
        assert_eq!(errors.matches(words).count(), 1, "{words}: {errors}");
    }
}

/// Each of its connections takes one of the sandboxes of sessions that are awake.
#[test]
fn a_codec_without_handoff_has_as_many_connections_as_may_be_awake() {
    let folder = Folder::new("config-sleepless");
    folder.write("plain.wasm", Guest::new("plain").build());
    let plain = "app = 'demo'
[server]
max-connections = 5000
max-awake = 70
[codecs.plain]
file = 'plain.wasm'
[[listeners]]
url = 'tcp://127.0.0.1:0'
codec = 'plain'
";
    let file = folder.write("w.toml", plain);
    let summary = check(&file).expect("it is right");
    let words = "codec plain: plain.wasm, at most 70 connections: its sessions do not sleep";
    assert!(summary.contains(words), "{summary}");
    assert!(summary.ends_with("\n  at most 70 connections\n"), "{summary}");

    // Sessions of Pomelo sleep, unless they may not.
    let pomelo = "[codecs.pomelo]
builtin = 'pomelo'
[[listeners]]
url = 'tcp://127.0.0.1:0'
codec = 'pomelo'
";
    folder.write("w.toml", format!("{plain}{pomelo}"));
    let summary = check(&file).expect("it is right");
    assert!(summary.contains("codec pomelo: pomelo, built in\n"), "{summary}");
    assert!(summary.ends_with("\n  at most 5000 connections\n"), "{summary}");
    folder.write("w.toml", format!("{plain}{pomelo}[codecs.pomelo.limits]\nsleep-after = '0s'\n"));
    let summary = check(&file).expect("it is right");
    assert!(summary.contains("codec pomelo: pomelo, built in, at most 70 connections"), "{summary}");
    assert!(summary.ends_with("\n  at most 70 connections\n"), "{summary}");
}

/// A codec that needs more core instances than the standard pool has room for.
#[test]
fn a_codec_of_the_large_pool_has_fewer_connections() {
    let folder = Folder::new("config-large");
    let large = with_instances(&Guest::new("large").build(), &globals(1), 5);
    folder.write("large.wasm", large);
    let alone = "app = 'demo'
[codecs.large]
file = 'large.wasm'
[[listeners]]
url = 'tcp://127.0.0.1:0'
codec = 'large'
";
    let file = folder.write("w.toml", alone);
    let summary = check(&file).expect("it is right");
    assert!(
        summary.contains("codec large: large.wasm, at most 256 connections: it lives in the large pool"),
        "{summary}"
    );
    assert!(summary.ends_with("\n  at most 256 connections\n"), "{summary}");

    let beside = format!("{alone}{}", &RIGHT["app = 'demo'\n".len()..]);
    folder.write("w.toml", format!("{beside}[server]\nlarge-sandboxes = 40"));
    let summary = check(&file).expect("it is right");
    assert!(summary.contains("codec large: large.wasm, at most 40 connections"), "{summary}");
    assert!(summary.ends_with("\n  at most 10000 connections\n"), "{summary}");
}
