//! A queue of lines for a stream whose reader may have stopped reading.
//!
//! A thread writes the lines, so no other thread waits for the reader. Lines that do not fit into
//! the queue are left out and counted. A line in their place says how many lines were left out.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use wireplug::status::count_unwritten_line;

/// The most bytes that wait for the reader. The queue holds the lines that clients can cause in
/// about ten seconds, and needs little memory.
pub(super) const MAX_WAITING: usize = 1 << 20;

/// The bytes that a line costs in addition to its text.
const OVERHEAD: usize = 32;

/// How long to wait before the next attempt to write, if another process has made the stream
/// non-blocking and the stream is full.
const RETRY: Duration = Duration::from_millis(10);

/// The queue of one stream. Cheap to clone.
#[derive(Clone)]
pub(super) struct Queue(Arc<Shared>);

struct Shared {
    lines: Mutex<Lines>,
    /// Notified when a line is added.
    filled: Condvar,
    /// Notified when all lines have been written.
    emptied: Condvar,
}

#[derive(Default)]
struct Lines {
    waiting: VecDeque<String>,
    /// The bytes that wait or are being written.
    size: usize,
    is_writing: bool,
    /// Set when a line does not fit, until half of the queue has been written; no line is accepted
    /// meanwhile. Otherwise a slow reader would get a notice after every other line.
    is_full: bool,
    /// The lines that were left out since the start.
    left_out: u64,
    /// The lines that were left out and that no notice has reported yet.
    unreported: u64,
}

impl Queue {
    /// Starts the thread that writes, which lives as long as the process. `notice` makes the line
    /// that says how many lines were left out.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be started.
    pub(super) fn start(
        name: &str,
        stream: impl Write + Send + 'static,
        notice: impl Fn(u64) -> String + Send + 'static,
    ) -> anyhow::Result<Self> {
        let shared = Shared { lines: Mutex::default(), filled: Condvar::new(), emptied: Condvar::new() };
        let queue = Self(Arc::new(shared));
        let own = queue.clone();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || own.write_all(Stream { stream, is_torn: false }, notice))
            .context("the thread that writes the log cannot be started")?;
        Ok(queue)
    }

    /// Adds a line, which includes its end, or leaves it out. Never waits for the reader.
    pub(super) fn push(&self, line: String) {
        let mut lines = self.lines();
        if lines.is_full || lines.size + line.len() + OVERHEAD > MAX_WAITING {
            lines.is_full = lines.size > 0;
            lines.leave_out();
        } else {
            lines.add(line);
            self.0.filled.notify_one();
        }
    }

    /// Counts a line that the caller has left out.
    pub(super) fn leave_out(&self) {
        self.lines().leave_out();
    }

    /// Returns the number of lines that were left out since the start.
    pub(super) fn left_out(&self) -> u64 {
        self.lines().left_out
    }

    /// Waits until all lines are written, at most for `limit`. Returns whether all are written.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let is_busy = |lines: &mut Lines| lines.is_writing || !lines.waiting.is_empty();
        let waited = self.0.emptied.wait_timeout_while(self.lines(), limit, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn write_all(&self, mut stream: Stream<impl Write>, notice: impl Fn(u64) -> String) {
        loop {
            let line = self.next();
            let written = stream.write_line(line.as_bytes());
            let mut lines = self.lines();
            lines.is_writing = false;
            lines.size -= line.len() + OVERHEAD;
            lines.is_full &= lines.size > MAX_WAITING / 2;
            match written {
                Ok(()) if lines.unreported > 0 && !lines.is_full => {
                    let count = std::mem::take(&mut lines.unreported);
                    lines.add(notice(count));
                }
                Ok(()) => {}
                Err(_) => lines.leave_out(),
            }
            if lines.waiting.is_empty() {
                self.0.emptied.notify_all();
            }
        }
    }

    fn next(&self) -> String {
        let mut lines = self.lines();
        loop {
            if let Some(line) = lines.waiting.pop_front() {
                lines.is_writing = true;
                return line;
            }
            lines = self.0.filled.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn add(&mut self, line: String) {
        self.size += line.len() + OVERHEAD;
        self.waiting.push_back(line);
    }

    fn leave_out(&mut self) {
        self.left_out += 1;
        self.unreported += 1;
        count_unwritten_line();
    }
}

struct Stream<W> {
    stream: W,
    /// Whether the last line was written only in part, for example because the disk was full.
    is_torn: bool,
}

impl<W: Write> Stream<W> {
    /// Writes a line, in one write if the stream takes the whole line.
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.write(b"\n")?;
        }
        self.write(line)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.is_torn = rest[count - 1] != b'\n';
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, PipeReader, pipe};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// How long to wait for events that must happen. Generous, because the machine may be busy.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn notice(count: u64) -> String {
        format!("{count} left out\n")
    }

    /// Returns a line with this number. All lines have the same length.
    fn line(number: usize) -> String {
        format!("{number:0100}\n")
    }

    fn stalled() -> (Queue, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        (Queue::start("test", writer, notice).unwrap(), reader)
    }

    #[test]
    fn lines_of_a_stalled_reader_are_counted_and_reported_once_it_reads() {
        let (queue, reader) = stalled();
        let count = 4 * MAX_WAITING / line(0).len();
        (0..count).for_each(|number| queue.push(line(number)));
        let left_out = queue.left_out();
        assert!(left_out > 0 && left_out < count as u64, "{left_out} of {count}");
        assert!(!queue.flush(Duration::ZERO), "nobody has read");

        let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
        let kept = count - left_out as usize;
        for number in 0..kept {
            assert_eq!(lines.next().as_deref(), Some(line(number).trim_end()));
        }
        assert_eq!(lines.next().as_deref(), Some(notice(left_out).trim_end()));
        assert!(queue.flush(PATIENCE));
        queue.push(line(7));
        assert_eq!(lines.next().as_deref(), Some(line(7).trim_end()));
        assert_eq!(queue.left_out(), left_out);
    }

    #[test]
    fn a_line_larger_than_the_queue_is_left_out_and_the_next_is_not() {
        let (queue, reader) = stalled();
        queue.push("x".repeat(MAX_WAITING));
        queue.push(line(1));
        let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
        assert_eq!(lines.next().as_deref(), Some(line(1).trim_end()));
        assert_eq!(lines.next().as_deref(), Some("1 left out"));
    }

    /// A disk that becomes full in the middle of a line, and stays full until `has_room`.
    struct Disk<'a> {
        has_room: &'a AtomicBool,
        content: std::sync::mpsc::Sender<u8>,
        taken: usize,
    }

    impl Write for Disk<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.taken >= 150 && !self.has_room.load(Ordering::Relaxed) {
                return Err(ErrorKind::StorageFull.into());
            }
            let count = bytes.len().min(50);
            bytes[..count].iter().for_each(|&byte| self.content.send(byte).unwrap());
            self.taken += count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_counted_and_lines_stay_lines() {
        static HAS_ROOM: AtomicBool = AtomicBool::new(false);
        let (content, written) = std::sync::mpsc::channel();
        let queue = Queue::start("test", Disk { has_room: &HAS_ROOM, content, taken: 0 }, notice).unwrap();
        (1..=3).for_each(|number| queue.push(line(number)));
        assert!(queue.flush(PATIENCE));
        assert_eq!(queue.left_out(), 2);
        HAS_ROOM.store(true, Ordering::Relaxed);
        queue.push(line(4));
        assert!(queue.flush(PATIENCE));
        let text = String::from_utf8(written.try_iter().collect()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!((lines[0], lines[2]), (line(1).trim_end(), line(4).trim_end()));
        assert_eq!(lines[3], "2 left out");
    }
}
