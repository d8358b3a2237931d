//! Who may use the control API over TCP.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use wireplug_tests::running::Signal;

use super::{ADMIN, Controlled, RUNTIME_FOLDER, configured, error, file, run, secret, text_of, tokens};

#[test]
fn browsers_are_refused() {
    let server = Controlled::start();
    let headers = server.headers();
    for origin in ["http://127.0.0.1:3011", "null", ""] {
        let why =
            error(server.ask_with("GET", "/codecs", &format!("{headers}Origin: {origin}\r\n"), b""), 403);
        assert!(why.contains("browsers are refused"), "{why}");
    }
}

#[test]
fn a_token_is_generated_for_the_owner_alone_and_the_commands_find_it() {
    let mut server = Controlled::start();
    let port = server.control.rsplit(':').next().expect("a port");
    let file = RUNTIME_FOLDER.join(format!("wireplug/control-{port}.token"));
    assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    // A request without the token is refused, on loopback too.
    assert!(
        error(server.ask_with("GET", "/codecs", "Host: localhost\r\n", b""), 401)
            .contains("a token is needed")
    );
    let plain = run(&["codec", "list", "--control", &server.control]).expect("the token is found");
    let url =
        run(&["status", "--control", &format!("http://{}", server.control)]).expect("the token is found");
    assert!(plain.contains("pomelo") && url.contains("pomelo"), "{plain}{url}");
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    assert!(!fs::exists(&file).expect("it can be looked for"), "the token is gone with the server");
    // No line of the log contains the token.
    let token = server.token.as_deref().expect("it was generated");
    assert!(server.log.so_far().all(|line| !line.contains(token)));
}

#[test]
fn a_token_is_asked_of_everybody() {
    let (file, name) = tokens("everybody");
    let config = configured("everybody", &format!("listen = 'http://127.0.0.1:0'\ntoken-file = '{name}'"));
    let server = Controlled::with(&[&config]);
    let ask = |headers: &str| server.ask_with("GET", "/codecs", headers, b"");
    assert!(error(ask("Host: localhost\r\n"), 401).contains("a token is needed"));
    // With the token, any host name is accepted. Requests from browsers are still refused.
    let right = format!("Host: wireplug.example\r\nAuthorization: bearer {ADMIN}\r\n");
    assert_eq!(ask(&right).0, 200);
    error(ask(&format!("{right}Origin: http://wireplug.example\r\n")), 403);
    for wrong in ["Bearer 0123456789abcdef", "Bearer", "Basic 0123456789abcdef0123456789abcdef"] {
        error(ask(&format!("Host: localhost\r\nAuthorization: {wrong}\r\n")), 401);
    }
    let line = server.logged("the control API refuses a request");
    assert!(line.contains("WARN") && line.contains("status=401"), "{line}");

    let list = ["codec", "list", "--control", &server.control];
    let why = run(&list).expect_err("there is no token");
    assert!(why.contains("give it with --token-file"), "{why}");
    // The commands take the file of the server, or one with the token alone.
    for file in [file, secret("everybody-alone.token", ADMIN)] {
        let listed = run(&[&list[..], &["--token-file", text_of(&file)]].concat());
        assert!(listed.expect("the token is right").contains("pomelo"));
    }
}

#[test]
fn wrong_tokens_are_delayed_and_a_right_one_is_let_in() {
    let server = Controlled::start();
    let wrong = "Host: localhost\r\nAuthorization: Bearer ffffffffffffffffffffffff\r\n";
    let statuses: Vec<_> = (0..6).map(|_| server.ask_with("GET", "/codecs", wrong, b"").0).collect();
    assert_eq!(statuses[..4], [401; 4]);
    assert!(statuses[4..].contains(&429), "{statuses:?}");
    server.logged("the control API refuses a request");
    assert_eq!(server.ask("GET", "/codecs", b"").0, 200);
}

#[test]
fn it_does_not_start_where_it_should_not() {
    let listen = ["serve", "--listen", "tcp://127.0.0.1:0", "--control"];
    let server = Controlled::start();
    let why = run(&[&listen[..], &[&server.control]].concat()).expect_err("the port is taken");
    assert!(why.contains(&format!("the control API cannot listen on http://{}: ", server.control)), "{why}");
    for (name, content, mode, wanted) in [
        ("short", "ann admin secret\n", 0o600, "line 1: a token is 16 characters"),
        ("open", ADMIN, 0o644, "other users can read or write it (mode 644): chmod 600"),
    ] {
        let path = file(name, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the file is ours");
        let config = configured(name, &format!("listen = '127.0.0.1:0'\ntoken-file = '{name}'"));
        let why = run(&["serve", &config]).expect_err("it does not start");
        assert!(why.contains(wanted) && !why.contains("secret"), "{why}");
    }
}
