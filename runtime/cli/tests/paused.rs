//! A server that does not run for a while, as after SIGSTOP or with a suspended machine: what its clients sent in that
//! time is read before they are judged.
#![cfg(target_os = "linux")]

mod served;

use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use self::served::{Served, echo, heartbeat, shake_hands};

const CLIENTS: usize = 100;

/// Of the server, more than twice as long as its deadlines.
const PAUSE: Duration = Duration::from_secs(9);

/// How often each client sends a heartbeat.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Heartbeats of two seconds, an idle timeout, and a rate that the clients keep, and would not keep with all the
/// packets of a pause at once.
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
    let server = Served::configured(CONFIG);
    let (mut clients, mut beaten) = (Vec::new(), Instant::now());
    for _ in 0..CLIENTS {
        let mut client = server.connect();
        shake_hands(&mut client);
        clients.push(client);
        if beaten.elapsed() >= HEARTBEAT {
            clients.iter_mut().for_each(heartbeat);
            beaten = Instant::now();
        }
    }
    beat(&mut clients, Duration::from_secs(1));
    // They are in the middle of their handshakes, and without a byte, when the server stops.
    let mut opening = server.connect();
    sleep(Duration::from_millis(200));

    let pid = Pid::from_raw(server.pid().try_into().expect("a number")).expect("it is not zero");
    kill_process(pid, Signal::STOP).expect("it runs");
    served::begin_handshake(&mut opening);
    beat(&mut clients, PAUSE);
    kill_process(pid, Signal::CONT).expect("it is there");

    served::end_handshake(&mut opening);
    echo(&mut opening, 1);
    // Its deadlines hold again: who is silent is closed.
    let mut silent = clients.pop().expect("there are many");
    beat(&mut clients, PAUSE);
    for client in &mut clients {
        echo(client, 1);
    }
    served::until_closed(&mut silent);
    assert!(server.log().iter().all(|line| !line.contains("over-rate")), "the pause was charged to a client");
}

/// All clients send heartbeats for so long.
fn beat(clients: &mut [TcpStream], length: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < length {
        clients.iter_mut().for_each(heartbeat);
        sleep(HEARTBEAT);
    }
}
