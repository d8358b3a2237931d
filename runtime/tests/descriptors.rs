//! A server that runs out of file descriptors: it says so, serves whom it has, and accepts again when there
//! are some.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for what must come. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of the server. It needs some twenty itself.
const DESCRIPTORS: usize = 64;

#[test]
fn says_so_and_goes_on() {
    let server = Served::start();
    let mut first = server.connect();
    shake_hands(&mut first);
    let crowd: Vec<_> = (0..DESCRIPTORS + 20).map(|_| server.connect()).collect();
    let begun = Instant::now();
    let line = server.said.recv_timeout(PATIENCE).expect("the server says something");
    assert!(line.contains("cannot accept") && line.contains("Too many open files"), "{line}");

    // It goes on with whom it has, and neither burns time nor fills the log.
    let before = server.cpu_time();
    for id in 1..=20 {
        echo(&mut first, id);
        thread::sleep(Duration::from_millis(100));
    }
    let (spent, watched) = (server.cpu_time() - before, begun.elapsed());
    assert!(spent < watched / 2, "{spent:?} of CPU time in {watched:?}");
    let lines = 1 + server.said.try_iter().filter(|line| line.contains("cannot accept")).count();
    assert!(lines as u128 <= begun.elapsed().as_millis() / 100 + 2, "{lines} lines in {:?}", begun.elapsed());

    drop(crowd);
    for _ in 0..DESCRIPTORS {
        let mut next = server.connect();
        shake_hands(&mut next);
        echo(&mut next, 1);
    }
    echo(&mut first, 21);
}

struct Served {
    child: Child,
    address: String,
    /// The lines of its log.
    said: Receiver<String>,
}

impl Served {
    fn start() -> Self {
        let limited = format!("ulimit -n {DESCRIPTORS} && exec \"$0\" serve --listen hybrid://127.0.0.1:0");
        let mut child = Command::new("sh")
            .args(["-c", &limited, env!("CARGO_BIN_EXE_wireplug")])
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let printed = lines(child.stdout.take().expect("it is piped"));
        let said = lines(child.stderr.take().expect("it is piped"));
        let address = loop {
            let line = printed.recv_timeout(PATIENCE).expect("the server prints where it listens");
            if let Some(address) = line.trim().strip_prefix("hybrid://") {
                break address.to_owned();
            }
        };
        Self { child, address, said }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("the kernel accepts, if not the server");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        stream
    }

    /// What it has used so far.
    fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let fields: Vec<_> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
        // utime and stime, the 14th and 15th field, in hundredths of a second.
        let ticks =
            fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number");
        Duration::from_millis(10 * ticks)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines that are written somewhere, as they come.
fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
    });
    lines
}

fn package(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 4];
    stream.read_exact(&mut head).expect("a package from the server");
    let mut body = vec![0; u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize];
    stream.read_exact(&mut body).expect("the rest of it");
    (head[0], body)
}

fn shake_hands(stream: &mut TcpStream) {
    stream.write_all(b"\x01\0\0\x0a{\"sys\":{}}").expect("the server reads");
    assert_eq!(package(stream).0, 1);
    stream.write_all(b"\x02\0\0\0").expect("the server reads");
}

/// Asks for an echo, and passes over heartbeats.
fn echo(stream: &mut TcpStream, id: u8) {
    stream.write_all(&[b"\x04\0\0\x20\0", &[id][..], b"\x1bconnector.entryHandler.echo{}"].concat()).unwrap();
    let answer = loop {
        let (kind, body) = package(stream);
        if kind == 4 {
            break body;
        }
    };
    assert_eq!(answer, [4, id, b'{', b'}']);
}
