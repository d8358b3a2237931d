//! What `wireplug serve` writes, and that no reader of it can hold the server up.

mod formats;
mod levels;
mod stalled;

use std::fs;
use std::io::{BufRead as _, BufReader, PipeReader, PipeWriter, Read, Write as _, pipe};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};
use wireplug_pomelo::client::{Client, Incoming};

/// How long to wait for what must come. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A path of a test, whose name must be its own.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("log-{name}-{}", std::process::id()))
}

/// `wireplug serve` at a Unix socket, which is known also where nothing that the server prints is read. Ended at
/// the latest with the test.
struct Served {
    child: Child,
    socket: PathBuf,
}

impl Served {
    /// Serves the demo.
    fn start(name: &str, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Self {
        let socket = path(&format!("{name}.sock"));
        let url = format!("unix://{}", socket.display());
        Self::spawn(Command::new(BINARY).args(["serve", "--listen", &url]), socket, stdout, stderr)
    }

    /// Serves with a configuration file of this content. `SOCKET` in it is where the server is reached.
    fn configured(
        name: &str,
        content: &str,
        stdout: impl Into<Stdio>,
        stderr: impl Into<Stdio>,
    ) -> (Self, PathBuf) {
        let (socket, file) = (path(&format!("{name}.sock")), path(&format!("{name}.toml")));
        fs::write(&file, content.replace("SOCKET", &format!("unix://{}", socket.display())))
            .expect("the directory of tests can be written");
        let served = Self::spawn(Command::new(BINARY).arg("serve").arg(&file), socket, stdout, stderr);
        (served, file)
    }

    fn spawn(
        command: &mut Command,
        socket: PathBuf,
        stdout: impl Into<Stdio>,
        stderr: impl Into<Stdio>,
    ) -> Self {
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        Self { child: command.spawn().expect("the binary is there"), socket }
    }

    /// Connects, as soon as the server listens.
    fn connect(&mut self) -> UnixStream {
        let end = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(&self.socket) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
                    return stream;
                }
                Err(error) => {
                    let ended = self.child.try_wait().expect("it is our child");
                    assert!(Instant::now() < end && ended.is_none(), "{error}: the server ended: {ended:?}");
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Connects, sends what is no Pomelo, and waits until the server has closed: that is a log line.
    fn send_nonsense(&mut self) {
        let mut stream = self.connect();
        // The server may close while the client still sends.
        let _ = stream.write_all(&[0xff; 4]);
        let _ = stream.read_to_end(&mut Vec::new());
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is our child");
    }

    #[track_caller]
    fn exit_code(&mut self) -> Option<i32> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the server did not end");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.socket);
    }
}

const BINARY: &str = env!("CARGO_BIN_EXE_wireplug");

/// A pipe that takes nothing: it is full, and what is in it is read by nobody until the test does.
fn stalled_pipe() -> (PipeReader, PipeWriter, usize) {
    let (reader, mut writer) = pipe().expect("there are descriptors");
    let flags = fcntl_getfl(&writer).expect("it is open");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("it is open");
    let mut filled = 0;
    while let Ok(count) = writer.write(&[b'.'; 512]) {
        filled += count;
    }
    fcntl_setfl(&writer, flags).expect("it is open");
    (reader, writer, filled)
}

/// The lines of a pipe that was stalled, without what filled it.
fn resumed((mut reader, filled): (PipeReader, usize)) -> Receiver<String> {
    reader.read_exact(&mut vec![0; filled]).expect("it was filled");
    lines(reader)
}

/// The lines of a stream. The sender goes when the stream has ended.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
    });
    lines
}

/// The next line that has this text.
#[track_caller]
fn found(lines: &Receiver<String>, text: &str) -> String {
    loop {
        let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{text:?} is not written"));
        if line.contains(text) {
            return line;
        }
    }
}

/// A Pomelo client whose handshake is over.
struct Honest {
    stream: UnixStream,
    client: Client,
}

impl Honest {
    fn to(server: &mut Served) -> Self {
        let mut honest = Self { stream: server.connect(), client: Client::new() };
        let mut out = Vec::new();
        honest.client.connect(None, &mut out);
        honest.stream.write_all(&out).expect("the server reads");
        let ready = honest.next();
        assert!(matches!(ready, Incoming::Ready { .. }), "{ready:?}");
        honest
    }

    /// Sends a request and compares the answer.
    #[track_caller]
    fn echo(&mut self, body: &str) {
        let mut out = Vec::new();
        let route = "connector.entryHandler.echo";
        self.client.request(route, body.as_bytes(), &mut out).expect("the connection is ready");
        self.stream.write_all(&out).expect("the server reads");
        match self.next() {
            Incoming::Response { body: answer, .. } => assert_eq!(answer, body.as_bytes()),
            other => panic!("{other:?} in answer to a request"),
        }
    }

    /// What comes next but heartbeats. There is never more than one packet on its way.
    #[track_caller]
    fn next(&mut self) -> Incoming {
        loop {
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).expect("the server answers");
            assert!(count > 0, "the server has closed");
            let (mut out, mut incoming) = (Vec::new(), Vec::new());
            self.client.receive(&bytes[..count], &mut out, &mut incoming).expect("Pomelo");
            self.stream.write_all(&out).expect("the server reads");
            if let Some(next) = incoming.into_iter().find(|next| *next != Incoming::Heartbeat) {
                return next;
            }
        }
    }
}
