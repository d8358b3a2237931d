//! A server is paused, as by SIGSTOP or on a suspended machine. When it continues, it reads the
//! bytes that its clients sent meanwhile before it applies their deadlines.
#![cfg(target_os = "linux")]

mod program;

use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use wireplug_tests::blocking::Client;
use wireplug_tests::running::Signal;
use wireplug_tests::served::Served;

use self::program::wireplug;

const CLIENTS: usize = 100;

/// How long the server is paused: more than twice its deadlines.
const PAUSE: Duration = Duration::from_secs(9);

/// How often each client sends a heartbeat.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A configuration with heartbeats of two seconds, an idle timeout, and a rate. The clients keep
/// the rate, but would exceed it if all packets of a pause counted at once.
const CONFIG: &str = r#"
app = "demo"

[codecs.pomelo]
builtin = "pomelo"
options.heartbeat = 2

[[listeners]]
url = "tcp://127.0.0.1:0"
codec = "pomelo"
limits.idle-timeout = "3s"
limits.first-byte-timeout = "3s"
limits.handshake-timeout = "3s"
limits.packets-per-second = 12
limits.over-rate = "close"
"#;

#[test]
fn closes_nobody_whose_heartbeats_it_has_not_read() {
    let server = Served::configured(&mut wireplug(["serve"]), "paused", CONFIG);
    let (mut clients, mut beaten) = (Vec::new(), Instant::now());
    for _ in 0..CLIENTS {
        clients.push(Client::connect(server.connect()));
        if beaten.elapsed() >= HEARTBEAT {
            clients.iter_mut().for_each(Client::heartbeat);
            beaten = Instant::now();
        }
    }
    beat(&mut clients, Duration::from_secs(1));
    // When the server is paused, this client has connected and has not sent a byte.
    let mut opening = Client::new(server.connect());
    sleep(Duration::from_millis(200));

    server.signal(Signal::STOP);
    opening.begin_handshake();
    beat(&mut clients, PAUSE);
    server.signal(Signal::CONT);

    opening.end_handshake();
    opening.echo("{}");
    // The deadlines apply again: a client that is silent is closed.
    let mut silent = clients.pop().expect("there are many");
    beat(&mut clients, PAUSE);
    for client in &mut clients {
        client.echo("{}");
    }
    silent.until_closed();
    assert!(server.log.so_far().all(|line| !line.contains("over-rate")), "the pause was charged to a client");
}

/// All clients send heartbeats for this time.
fn beat(clients: &mut [Client<TcpStream>], length: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < length {
        clients.iter_mut().for_each(Client::heartbeat);
        sleep(HEARTBEAT);
    }
}
