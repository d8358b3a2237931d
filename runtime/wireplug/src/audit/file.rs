//! The file of an audit log.
//!
//! A thread of its own writes the file, so a disk that hangs delays no change. Lines are only
//! appended.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use anyhow::{Context as _, ensure};
use tokio::sync::oneshot;

use wireplug_base::limited;

/// The mode of a new file: only the server's user may read and write it.
const MODE: u32 = 0o600;

/// The bits of a mode that let other users write.
const WRITE_BY_OTHERS: u32 = 0o022;

/// The most lines that wait for the disk. Further lines are lost, with a warning, so that memory
/// stays bounded.
const MAX_WAITING: usize = 1024;

/// Hands lines to the thread that writes them. The thread ends when the writer is dropped and all
/// lines are written.
pub(crate) struct FileWriter {
    path: PathBuf,
    lines: SyncSender<Entry>,
}

enum Entry {
    Line(String),
    /// A mark, which is answered when all lines before it are written.
    Mark(oneshot::Sender<()>),
}

/// An open file and its identity.
struct Opened {
    file: File,
    /// The device and the inode.
    identity: (u64, u64),
}

impl FileWriter {
    /// Opens or creates a file, and starts the thread that appends to it.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened, is no regular file, or other users can write
    /// to it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let opened = Opened::new(path).with_context(|| format!("the audit log {}", path.display()))?;
        let (lines, entries) = sync_channel(MAX_WAITING);
        let own = path.to_owned();
        thread::Builder::new()
            .name("wireplug-audit".to_owned())
            .spawn(move || append_all(&own, opened, &entries))
            .context("the thread of the audit log cannot be started")?;
        Ok(Self { path: path.to_owned(), lines })
    }

    /// Appends a line. The line is lost, with a warning, if [`MAX_WAITING`] lines wait for the
    /// disk.
    pub(super) fn append(&self, line: String) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.lines.try_send(Entry::Line(line))
        {
            let file = self.path.display();
            limited!(WARN, %file, "a line of the audit log is lost: {MAX_WAITING} lines wait for the disk");
        }
    }

    /// Waits until all earlier lines are written.
    pub(super) async fn written(&self) {
        let (mark, done) = oneshot::channel();
        if self.lines.try_send(Entry::Mark(mark)).is_ok() {
            let _ = done.await;
        }
    }
}

/// Appends lines until the writer is dropped.
fn append_all(path: &Path, opened: Opened, entries: &Receiver<Entry>) {
    let mut opened = Some(opened);
    let mut is_torn = false;
    for entry in entries {
        match entry {
            Entry::Line(line) => {
                if let Err(error) = append(path, &mut opened, &line, &mut is_torn) {
                    // The next line opens the file again.
                    opened = None;
                    let (file, error) = (path.display(), format!("{error:#}"));
                    limited!(WARN, %file, error, line, "a line of the audit log cannot be written");
                }
            }
            Entry::Mark(mark) => {
                let _ = mark.send(());
            }
        }
    }
}

/// Appends a line to the file at the path. After a rotation this is another file, which is opened
/// first.
fn append(path: &Path, opened: &mut Option<Opened>, line: &str, is_torn: &mut bool) -> anyhow::Result<()> {
    let there = std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let current = match opened.take().filter(|opened| Some(opened.identity) == there) {
        Some(current) => current,
        None => Opened::new(path)?,
    };
    write_line(&mut opened.insert(current).file, line, is_torn)?;
    Ok(())
}

/// Writes a line, in one write if the disk has room, so that a reader sees whole lines. `is_torn`
/// says whether only a part of the line before was written. That line must be ended first.
fn write_line(file: &mut impl Write, line: &str, is_torn: &mut bool) -> io::Result<()> {
    let line = format!("{}{line}\n", if *is_torn { "\n" } else { "" });
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => {
                *is_torn = rest[count - 1] != b'\n';
                rest = &rest[count..];
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Opened {
    fn new(path: &Path) -> anyhow::Result<Self> {
        let file = open(path)?;
        let metadata = file.metadata()?;
        ensure!(metadata.is_file(), "it is no regular file: name another in `audit-log`");
        ensure!(
            metadata.mode() & WRITE_BY_OTHERS == 0,
            "other users can write to it (mode {:o}): chmod 600 {}",
            metadata.mode() & 0o777,
            path.display()
        );
        Ok(Self { file, identity: (metadata.dev(), metadata.ino()) })
    }
}

/// Opens a file to append to it. Does not wait for the reader of a pipe.
fn open(path: &Path) -> io::Result<File> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    OpenOptions::new().append(true).create(true).mode(MODE).custom_flags(nonblocking).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, Instant};

    use super::*;

    /// A folder for a test, removed at the end of the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("wireplug-audit-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Waits until a file has this content.
    #[track_caller]
    fn holds(path: &Path, content: &str) {
        let start = Instant::now();
        while fs::read_to_string(path).unwrap_or_default() != content {
            assert!(start.elapsed() < Duration::from_secs(60), "{:?}", fs::read_to_string(path));
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn lines_are_appended_for_the_owner_alone_and_a_renamed_file_is_created_anew() {
        let folder = Folder::new("append");
        let path = folder.0.join("audit.log");
        fs::write(&path, "old\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let writer = FileWriter::open(&path).unwrap();
        writer.append("one".to_owned());
        holds(&path, "old\none\n");
        let rotated = folder.0.join("audit.log.1");
        fs::rename(&path, &rotated).unwrap();
        writer.append("two".to_owned());
        holds(&path, "two\n");
        holds(&rotated, "old\none\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn after_a_failure_the_next_line_is_written() {
        let folder = Folder::new("failure");
        let path = folder.0.join("audit.log");
        let writer = FileWriter::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        writer.append("lost".to_owned());
        // Once the thread takes the second line, it is done with the first.
        thread::sleep(Duration::from_millis(200));
        fs::remove_dir(&path).unwrap();
        writer.append("kept".to_owned());
        holds(&path, "kept\n");
    }

    /// A disk with `room` bytes left.
    struct Disk {
        content: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= count;
            self.content.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_a_full_disk_took_in_part_spoils_no_other() {
        let (mut disk, mut is_torn) = (Disk { content: Vec::new(), room: 8 }, false);
        write_line(&mut disk, "one", &mut is_torn).unwrap();
        for lost in ["second", "third"] {
            let error = write_line(&mut disk, lost, &mut is_torn).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
        }
        disk.room = 100;
        write_line(&mut disk, "four", &mut is_torn).unwrap();
        write_line(&mut disk, "five", &mut is_torn).unwrap();
        assert_eq!(String::from_utf8(disk.content).unwrap(), "one\nseco\nfour\nfive\n");
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let folder = Folder::new("mode");
        let path = folder.0.join("audit.log");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        let why = FileWriter::open(&path).err().map(|error| format!("{error:#}"));
        assert!(why.as_deref().is_some_and(|why| why.contains("chmod 600")), "{why:?}");
    }
}
