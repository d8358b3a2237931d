//! Limits on the requests that the control API accepts.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use super::{Controlled, answer, configured, error, file, noted, run, secret, text_of};

/// Less than the ten seconds that a client has to send the head of a request.
const AT_ONCE: Duration = Duration::from_secs(5);

#[test]
fn uploads_have_a_limit() {
    let config = configured("limit", "listen = '127.0.0.1:0'\nmax-upload = '1KiB'");
    let server = Controlled::with(&[&config]);
    // Long enough that a part is still unsent when the answer comes.
    let upload = vec![0; 8 << 20];
    let why = server.refused("PUT", "/codecs/pomelo", &upload, 413);
    assert!(why.contains("larger than 1024 bytes, which is `max-upload`"), "{why}");
    let chunked = format!(
        "PUT /codecs/pomelo HTTP/1.1\r\n{}Transfer-Encoding: chunked\r\n\r\n401\r\n{}\r\n0\r\n\r\n",
        server.headers(),
        "x".repeat(0x401)
    );
    error(server.raw(chunked.as_bytes()), 413);
    server.refused("PUT", "/codecs/pomelo", &upload[..1024], 422);
}

#[test]
fn a_head_has_16_kib() {
    const MAX: usize = 16 << 10;
    let server = Controlled::start();
    for (length, status) in [(MAX, "200"), (MAX + 1, "431")] {
        let around = format!("GET /codecs HTTP/1.1\r\n{}X: \r\n\r\n", server.headers()).len();
        let filler = "x".repeat(length - around);
        let request = format!("GET /codecs HTTP/1.1\r\n{}X: {filler}\r\n\r\n", server.headers());
        let mut socket = server.connect();
        // A refused request may not be read to its end.
        let _ = socket.write_all(request.as_bytes());
        let mut start = [0; 12];
        socket.read_exact(&mut start).expect("it answers");
        assert_eq!(str::from_utf8(&start), Ok(&*format!("HTTP/1.1 {status}")), "{length}");
    }
}

/// With two tokens it is unclear which user sends the request.
#[test]
fn a_request_has_one_token() {
    let server = Controlled::start();
    let request = format!(
        "GET /codecs HTTP/1.1\r\n{}Authorization: Bearer another-token-of-somebody\r\n\r\n",
        server.headers()
    );
    let why = error(server.raw(request.as_bytes()), 401);
    assert!(why.contains("several Authorization"), "{why}");
}

#[test]
fn half_sent_requests_keep_nobody_waiting() {
    let server = Controlled::start();
    // More connections than the control API accepts.
    let silent: Vec<_> = (0..100)
        .map(|number| {
            let mut socket = server.connect_from([127, 0, 0, 10 + number % 20]);
            socket.write_all(b"GET /codecs HTTP/1.1\r\nHost:").expect("it reads");
            socket
        })
        .collect();
    let begun = Instant::now();
    let request = format!("GET /codecs HTTP/1.1\r\n{}\r\n", server.headers());
    // Connects from a new address, and from an address that has half-sent requests.
    for address in [[127, 0, 0, 2], [127, 0, 0, 10]] {
        for _ in 0..3 {
            let mut socket = server.connect_from(address);
            socket.write_all(request.as_bytes()).expect("it reads");
            assert_eq!(answer(&mut socket).0, 200);
        }
    }
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    drop(silent);
}

#[test]
fn a_request_is_refused_before_its_body_is_read() {
    let server = Controlled::start();
    let length = 60 << 20;
    let head = |headers: &str, path: &str| {
        format!("PUT {path} HTTP/1.1\r\n{headers}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n")
    };
    let headers = server.headers();
    for (status, headers, path) in [
        (401, "Host: localhost\r\n", "/codecs/pomelo"),
        (404, &headers, "/codecs/nope"),
        (400, &headers, "/codecs/pomelo?share=2"),
    ] {
        let mut socket = server.connect();
        socket.write_all(head(headers, path).as_bytes()).expect("it reads");
        // The client has sent no byte of the body, and the server has not asked for it.
        error(answer(&mut socket), status);
    }

    // This client sends its body although it was not asked for. The server stops reading and sends
    // its answer.
    let mut socket = server.connect();
    socket.write_all(head("Host: localhost\r\n", "/codecs/pomelo").as_bytes()).expect("it reads");
    let part = vec![0; 64 << 10];
    let mut sent = 0;
    while sent < length && socket.write_all(&part).is_ok() {
        sent += part.len();
    }
    assert!(sent < length, "all of the body was read");
    let mut start = [0; 12];
    socket.read_exact(&mut start).expect("the answer is there");
    assert_eq!(&start, b"HTTP/1.1 401");
}

#[test]
fn the_command_sends_no_component_that_is_refused_by_its_head() {
    let server = Controlled::start();
    let component = text_of(&file("limits-large.wasm", vec![0; 32 << 20])).to_owned();
    let wrong = text_of(&secret("limits-wrong-token", "ffffffffffffffffffffffff")).to_owned();
    let swap = ["codec", "swap", "pomelo", &component, "--control", &server.control];
    let why = run(&[&swap[..], &["--token-file", &wrong]].concat()).expect_err("the token is wrong");
    assert!(why.contains("the token is wrong"), "{why}");
    // With the right token, the body is sent and checked.
    let why = run(&swap).expect_err("it is no component");
    assert!(why.contains("it is not a WebAssembly file"), "{why}");
    let right = text_of(&file("limits-right.wasm", noted("limits"))).to_owned();
    run(&["codec", "swap", "pomelo", &right, "--control", &server.control]).expect("it is taken");
}
