//! Owner and mode of files: checks which other users could read, change or replace the files that
//! this process opens.
//!
//! All checks use an open descriptor, since a path may lead to another file a moment later. For a
//! symbolic link, the checks apply to its target, and to the folders of both.
//!
//! Only root and the user of this process are trusted. The checks do not protect against these two
//! users, nor against a user who can replace a folder further up.

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
/// In a folder with this bit, only the owner of an entry can remove or replace the entry.
const STICKY: u32 = 0o1000;

/// Owner and mode of a file or of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    owner: u32,
    mode: u32,
    kind: FileType,
    /// Whether the file system is mounted read-only, as configuration is in containers. Nobody can
    /// change the file through that mount, whatever the mode says.
    read_only: bool,
}

/// The reason why a file cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    what: String,
    /// Whether any user of this machine could change or replace the file.
    pub by_anybody: bool,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Ownership {
    /// Returns the owner and mode of an open file.
    ///
    /// # Errors
    /// Returns an error if the system does not report them.
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        let stat = fstat(&file)?;
        let read_only = fstatvfs(&file)?.f_flag.contains(StatVfsMountFlags::RDONLY);
        let kind = FileType::from_raw_mode(stat.st_mode);
        Ok(Self { owner: stat.st_uid, mode: stat.st_mode & 0o7777, kind, read_only })
    }

    fn of_path(path: &Path) -> io::Result<Self> {
        // `O_PATH` needs no permission for the file itself, and does not wait for the other end of
        // a pipe.
        Self::of(open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
    }

    fn has_foreign_owner(&self, user: u32) -> bool {
        self.owner != 0 && self.owner != user
    }

    /// Returns whether any of these users, [`GROUP_WRITES`] or [`OTHERS_WRITE`], can change the
    /// file. For a folder, returns whether they can replace the files of other users in it.
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

/// Returns the user of this process, with whose rights it opens files.
pub fn user() -> u32 {
    geteuid().as_raw()
}

/// Opens a regular file to read it. Does not wait for the other end of a named pipe.
///
/// # Errors
/// Returns an error if the path cannot be opened, or if it is not a regular file.
pub fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a file"));
    }
    Ok(file)
}

/// The content of a file that holds a secret.
pub struct SecretFile {
    /// The whole content.
    pub content: Vec<u8>,
    /// A warning if other users have access to the secret. It says which users, and what to do. The
    /// caller logs it once for each change of the file.
    pub warning: Option<String>,
}

/// Reads a file that holds a secret of at most `max` bytes.
///
/// # Errors
/// Returns an error if the file cannot be read, is not a regular file, or is larger than `max`
/// bytes.
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

/// Returns a warning if other users than `user`, who runs this process, can read or change a secret
/// file. Its group may have access, which is how several services share a secret.
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

/// Returns the doubts about a file whose code or data this process is to trust. `file` was opened
/// at `path`. The doubt about the file comes first, and those about its folders follow.
///
/// # Errors
/// Returns an error if the owner and mode of the file or of a folder cannot be read.
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

/// Returns the folder of a path. If the path is a symbolic link, also returns the folder of its
/// target.
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

/// Checks whether the server may use an existing named pipe. `mode` is the mode that the listener
/// allows, and `user` is the user of this process.
///
/// # Errors
/// Returns an error if the file is not a named pipe, belongs to another user than `user` or root,
/// or lets more users write to it than `mode` does. The error says what to do.
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

/// Applies [`refuse_pipe`] to an open pipe.
///
/// # Errors
/// Returns an error if the pipe must not be used. The error says what to do.
pub fn check_pipe(pipe: impl AsFd, mode: u32) -> io::Result<()> {
    let refused = |what| io::Error::new(io::ErrorKind::PermissionDenied, what);
    refuse_pipe(Ownership::of(pipe)?, mode, user()).map_err(refused)
}

/// Applies [`refuse_pipe`] to the pipe at a path, without opening it to read or write. Also checks
/// whether other users could replace the pipe there. Returns the doubts that the caller should log.
///
/// # Errors
/// Returns an error if the pipe must not be used. The error says what to do.
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
