//! Health checks: on a port of their own, on the control API, and on a listener for WebSocket.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use wireplug_tests::running::{PATIENCE, Signal, wait_for};

use super::{Controlled, configured};

/// Sends a request without a token, and returns the answer.
fn ask(address: &str, request: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    let request = format!("{request} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers and closes");
    answer
}

#[track_caller]
fn says(answer: &str, status: &str, body: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
    assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
}

#[test]
fn probes_are_answered_until_the_process_ends() {
    let rest = "[health]\nlisten = '127.0.0.1:0'\n[server]\ndrain-spread = '4s'";
    let config = configured("health", &format!("listen = '127.0.0.1:0'\n{rest}"));
    let mut server = Controlled::with(&[&config]);
    let own = server.health.clone().expect("it has a port for health checks");
    for address in [&own, &server.control] {
        for path in ["/livez", "/readyz"] {
            says(&ask(address, &format!("GET {path}")), "200 OK", "ok\n");
            says(&ask(address, &format!("HEAD {path}")), "200 OK", "");
            let options = ask(address, &format!("OPTIONS {path}")).to_lowercase();
            assert!(options.contains("\r\nallow: get, head, options\r\n"), "{options}");
            says(&ask(address, &format!("POST {path}")), "405 Method Not Allowed", "ok\n");
        }
    }
    says(&ask(&own, "GET /nodes"), "404 Not Found", "");
    // Everything else of the control API still needs its token.
    assert!(ask(&server.control, "GET /nodes").starts_with("HTTP/1.1 401 "));

    // The second of two sessions ends after half of the time.
    let _clients = [server.member(), server.member()];
    server.signal(Signal::TERM);
    let draining = wait_for("the drain", PATIENCE, || {
        Some(ask(&own, "GET /readyz")).filter(|answer| !answer.starts_with("HTTP/1.1 200 "))
    });
    says(&draining, "503 Service Unavailable", "the server is stopping\n");
    says(&ask(&own, "GET /livez"), "200 OK", "ok\n");
    assert_eq!(server.exit_code(), Some(0));
}
