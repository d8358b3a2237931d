//! The output of `wireplug serve`, which never waits for its reader.

mod access;
mod formats;
mod levels;
mod stalled;

use std::io::{PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::ops::{Deref, DerefMut};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use wireplug_tests::blocking::Client;
use wireplug_tests::folder::Folder;
use wireplug_tests::running::{Lines, PATIENCE, Running, wait_for};

use super::program::wireplug;

/// A process of `wireplug serve` at a Unix socket. The address is known even if the output of the
/// server is not read.
struct Served {
    running: Running,
    folder: Folder,
}

impl Served {
    /// Starts a server with the demo.
    fn start(name: &str, output: impl Into<Stdio>, log: impl Into<Stdio>) -> Self {
        Self::by(name, output, log, |folder| {
            wireplug(["serve", "--listen", &format!("unix://{}", folder.text("socket"))])
        })
    }

    /// Starts a server with a configuration file of this content, in which `SOCKET` stands for the
    /// server's URL.
    fn configured(name: &str, content: &str, output: impl Into<Stdio>, log: impl Into<Stdio>) -> Self {
        Self::by(name, output, log, |folder| {
            let content = content.replace("SOCKET", &format!("unix://{}", folder.text("socket")));
            let file = folder.write("wireplug.toml", content);
            wireplug(["serve".as_ref(), file.as_os_str()])
        })
    }

    fn by(
        name: &str,
        output: impl Into<Stdio>,
        log: impl Into<Stdio>,
        command: impl FnOnce(&Folder) -> Command,
    ) -> Self {
        let folder = Folder::new(&format!("log-{name}"));
        Self { running: Running::writing(&mut command(&folder), output, log), folder }
    }

    /// Returns the path of the configuration file.
    fn file(&self) -> PathBuf {
        self.folder.path("wireplug.toml")
    }

    /// Connects as soon as the server listens.
    fn connect(&mut self) -> UnixStream {
        let socket = self.folder.path("socket");
        let stream = wait_for("the server to listen", PATIENCE, || {
            assert!(self.running.is_running(), "the server has ended");
            UnixStream::connect(&socket).ok()
        });
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        stream
    }

    /// Connects, sends bytes that are not Pomelo, and waits until the server has closed the
    /// connection, which it logs in one line.
    fn send_nonsense(&mut self) {
        let mut stream = self.connect();
        // The server may close while the client still sends.
        let _ = stream.write_all(&[0xff; 4]);
        let _ = stream.read_to_end(&mut Vec::new());
    }

    /// Connects a client and completes the handshake.
    fn client(&mut self) -> Client<UnixStream> {
        Client::connect(self.connect())
    }
}

impl Deref for Served {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl DerefMut for Served {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.running
    }
}

/// Returns a full pipe, which is not read until the test does so.
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

/// Returns the lines of a stalled pipe, without the bytes that filled it.
fn resumed((mut reader, filled): (PipeReader, usize)) -> Lines {
    reader.read_exact(&mut vec![0; filled]).expect("it was filled");
    Lines::of(reader)
}
