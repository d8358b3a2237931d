//! Who is let in, and how much.

use super::{Served, error, file, noted, run};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A configuration with a control API as `control` says; for a test of this name.
fn configured(name: &str, control: &str) -> String {
    let text = format!(
        "[codecs.pomelo]
        builtin = 'pomelo'
        [[listeners]]
        url = 'tcp://127.0.0.1:0'
        codec = 'pomelo'
        [control]
        {control}"
    );
    file(&format!("{name}.toml"), text).to_str().expect("it is text").to_owned()
}

#[test]
fn browsers_and_names_of_strangers_are_refused() {
    let server = Served::start();
    let ask = |headers: &str| server.ask_with("GET", "/codecs", headers, b"");
    for host in ["127.0.0.1", "127.0.0.1:3011", "[::1]:3011", "localhost", "LOCALHOST:3011"] {
        assert_eq!(ask(&format!("Host: {host}\r\n")).0, 200, "{host}");
    }
    for headers in
        ["", "Host: wireplug.example\r\n", "Host: localhost.example:80\r\n", "Host: 1.2.3.4.example\r\n"]
    {
        let why = error(ask(headers), 403);
        assert!(why.starts_with("the Host is neither an IP address nor localhost"), "{headers}: {why}");
    }
    for origin in ["http://127.0.0.1:3011", "null", ""] {
        let why = error(ask(&format!("Host: localhost\r\nOrigin: {origin}\r\n")), 403);
        assert!(why.contains("browsers are not let in"), "{why}");
    }
}

#[test]
fn a_token_is_asked_of_everybody() {
    file("token", format!("{TOKEN}\n"));
    let config = configured("token", "listen = '127.0.0.1:0'\ntoken-file = 'token'");
    let server = Served::with(&[&config]);
    let ask = |headers: &str| server.ask_with("GET", "/codecs", headers, b"");
    assert!(error(ask("Host: localhost\r\n"), 401).contains("a token is needed"));
    for wrong in ["Bearer 0123456789abcdef", "Bearer", "Bearer ", "Basic 0123456789abcdef0123456789abcdef"] {
        error(ask(&format!("Host: localhost\r\nAuthorization: {wrong}\r\n")), 401);
    }
    // With it the name under which the server is reached does not matter; a browser stays outside.
    let right = format!("Host: wireplug.example\r\nAuthorization: bearer {TOKEN}\r\n");
    assert_eq!(ask(&right).0, 200);
    error(ask(&format!("{right}Origin: http://wireplug.example\r\n")), 403);
    // What is not let in changes nothing.
    error(server.ask("PUT", "/codecs/pomelo", &noted("x")), 401);

    let url = format!("http://{}", server.control);
    let list = ["codec", "list", "--control", &url];
    let why = run(&list).expect_err("there is no token");
    assert!(why.contains("give it with --token-file"), "{why}");
    let token = file("token", format!("{TOKEN}\n"));
    let listed = run(&[&list[..], &["--token-file", token.to_str().expect("it is text")]].concat());
    assert!(listed.expect("the token is right").contains("pomelo"));
}

#[test]
fn uploads_have_a_limit() {
    let config = configured("limit", "listen = '127.0.0.1:0'\nmax-upload = '1KiB'");
    let server = Served::with(&[&config]);
    // Long enough to be on its way when the answer comes.
    let upload = vec![0; 8 << 20];
    let why = server.refused("PUT", "/codecs/pomelo", &upload, 413);
    assert!(why.contains("larger than 1024 bytes, which is `max-upload`"), "{why}");
    let chunked = format!(
        "PUT /codecs/pomelo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n{}\r\n0\r\n\r\n",
        "x".repeat(0x401)
    );
    error(server.raw(chunked.as_bytes()), 413);
    server.refused("PUT", "/codecs/pomelo", &upload[..1024], 422);
}

#[test]
fn it_does_not_start_where_it_should_not() {
    let listen = ["serve", "--listen", "tcp://127.0.0.1:0", "--control"];
    let start = |address: &str| run(&[&listen[..], &[address]].concat()).expect_err("it does not start");
    let why = start("0.0.0.0:0");
    assert!(why.contains("the control API does not start on 0.0.0.0:0: other machines reach"), "{why}");
    let server = Served::start();
    let why = start(&server.control);
    assert!(why.contains(&format!("the control API cannot listen on {}: ", server.control)), "{why}");

    file("short", "secret\n");
    let config = configured("short", "listen = '127.0.0.1:0'\ntoken-file = 'short'");
    let why = run(&["serve", &config]).expect_err("the token is too short");
    assert!(why.contains("a token is 16 characters"), "{why}");
}
