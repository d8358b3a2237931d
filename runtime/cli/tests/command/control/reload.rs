//! Reloads by SIGHUP.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use wireplug_tests::running::Signal;

use super::{Controlled, file, noted, run, text_of};

fn configuration(component: &str, heartbeat: u32, rest: &str) -> String {
    format!(
        "app = 'demo'
        [codecs.chat]
        file = '{component}'
        options.heartbeat = {heartbeat}
        swap.watch = false
        [[listeners]]
        url = 'tcp://127.0.0.1:0'
        codec = 'chat'
        [control]
        listen = '127.0.0.1:0'
        {rest}"
    )
}

#[test]
fn takes_over_what_changed_in_the_configuration() {
    let (one, two) = ("reload-one.wasm", "reload-two.wasm");
    file(one, noted("one"));
    file(two, noted("two"));
    let config = file("reload.toml", configuration(one, 30, ""));
    let server = Controlled::with(&[config.to_str().expect("it is text")]);
    let member = server.member();
    let current = || server.ask("GET", "/codecs/chat", b"").1["current"].clone();

    server.signal(Signal::HUP);
    server.logged("nothing differs from the configuration of the server");
    assert_eq!(current(), 1);

    // The file names another component, and has a change that only a restart applies.
    fs::write(&config, configuration(two, 30, "[server]\nlarge-sandboxes = 5")).expect("it can be written");
    server.signal(Signal::HUP);
    let line = server.logged("reloaded");
    assert!(line.contains("from=1 to=2"), "{line}");
    assert!(server.logged("needs a restart").contains("key=\"server.large-sandboxes\""));
    server.say("still there?");
    assert!(member.line().contains("still there?"));

    // The codec has other options.
    fs::write(&config, configuration(two, 20, "")).expect("it can be written");
    server.signal(Signal::HUP);
    assert!(server.logged("reloaded").contains("from=2 to=3"));

    // The file has a pin that does not match, so nothing changes.
    let pinned = configuration(two, 20, "[server]\nmax-connections = 1")
        .replace("swap.watch", &format!("sha256 = '{}'\nswap.watch", "0".repeat(64)));
    fs::write(&config, pinned).expect("it can be written");
    server.signal(Signal::HUP);
    assert!(server.logged("nothing is reloaded").contains("the slot is pinned to 0000"));
    assert_eq!(current(), 3);
    drop(server.member());
}

#[test]
fn a_broken_configuration_changes_nothing() {
    let one = "broken-one.wasm";
    file(one, noted("one"));
    let config = file("broken.toml", configuration(one, 30, ""));
    let server = Controlled::with(&[config.to_str().expect("it is text")]);

    file(one, noted("two"));
    fs::write(&config, configuration(one, 20, "max-uplod = '1KiB'\n[log]\nlevel = 'all'"))
        .expect("it can be written");
    server.signal(Signal::HUP);
    server.logged("nothing is reloaded");
    server.logged("control.max-uplod: this key is unknown");
    server.logged("log.level: \"all\" is not allowed");
    assert_eq!(server.ask("GET", "/codecs/chat", b"").1["current"], 1);
}

#[test]
fn without_a_configuration_the_codecs_are_read_again() {
    let server = Controlled::start();
    server.signal(Signal::HUP);
    assert!(server.logged("nothing has changed").contains("slot=\"pomelo\""));
    let component = file("reload-own.wasm", noted("one"));
    let served = ["--codec", component.to_str().expect("it is text")];
    let server = Controlled::with(
        &[&served[..], &["--listen", "tcp://127.0.0.1:0", "--control", "127.0.0.1:0"]].concat(),
    );
    file("reload-own.wasm", noted("two"));
    server.signal(Signal::HUP);
    server.logged("reloaded");
    assert_eq!(server.ask("GET", "/codecs/reload-own", b"").1["current"], 2);
}

/// The configuration file is replaced by a pipe without a writer, so the reload never ends.
/// Clients, operators and the signal to stop do not wait for it.
#[test]
fn a_configuration_that_is_never_read_to_its_end_holds_nobody_up() {
    let one = "endless-one.wasm";
    file(one, noted("one"));
    let config = file("endless.toml", configuration(one, 30, ""));
    let mut server = Controlled::with(&[text_of(&config)]);
    fs::remove_file(&config).expect("it is there");
    assert!(Command::new("mkfifo").arg(&config).status().expect("there is mkfifo").success());
    server.signal(Signal::HUP);
    // Long enough for the reload to begin. If it has not begun by then, the test checks less but
    // passes.
    sleep(Duration::from_millis(500));

    assert_eq!(server.ask("GET", "/codecs/chat", b"").1["current"], 1);
    let member = server.member();
    server.say("still there?");
    assert!(member.line().contains("still there?"));
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    fs::remove_file(&config).expect("it is there");
}

/// Runs `wireplug` with the control API of a server.
fn with(server: &Controlled, arguments: &[&str]) -> Result<String, String> {
    let url = format!("http://{}", server.control);
    run(&[arguments, &["--control", &url]].concat()).map(|said| said.trim_end().to_owned())
}

#[test]
fn by_command_and_all_of_it_or_nothing() {
    let one = "command-one.wasm";
    file(one, noted("one"));
    let config = file("command.toml", configuration(one, 30, ""));
    let server = Controlled::with(&[text_of(&config)]);
    assert_eq!(
        with(&server, &["reload"]),
        Ok("nothing differs from the configuration of the server".to_owned())
    );

    let changes = "[[listeners]]\nurl = 'ws://127.0.0.1:0'\ncodec = 'chat'\n[server]\nmax-awake = 5";
    let next = file("command-next.toml", configuration(one, 20, changes));
    let wanted = "codecs.chat.options: differs; at once
listeners[1]: ws://127.0.0.1:0 is new; at once
server.max-awake: 5 is new; needs a restart
keys that need a restart, and are not applied: server.max-awake
a reload would apply this";
    let sorted = |text: String| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let said = with(&server, &["config", "diff", text_of(&next)]).expect("it is valid");
    assert_eq!(sorted(said), sorted(wanted.to_owned()));
    // Nothing has happened yet, and the file of the server is the same.
    assert_eq!(server.ask("GET", "/codecs/chat", b"").1["current"], 1);
    assert!(with(&server, &["reload", "--dry-run"]).is_ok_and(|said| said.starts_with("nothing differs")));

    fs::rename(&next, &config).expect("it is there");
    let done = with(&server, &["reload"]).expect("it is applied");
    assert!(done.contains("codec chat: generation 1 -> 2"), "{done}");
    assert!(done.ends_with("are not applied: server.max-awake\napplied"), "{done}");

    // A port that is taken: the codec stays as it is.
    let taken = format!("[[listeners]]\nurl = '{}'\ncodec = 'chat'", server.urls[0]);
    fs::write(&config, configuration(one, 10, &taken)).expect("it can be written");
    let why = with(&server, &["reload"]).expect_err("the port is taken");
    assert!(why.contains(&format!("cannot listen on {}", server.urls[0])), "{why}");
    assert_eq!(server.ask("GET", "/codecs/chat", b"").1["current"], 2);
    let why = with(&server, &["config", "diff", "no-such-file.toml"]).expect_err("there is none");
    assert!(why.contains("no-such-file.toml: it cannot be read"), "{why}");
    let bad = file("command-bad.toml", "app = 'demo'\nlistners = []");
    let why = with(&server, &["config", "diff", text_of(&bad)]).expect_err("it is no configuration");
    assert!(why.contains("listners: this key is unknown"), "{why}");
    assert_eq!(
        server.refused("POST", "/reload", b"app = 'demo'", 400).split(':').next(),
        Some("a reload reads the server's own file")
    );

    let without = Controlled::start();
    let why = with(&without, &["reload"]).expect_err("it has no file");
    assert!(why.contains("the server was started without a configuration file"), "{why}");
}

#[test]
fn the_log_changes_its_level_and_its_format() {
    let one = "log-one.wasm";
    file(one, noted("one"));
    let config = file("log.toml", configuration(one, 30, ""));
    let server = Controlled::with(&[text_of(&config)]);
    let member = server.member();
    let json = "[log]\nlevel = 'debug'\nformat = 'json'";
    fs::write(&config, configuration(one, 30, json)).expect("it can be written");
    server.signal(Signal::HUP);
    // The end of a client that the client wants is a line at this level alone. Its connection began
    // when lines were text.
    server.logged("log.format: text -> json; at once");
    drop(member);
    let line = server.logged("\"closed\"");
    let line: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
    assert_eq!((&line["level"], &line["cause"]), (&"DEBUG".into(), &"client-closed".into()), "{line}");
    assert!(line["span"]["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
}
