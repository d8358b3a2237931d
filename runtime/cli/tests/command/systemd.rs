//! What `wireplug serve` reports to the service manager, and the sockets that it gets from it: the
//! test is the service manager.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Command;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

use wireplug_tests::folder::Folder;
use wireplug_tests::running::{PATIENCE, Signal, finish};
use wireplug_tests::served::Served;

use super::program::{PROGRAM, wireplug};

/// A service manager: the socket on which it gets messages.
struct Manager {
    socket: UnixDatagram,
    folder: Folder,
}

impl Manager {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let socket = UnixDatagram::bind(folder.path("notify")).expect("it can be bound");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        Self { socket, folder }
    }

    fn command(&self) -> Command {
        let mut command = wireplug(["serve", "--listen", "tcp://127.0.0.1:0"]);
        command.env("NOTIFY_SOCKET", self.folder.path("notify"));
        command
    }

    /// Returns the next message whose first line begins with this name.
    #[track_caller]
    fn hears(&self, name: &str) -> Vec<String> {
        let mut message = [0; 1024];
        loop {
            let length = self.socket.recv(&mut message).expect("the server sends a message");
            let text = std::str::from_utf8(&message[..length]).expect("it is text");
            if text.starts_with(name) {
                return text.lines().map(str::to_owned).collect();
            }
        }
    }
}

#[test]
fn the_service_manager_learns_of_the_start_of_reloads_and_of_the_end() {
    let manager = Manager::new("systemd-notify");
    let mut server = Served::start(&mut manager.command());
    assert_eq!(manager.hears("MAINPID="), [format!("MAINPID={}", server.pid()), "READY=1".to_owned()]);
    assert_eq!(manager.hears("STATUS="), ["STATUS=0 sessions, 1 listener"]);

    server.signal(Signal::HUP);
    let reloading = manager.hears("RELOADING=");
    let micros = reloading.get(1).and_then(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert!(
        micros.is_some_and(|micros| micros.parse::<u64>().is_ok_and(|micros| micros > 0)),
        "{reloading:?}"
    );
    assert_eq!(manager.hears("READY="), ["READY=1"]);

    server.signal(Signal::TERM);
    assert_eq!(manager.hears("STOPPING="), ["STOPPING=1"]);
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn the_watchdog_is_served_again_and_again() {
    let manager = Manager::new("systemd-watchdog");
    let _server = Served::start(manager.command().env("WATCHDOG_USEC", "20000"));
    for _ in 0..3 {
        assert_eq!(manager.hears("WATCHDOG="), ["WATCHDOG=1"]);
    }
}

/// `wireplug serve` with sockets as its descriptors from number 3 on.
struct Activated {
    command: Command,
    /// What the command inherits.
    _sockets: Vec<OwnedFd>,
}

fn activated(sockets: &[BorrowedFd<'_>], arguments: &[&str]) -> Activated {
    let mut script = "export LISTEN_PID=$$".to_owned();
    let mut inherited = Vec::new();
    for (number, socket) in (3..).zip(sockets) {
        // A high number, so that no other socket takes its place before the shell has moved it.
        let socket = fcntl_dupfd_cloexec(socket, 100).expect("there are descriptors");
        fcntl_setfd(&socket, FdFlags::empty()).expect("it is open");
        script += &format!("; exec {number}<&{}", socket.as_raw_fd());
        inherited.push(socket);
    }
    script += r#"; exec "$@""#;
    let mut command = Command::new("bash");
    command.args(["-c", &script, "bash", PROGRAM, "serve"]).args(arguments);
    command.env("LISTEN_FDS", sockets.len().to_string());
    Activated { command, _sockets: inherited }
}

#[test]
fn listeners_take_the_sockets_of_their_addresses() {
    let folder = Folder::new("systemd-sockets");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let health = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let unix = UnixListener::bind(folder.path("clients.sock")).expect("it can be bound");
    let control = UnixListener::bind(folder.path("control.sock")).expect("it can be bound");
    let port = |socket: &TcpListener| socket.local_addr().expect("it is bound").port();
    let config = folder.write(
        "wireplug.toml",
        format!(
            "app = 'demo'
            [codecs.pomelo]
            builtin = 'pomelo'
            [[listeners]]
            url = 'tcp://127.0.0.1:{}'
            codec = 'pomelo'
            [[listeners]]
            url = 'tcp://127.0.0.1:0'
            codec = 'pomelo'
            [[listeners]]
            url = 'unix://{}'
            codec = 'pomelo'
            [health]
            listen = '127.0.0.1:{}'
            [control]
            listen = 'unix://{}'",
            port(&tcp),
            folder.text("clients.sock"),
            port(&health),
            folder.text("control.sock"),
        ),
    );
    let sockets = [control.as_fd(), health.as_fd(), unix.as_fd(), tcp.as_fd()];
    let config = config.to_str().expect("it is text");
    // They wait in the queues until the server has started.
    let mut probe = TcpStream::connect(("127.0.0.1", port(&health))).expect("the kernel accepts");
    probe.write_all(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n").expect("it is sent");
    let mut server = Served::start(&mut activated(&sockets, &[config]).command);
    assert_eq!(server.urls[0], format!("tcp://127.0.0.1:{}", port(&tcp)));
    let mut answer = String::new();
    probe.read_to_string(&mut answer).expect("it answers and closes");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for url in &server.urls {
        let echo = finish(&mut wireplug(["call", url, "connector.entryHandler.echo", r#"{"a":1}"#]));
        assert_eq!(echo.result().as_deref(), Ok("{\"a\":1}\n"), "{url}");
    }
    let control = format!("unix://{}", folder.text("control.sock"));
    let drained = finish(&mut wireplug(["drain", "--exit", "--control", &control])).printed();
    assert!(drained.starts_with("drained: 0 sessions were closed"), "{drained}");
    assert_eq!(server.exit_code(), Some(0));
    // They are the sockets of the service manager, so their files stay.
    for file in ["clients.sock", "control.sock"] {
        assert!(folder.path(file).exists(), "{file}");
    }
}

#[test]
fn a_socket_that_no_listener_wants_is_an_error() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = tcp.local_addr().expect("it is bound");
    let (_, errors) =
        finish(&mut activated(&[tcp.as_fd()], &["--listen", "tcp://127.0.0.1:0"]).command).failed();
    assert!(errors.contains(&format!("has opened tcp://{address}, and no listener")), "{errors}");
    // Those of another process are not touched.
    let mut other = wireplug(["serve", "--listen", "tcp://127.0.0.1:0"]);
    drop(Served::start(other.env("LISTEN_PID", "1").env("LISTEN_FDS", "-1")));
    let (_, errors) =
        finish(activated(&[], &["--listen", "tcp://127.0.0.1:0"]).command.env("LISTEN_FDS", "-1")).failed();
    assert!(errors.contains("LISTEN_FDS is -1, and not 0 to 1024"), "{errors}");
}
