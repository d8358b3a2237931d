//! Owner and mode of files: which other users could read, change or replace what this process
//! opens.
//!
//! Everything is checked on an open descriptor, since a path may lead to another file a moment
//! later. What a symbolic link points to is what counts, and the folders of both.
//!
//! Root and the user of this process are trusted, and nobody else. Nothing here protects against
//! them, nor against whoever can replace a folder further up.

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, StatVfsMountFlags, fstat, fstatvfs, open};
use rustix::process::geteuid;

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const OTHERS_READ: u32 = 0o004;
/// In a folder with this bit only the owner of an entry can remove or replace it.
const STICKY: u32 = 0o1000;

/// Owner and mode of a file or of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    owner: u32,
    mode: u32,
    kind: FileType,
    /// Its file system is mounted read-only, as configuration is in containers: nobody changes it
    /// through that mount, whatever the mode says.
    read_only: bool,
}

/// Why a file cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    what: String,
    /// Any user of this machine could change or replace the file.
    pub by_anybody: bool,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Ownership {
    /// The owner and mode of an open file.
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        let stat = fstat(&file)?;
        let read_only = fstatvfs(&file)?.f_flag.contains(StatVfsMountFlags::RDONLY);
        let kind = FileType::from_raw_mode(stat.st_mode);
        Ok(Self { owner: stat.st_uid, mode: stat.st_mode & 0o7777, kind, read_only })
    }

    fn of_path(path: &Path) -> io::Result<Self> {
        // Needs no permission for the file itself, and does not wait for the other end of a pipe.
        Self::of(open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
    }

    fn has_foreign_owner(&self, user: u32) -> bool {
        self.owner != 0 && self.owner != user
    }

    /// Whether these users, of [`GROUP_WRITES`] and [`OTHERS_WRITE`], can change it: for a folder,
    /// replace a file of another user in it.
    fn is_writable_by(&self, users: u32) -> bool {
        let is_protected = match self.kind {
            FileType::Directory => self.read_only || self.mode & STICKY != 0,
            // What is written to a pipe does not reach the file system.
            FileType::Fifo => false,
            _ => self.read_only,
        };
        self.mode & users != 0 && !is_protected
    }
}

/// The user of this process, with whose rights it opens files.
pub fn user() -> u32 {
    geteuid().as_raw()
}

/// Opens a regular file to read it. Anything else is an error, and is not waited for.
pub fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a file"));
    }
    Ok(file)
}

/// A file that holds a secret, read whole.
pub struct SecretFile {
    /// What is in it.
    pub content: Vec<u8>,
    /// Who else has the secret, and what to do. Logged by the caller, once for each change.
    pub warning: Option<String>,
}

/// Reads a file that holds a secret of at most `max` bytes.
///
/// # Errors
/// Returns an error if it cannot be read, is not a regular file, or is larger.
pub fn read_secret(path: &Path, max: u64) -> io::Result<SecretFile> {
    let file = open_file(path)?;
    let warning = exposed(Ownership::of(&file)?, user()).map(|what| format!("{}: {what}", path.display()));
    let mut content = Vec::new();
    file.take(max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max {
        let what = format!("it is larger than {max} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(SecretFile { content, warning })
}

/// What others may do with a secret file, as `user` runs this process. Its group may read it, which
/// is how several services share one.
pub fn exposed(file: Ownership, user: u32) -> Option<String> {
    let Ownership { owner, mode, .. } = file;
    if mode & OTHERS_READ != 0 {
        Some(format!("every user of this machine can read it (mode {mode:03o}): chmod o-rwx it"))
    } else if file.is_writable_by(OTHERS_WRITE) {
        Some(format!("every user of this machine can change it (mode {mode:03o}): chmod o-rwx it"))
    } else if file.has_foreign_owner(user) {
        Some(format!("it belongs to the user {owner}, who can read and change it: chown it"))
    } else {
        None
    }
}

/// What there is to doubt about a file whose code or data this process will trust, as it was opened
/// at `path`: that of the file first, then that of its folders.
pub fn doubts(path: &Path, file: &File) -> io::Result<Vec<Doubt>> {
    let user = user();
    let mut doubts: Vec<Doubt> = doubt("it", Ownership::of(file)?, user).into_iter().collect();
    for folder in folders(path) {
        let subject = format!("its folder {}", folder.display());
        doubts.extend(doubt(&subject, Ownership::of_path(&folder)?, user));
    }
    Ok(doubts)
}

fn doubt(subject: &str, it: Ownership, user: u32) -> Option<Doubt> {
    let Ownership { owner, mode, .. } = it;
    let by_anybody = it.is_writable_by(OTHERS_WRITE);
    let what = if by_anybody {
        format!("{subject} can be written by every user of this machine (mode {mode:03o}): chmod o-w it")
    } else if it.has_foreign_owner(user) {
        format!("{subject} belongs to the user {owner}, who can change it: chown it")
    } else if it.is_writable_by(GROUP_WRITES) {
        format!("{subject} can be written by its group (mode {mode:03o}): chmod g-w it")
    } else {
        return None;
    };
    Some(Doubt { what, by_anybody })
}

/// The folder of a path; and where that is a symbolic link, also the folder of what it points to.
fn folders(path: &Path) -> Vec<PathBuf> {
    let folder = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("/"),
    };
    let mut folders = vec![folder(path)];
    let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    if let Some(target) = path.canonicalize().ok().filter(|_| is_link) {
        folders.push(folder(&target));
    }
    folders
}

/// Why a named pipe that is there must not be used, as it was opened. `mode` is what the listener
/// lets in.
pub fn refuse_pipe(pipe: Ownership, mode: u32, user: u32) -> Result<(), String> {
    if pipe.kind != FileType::Fifo {
        return Err("there is a file that is no named pipe: remove it, or listen elsewhere".to_owned());
    }
    if pipe.has_foreign_owner(user) {
        return Err(format!(
            "the named pipe belongs to the user {}, and not to {user}, who runs this: remove it, so that the server \
             makes its own, or chown it",
            pipe.owner
        ));
    }
    if pipe.is_writable_by((GROUP_WRITES | OTHERS_WRITE) & !mode) {
        return Err(format!(
            "the named pipe has the mode {:03o}, by which more users can write to it than the listener's `mode`, \
             {mode:03o}, lets in: chmod it, or set `mode`",
            pipe.mode
        ));
    }
    Ok(())
}

/// [`refuse_pipe`] for a pipe that is open.
pub fn check_pipe(pipe: impl AsFd, mode: u32) -> io::Result<()> {
    let refused = |what| io::Error::new(io::ErrorKind::PermissionDenied, what);
    refuse_pipe(Ownership::of(pipe)?, mode, user()).map_err(refused)
}

/// [`refuse_pipe`] for a pipe at a path, which is not opened to be read or written; and whether
/// others could replace it there. Returns what is to be warned of.
///
/// # Errors
/// Returns an error if the pipe must not be used, with what to do.
pub fn check_pipe_at(path: &Path, mode: u32) -> io::Result<Vec<Doubt>> {
    check_pipe(open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?, mode)?;
    let user = user();
    let mut doubts = Vec::new();
    for folder in folders(path) {
        let it = Ownership::of_path(&folder)?;
        let Some(doubt) = doubt(&format!("its folder {}", folder.display()), it, user) else { continue };
        if doubt.by_anybody || it.has_foreign_owner(user) {
            let what =
                format!("{doubt}, or listen elsewhere: whoever can replace the pipe gets what clients say");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        doubts.push(doubt);
    }
    Ok(doubts)
}
