//! Programs that run beside a test: their output, signals to them, and their end.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// How long a test waits for a program. Only a test that fails waits this long. The time is longer
/// than [`crate::PATIENCE`], because a program may first compile a codec on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running program. It is killed with the test at the latest.
pub struct Running {
    child: Child,
    /// The lines of its standard output, if that is piped.
    pub output: Lines,
    /// The lines of its standard error, if that is piped.
    pub log: Lines,
}

impl Running {
    /// Starts a program with standard output and standard error piped.
    pub fn start(command: &mut Command) -> Self {
        Self::writing(command, Stdio::piped(), Stdio::piped())
    }

    /// Starts a program that writes to these streams. Its standard input is empty.
    pub fn writing(command: &mut Command, output: impl Into<Stdio>, log: impl Into<Stdio>) -> Self {
        let spawned = command.stdin(Stdio::null()).stdout(output).stderr(log).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        let output = child.stdout.take().map_or_else(Lines::none, Lines::of);
        let log = child.stderr.take().map_or_else(Lines::none, Lines::of);
        Self { child, output, log }
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the next line of its output.
    #[track_caller]
    pub fn line(&self) -> String {
        let next = self.output.0.recv_timeout(PATIENCE);
        next.unwrap_or_else(|error| {
            let log: Vec<_> = self.log.so_far().collect();
            panic!("it prints no line: {error}; its log: {log:?}")
        })
    }

    /// Returns the next line of its log that contains this text.
    #[track_caller]
    pub fn logged(&self, text: &str) -> String {
        self.log.find(&[text])
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Returns whether the program still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// Waits until the program has ended. Returns its exit code, or `None` if a signal ended it.
    #[track_caller]
    pub fn exit_code(&mut self) -> Option<i32> {
        self.exit_code_within(PATIENCE)
    }

    /// Does what [`Running::exit_code`] does, for a program that must end within this time.
    #[track_caller]
    pub fn exit_code_within(&mut self, patience: Duration) -> Option<i32> {
        let ended = || self.child.try_wait().expect("it is our child");
        wait_for("its end", patience, ended).code()
    }

    /// Kills the program, so that it cannot clean up.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The lines that a program writes to a stream. A thread reads them, so the program never waits.
pub struct Lines(Receiver<String>);

impl Lines {
    /// Reads the lines of a stream.
    pub fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        thread::spawn(move || {
            BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
        });
        Self(lines)
    }

    fn none() -> Self {
        Self(channel().1)
    }

    /// Returns the next line.
    #[track_caller]
    pub fn line(&self) -> String {
        self.find(&[])
    }

    /// Returns the next line that contains all of these texts. The lines before it are dropped.
    #[track_caller]
    pub fn find(&self, texts: &[&str]) -> String {
        self.find_within(PATIENCE, texts)
    }

    /// Does what [`Lines::find`] does, with this much time for each line.
    #[track_caller]
    pub fn find_within(&self, patience: Duration, texts: &[&str]) -> String {
        loop {
            let next = self.0.recv_timeout(patience);
            let line = next.unwrap_or_else(|error| panic!("no line with {texts:?}: {error}"));
            if texts.iter().all(|text| line.contains(text)) {
                return line;
            }
        }
    }

    /// Returns the lines so far that have not been taken.
    pub fn so_far(&self) -> impl Iterator<Item = String> {
        self.0.try_iter()
    }

    /// Returns the lines that have not been taken, up to the end of the stream.
    pub fn rest(&self) -> impl Iterator<Item = String> {
        self.0.iter()
    }
}

/// The output and the exit code of a program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` if a signal ended the program.
    pub code: Option<i32>,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub errors: String,
}

/// Runs a program to its end.
pub fn finish(command: &mut Command) -> Finished {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let text = |bytes| String::from_utf8(bytes).expect("what is written is text");
    Finished { code: done.status.code(), output: text(done.stdout), errors: text(done.stderr) }
}

impl Finished {
    /// Returns the standard output of a program that succeeded.
    ///
    /// # Errors
    /// Returns the standard error if the program failed.
    pub fn result(self) -> Result<String, String> {
        if self.code == Some(0) { Ok(self.output) } else { Err(self.errors) }
    }

    /// Returns the standard output of a program that must succeed.
    #[track_caller]
    pub fn printed(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.output
    }

    /// Returns the exit code and the standard error of a program that must fail.
    #[track_caller]
    pub fn failed(self) -> (Option<i32>, String) {
        assert_ne!(self.code, Some(0), "{self:?}");
        (self.code, self.errors)
    }
}

/// Sends a signal to a process.
pub fn send(process: u32, signal: Signal) {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).expect("it is the number of a process");
    kill_process(pid, signal).expect("it runs");
}

/// Calls `look` again and again until it returns a value. Panics with its name if that takes longer
/// than `patience`.
#[track_caller]
pub fn wait_for<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < patience, "waited {patience:?} in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Does what [`wait_for`] does, for a condition that must hold.
#[track_caller]
pub fn wait_until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    wait_for(what, patience, || holds().then_some(()));
}
