//! `wireplug codec` with a running server.

use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use wireplug_tests::hostile::heavy::slowed;
use wireplug_tests::running::{PATIENCE, wait_for};

use super::{Controlled, file, noted, run};

/// Runs `wireplug codec` with the control API of a server.
fn codec(server: &Controlled, arguments: &[&str]) -> Result<String, String> {
    let url = format!("http://{}", server.control);
    run(&[&["codec"], arguments, &["--control", &url]].concat())
}

#[track_caller]
fn said(done: Result<String, String>) -> Vec<String> {
    done.unwrap_or_else(|why| panic!("{why}")).lines().map(str::to_owned).collect()
}

#[test]
fn swaps_and_rolls_back() {
    let server = Controlled::start();
    let _member = server.member();
    let next = file("commands-next.wasm", noted("commands"));
    let next = next.to_str().expect("it is text");

    let swap = said(codec(&server, &["swap", "pomelo", next]));
    assert!(swap[0].starts_with("pomelo: generation 1 -> 2, in "), "{swap:?}");
    assert!(swap[1].starts_with("  1 session moved; the longest stood still for "), "{swap:?}");
    assert_eq!(swap[2], "  0 sessions on older generations, until they end or drain");
    assert!(swap[3].starts_with("  until the server is started anew: "), "{swap:?}");

    let list = said(codec(&server, &["list"]));
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        words(&list[0]),
        ["CODEC", "GENERATION", "ROLE", "VERSION", "SHA-256", "SIGNED", "BY", "SESSIONS", "FAULTS"]
    );
    let (old, new) = (words(&list[1]), words(&list[2]));
    assert_eq!((&old[..3], &old[6..]), (&words("pomelo 1 previous")[..], &words("- 0 0")[..]), "{list:?}");
    assert_eq!((&new[..3], &new[6..]), (&words("pomelo 2 current")[..], &words("- 1 0")[..]), "{list:?}");
    assert_eq!((old[5].len(), new[5].len()), (12, 12), "{list:?}");

    let back = said(codec(&server, &["rollback", "pomelo"]));
    assert!(back[0].starts_with("pomelo: generation 2 -> 1, in "), "{back:?}");
    let list = said(codec(&server, &["list"]));
    assert!(list.last().is_some_and(|line| line.ends_with("taken again only with --force")), "{list:?}");
    let why = codec(&server, &["swap", "pomelo", next]).expect_err("it was rolled back");
    assert!(why.contains("was rolled back in the slot pomelo"), "{why}");
    said(codec(&server, &["swap", "pomelo", next, "--force", "--sessions", "drain"]));

    let json = said(codec(&server, &["list", "--json"])).concat();
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(json[0]["current"], 3);
}

/// The counts of sessions that sleep.
#[test]
fn shows_who_sleeps() {
    let text = "app = 'demo'
[codecs.pomelo]
builtin = 'pomelo'
[codecs.pomelo.limits]
sleep-after = '1ms'
[[listeners]]
url = 'tcp://127.0.0.1:0'
codec = 'pomelo'
[control]
listen = 'http://127.0.0.1:0'
";
    let config = file("commands-sleep.toml", text);
    let server = Controlled::with(&[config.to_str().expect("it is text")]);
    let _member = server.member();
    let list = wait_for("a session that sleeps", PATIENCE, || {
        let list = said(codec(&server, &["list"])).join("\n");
        list.contains("1 session asleep, with ").then_some(list)
    });
    assert!(list.contains("because they were idle and 0 times because others needed their place"), "{list}");
    server.say("hi");
    let list = said(codec(&server, &["list"])).join("\n");
    assert!(list.contains(" message"), "{list}");
    let url = format!("http://{}", server.control);
    wait_for("a status with it", PATIENCE, || {
        let status = run(&["status", "--control", &url]).expect("the server answers");
        status.contains("1, 1 asleep").then_some(())
    });
    let json = run(&["status", "--json", "--control", &url]).expect("the server answers");
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(json[0]["awake"]["max-awake"], 10_000, "{json}");
    assert!(json[0]["codecs"][0]["generations"][0]["sleep"]["slept-idle"].as_u64() > Some(0), "{json}");
}

#[test]
fn tries_and_promotes() {
    let server = Controlled::start();
    let candidate = file("commands-candidate.wasm", noted("candidate"));
    let candidate = candidate.to_str().expect("it is text");

    let shadow = said(codec(&server, &["try", "pomelo", candidate, "--shadow", "100%"]));
    assert_eq!(shadow[0], "pomelo: generation 2 is on trial as a shadow, with 100 % of the sessions");
    server.say("hi");
    let list = said(codec(&server, &["list"])).join("\n");
    assert!(list.contains(" shadow ") && list.contains("pomelo: the shadow has compared "), "{list}");
    assert_eq!(
        said(codec(&server, &["end-trial", "pomelo"])),
        ["pomelo: the trial of generation 2 was ended"]
    );

    let canary = said(codec(&server, &["try", "pomelo", candidate, "--canary", "0.05"]));
    assert_eq!(canary[0], "pomelo: generation 3 is on trial as a canary, with 5 % of the sessions");
    let promoted = said(codec(&server, &["promote", "pomelo"]));
    assert!(promoted[0].starts_with("pomelo: generation 1 -> 3, in "), "{promoted:?}");
}

#[test]
fn says_what_is_wrong() {
    let manifest = crate::MANIFEST;
    let url = format!("http://{}", Controlled::start().control);
    let nowhere: &[(&[&str], &str)] = &[
        (&["list", "--control", &url], "start the server with `wireplug serve --control URL`"),
        (
            &["list", "--control", "tcp://127.0.0.1"],
            "is not a URL like unix:///run/wireplug/control.sock, http://",
        ),
        (&["list", "--token-file", "/nowhere"], "cannot read the token in /nowhere"),
        (&["swap", "pomelo", "/nowhere.wasm"], "cannot read the codec /nowhere.wasm"),
        (&["try", "pomelo", manifest], "required arguments were not provided"),
        (&["try", "pomelo", manifest, "--shadow", "0%"], "a share is above 0% and at most 100%"),
        (&["try", "pomelo", manifest, "--shadow", "1%", "--canary", "1%"], "cannot be used with"),
    ];
    for (arguments, wanted) in nowhere {
        let why = run(&[&["codec"], *arguments].concat()).expect_err("this is wrong");
        assert!(why.contains(wanted), "{arguments:?}: {why}");
    }
    let server = Controlled::start();
    let there: &[(&[&str], &str)] = &[
        (&["swap", "pomelo", manifest], "it is not a WebAssembly file"),
        (&["swap", "no/pe", manifest], "there is no codec \"no/pe\"; there is pomelo"),
        (&["promote", "pomelo"], "no candidate of pomelo is on trial"),
    ];
    for (arguments, wanted) in there {
        let why = codec(&server, arguments).expect_err("this is wrong");
        assert!(why.contains(wanted), "{arguments:?}: {why}");
    }
    // This address belongs to a listener, which does not speak the control API.
    let clients = server.url("http");
    let why = run(&["codec", "list", "--control", &clients]).expect_err("it speaks Pomelo");
    assert!(why.contains("does not answer like the control API"), "{why}");
}

/// While an upload is being compiled, `wireplug status` shows it.
#[test]
fn status_tells_what_compiles() {
    let server = Controlled::start();
    let url = format!("http://{}", server.control);
    let status = || run(&["status", "--control", &url]).expect("the server answers");
    assert!(!status().contains("COMPILING"), "nothing compiles");
    // The name makes the component new, so no cache has it from an earlier run.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_nanos();
    let slow = file("commands-slow.wasm", slowed(&noted(&now.to_string()), 4_000));
    let slow = slow.to_str().expect("it is text");
    thread::scope(|scope| {
        let upload = scope.spawn(|| run(&["codec", "swap", "pomelo", slow, "--control", &url]));
        let text = wait_for("the upload to compile", PATIENCE, || {
            assert!(!upload.is_finished(), "it does not compile");
            Some(status()).filter(|text| text.contains("COMPILING"))
        });
        let line = text.lines().last().expect("a line for the upload");
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!((words[1], words[3], words[5]), ("pomelo", "KiB", "compiles"), "{text}");
        let (_, nodes) = server.ask("GET", "/nodes", b"");
        let job = &nodes[0]["compiling"][0];
        assert_eq!((&job["codec"], &job["state"]), (&"pomelo".into(), &"running".into()), "{nodes}");
        assert!(job["since"].as_u64().is_some_and(|since| since > 1_700_000_000), "{nodes}");
    });
}
