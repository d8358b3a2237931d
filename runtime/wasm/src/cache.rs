//! The cache of compiled components on disk. An interpreter takes seconds to compile and
//! milliseconds to read.
//!
//! The cache holds machine code that the server will run. So the directory must belong to this user
//! alone, which is checked first, and each file in the directory begins with a checksum of the
//! rest. The checksum does not stop an attacker with the rights of this user: they could also
//! replace the runtime.
//!
//! It also keeps the last component of each file and each registry that a server has loaded, in
//! case the file is broken or the registry does not answer at the next start.
//!
//! A cache makes loading faster and never makes it fail: an entry that cannot be used is logged and
//! replaced.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ffi::CString;
use std::fs::File;
use std::hash::{Hash as _, Hasher};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::fs::{
    AtFlags, Dir, MemfdFlags, Mode, OFlags, fstat, memfd_create, open, openat, renameat, statat, unlinkat,
};
use sha2::{Digest as _, Sha256};
use tracing::warn;
use wasmtime::Engine;

use super::artifact::Artifact;
use super::error::CacheError;
use wireplug_core::codec::Digest;

/// The largest number of entries. A busy developer uses fewer components in a week.
const MAX_ENTRIES: usize = 64;

/// The largest size of all entries together. A compiled interpreter takes about 50 MiB.
const MAX_BYTES: u64 = 1 << 30;

/// How many names keep their components, however many entries were used later. A name and its
/// component are two entries, so names that nobody uses any more fill at most half of the cache.
const MAX_KEPT: usize = MAX_ENTRIES / 4;

/// The age after which the file of an unfinished write is removed.
const MAX_AGE_UNFINISHED: Duration = Duration::from_secs(3600);

/// How an entry is opened to be read.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// The length of the checksum, in bytes.
const CHECKSUM: usize = 32;

/// A directory of compiled components. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: OwnedFd,
    path: PathBuf,
    user: u32,
    max_entries: usize,
    max_bytes: u64,
    /// Whether a log line has reported that the cache cannot be written.
    warned: AtomicBool,
}

/// The key of an entry, made from the component and the compiler. It is the name of the entry's
/// file.
pub(super) struct Key(String);

impl Key {
    pub(super) fn new(wasm: &[u8], engine: &Engine) -> Self {
        let mut compiler = CompilerHasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut compiler);
        Self(format!("{}-{:016x}", Digest::of(wasm), compiler.finish()))
    }

    /// Returns the key of a component that is kept under a name.
    fn of_last_good(name: &str) -> Self {
        Self(format!("{}-{:016x}", Digest::of(name.as_bytes()), 0))
    }

    fn of_component(digest: &str) -> Self {
        Self(format!("{digest}-{:016x}", 1))
    }

    /// Returns whether a file's name is that of an entry which says what is kept under a name.
    fn is_of_last_good(name: &[u8]) -> bool {
        Self::is_name(name) && name.ends_with(b"-0000000000000000")
    }

    /// Returns whether a file's name is that of an entry.
    fn is_name(name: &[u8]) -> bool {
        name.len() == 81 && name[64] == b'-' && name.iter().all(|c| *c == b'-' || c.is_ascii_hexdigit())
    }
}

impl Cache {
    /// Opens the cache in this directory, which is created if it is missing. The cache keeps at
    /// most 64 components and 1 GiB, those that were used last.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be created, or is not the user's alone: it is a
    /// symbolic link, belongs to another user, or is open to others.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, CacheError> {
        Self::with_limits(directory.as_ref(), MAX_ENTRIES, MAX_BYTES)
    }

    pub(super) fn with_limits(path: &Path, max_entries: usize, max_bytes: u64) -> Result<Self, CacheError> {
        let shown = path.display();
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(cannot(format!("make the compile cache {shown}")))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match open(path, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
                let what = format!("the compile cache {shown} is a symbolic link: name the directory itself");
                return Err(CacheError::Unsafe(what));
            }
            opened => opened.map_err(cannot(format!("open the compile cache {shown}")))?,
        };
        let stat = fstat(&directory).map_err(cannot(format!("look at the compile cache {shown}")))?;
        let user = user().map_err(cannot("tell which user this is".to_owned()))?;
        if stat.st_uid != user {
            return Err(CacheError::Unsafe(format!(
                "the compile cache {shown} belongs to the user {} and not to {user}, who runs this: name another \
                 directory",
                stat.st_uid
            )));
        }
        if stat.st_mode & 0o077 != 0 {
            return Err(CacheError::Unsafe(format!(
                "the compile cache {shown} is open to other users (mode {:03o}), who could put code into it: \
                 chmod 700 it, or name another directory",
                stat.st_mode & 0o777
            )));
        }
        Ok(Self(Arc::new(Inner {
            directory,
            path: path.to_owned(),
            user,
            max_entries,
            max_bytes,
            warned: AtomicBool::new(false),
        })))
    }

    /// Returns the artifact of this key. A damaged entry counts as missing.
    pub(super) fn get(&self, key: &Key) -> Option<Artifact> {
        self.read(key).map(Artifact::made_by_us)
    }

    /// Returns the component that was kept last under a name, if it is still there.
    pub(super) fn last_good(&self, name: &str) -> Option<Bytes> {
        let digest = self.read(&Key::of_last_good(name))?;
        let digest = std::str::from_utf8(&digest).ok()?;
        let component = self.read(&Key::of_component(digest))?;
        (Digest::of(&component).to_string() == digest).then_some(component)
    }

    /// Keeps a component under a name. It takes the place of the one before, which stays in the
    /// cache for a while.
    pub(super) fn set_last_good(&self, name: &str, wasm: &[u8]) {
        let digest = Digest::of(wasm).to_string();
        self.write(&Key::of_component(&digest), wasm);
        self.write(&Key::of_last_good(name), digest.as_bytes());
    }

    /// Goes back to a component that was kept before. Does nothing if it is not there any more.
    pub(super) fn restore_last_good(&self, name: &str, component: Digest) {
        let digest = component.to_string();
        if self.read(&Key::of_component(&digest)).is_some() {
            self.write(&Key::of_last_good(name), digest.as_bytes());
        }
    }

    fn read(&self, key: &Key) -> Option<Bytes> {
        match self.0.read(key) {
            Ok(content) => Some(content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.discard(key, &error);
                None
            }
        }
    }

    /// Logs that an entry cannot be used. The next [`Cache::put`] replaces it.
    pub(super) fn discard(&self, key: &Key, error: &dyn std::fmt::Display) {
        let directory = self.0.path.display();
        warn!(%directory, entry = key.0, %error, "an entry of the compile cache is no good: compiling anew");
    }

    /// Stores an artifact. If that fails, the failure is logged once.
    pub(super) fn put(&self, key: &Key, artifact: &Artifact) {
        self.write(key, artifact.bytes());
    }

    fn write(&self, key: &Key, content: &[u8]) {
        if let Err(error) = self.0.write(key, content).and_then(|()| self.0.prune())
            && !self.0.warned.swap(true, Ordering::Relaxed)
        {
            let directory = self.0.path.display();
            warn!(%directory, %error, "the compile cache cannot be written: each start compiles anew");
        }
    }
}

impl Inner {
    /// Reads an entry, and notes when it was last used.
    fn read(&self, key: &Key) -> io::Result<Bytes> {
        let content = self.content(key)?;
        // If that fails, the entry may be removed sooner.
        let file = openat(&self.directory, &*key.0, READ, Mode::empty()).map(File::from);
        let _ = file.map(|file| file.set_modified(SystemTime::now()));
        Ok(content)
    }

    fn content(&self, key: &Key) -> io::Result<Bytes> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut file = File::from(openat(&self.directory, &*key.0, READ, Mode::empty())?);
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.uid() != self.user {
            return Err(invalid("it is not a file of this user"));
        }
        if metadata.len() > self.max_bytes {
            return Err(invalid("it is too large"));
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        file.read_to_end(&mut bytes)?;
        let bytes = Bytes::from(bytes);
        let content = bytes.get(CHECKSUM..).ok_or_else(|| invalid("it is cut short"))?;
        if Sha256::digest(content)[..] != bytes[..CHECKSUM] {
            return Err(invalid("its checksum is wrong"));
        }
        if !content.starts_with(key.0.as_bytes()) {
            return Err(invalid("it is for another component or another compiler"));
        }
        Ok(bytes.slice(CHECKSUM + key.0.len()..))
    }

    /// Writes to a separate file and renames it, so that a reader never sees part of an entry.
    fn write(&self, key: &Key, content: &[u8]) -> io::Result<()> {
        let size = (CHECKSUM + key.0.len() + content.len()) as u64;
        if size > self.max_bytes {
            return Ok(());
        }
        let unfinished = format!("{:016x}.unfinished", getrandom::u64().map_err(io::Error::other)?);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(openat(&self.directory, &*unfinished, flags, mode)?);
        let checksum = Sha256::new().chain_update(&key.0).chain_update(content).finalize();
        let written =
            [&checksum[..], key.0.as_bytes(), content].into_iter().try_for_each(|part| file.write_all(part));
        let renamed = written.and_then(|()| {
            renameat(&self.directory, &*unfinished, &self.directory, &*key.0).map_err(io::Error::from)
        });
        if renamed.is_err() {
            let _ = unlinkat(&self.directory, &*unfinished, AtFlags::empty());
        }
        renamed
    }

    /// Removes the least recently used entries until the rest is within the limits: first those
    /// that are not the last good component of a name. Also removes old unfinished files.
    fn prune(&self) -> io::Result<()> {
        let now = SystemTime::now();
        let mut entries = Vec::new();
        for file in Dir::read_from(&self.directory)? {
            let file = file?;
            let name = file.file_name();
            let is_unfinished = name.to_bytes().ends_with(b".unfinished");
            if !is_unfinished && !Key::is_name(name.to_bytes()) {
                continue;
            }
            // Another process may have removed the file meanwhile.
            let Ok(stat) = statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let used = SystemTime::UNIX_EPOCH
                + Duration::new(stat.st_mtime.try_into().unwrap_or(0), stat.st_mtime_nsec as u32);
            if !is_unfinished {
                entries.push((used, stat.st_size as u64, name.to_owned()));
            } else if now.duration_since(used).is_ok_and(|age| age > MAX_AGE_UNFINISHED) {
                let _ = unlinkat(&self.directory, name, AtFlags::empty());
            }
        }
        self.sort(&mut entries);
        let mut bytes: u64 = entries.iter().map(|(_, size, _)| size).sum();
        let mut count = entries.len();
        for (_, size, name) in entries {
            if count <= self.max_entries && bytes <= self.max_bytes {
                break;
            }
            let _ = unlinkat(&self.directory, &*name, AtFlags::empty());
            (count, bytes) = (count - 1, bytes - size);
        }
        Ok(())
    }

    /// Sorts entries: time of the last use, size and name. Those that are removed first come first.
    /// The last good component of a codec may be used once in months, when it is needed most.
    fn sort(&self, entries: &mut [(SystemTime, u64, CString)]) {
        entries.sort_unstable();
        let mut kept = HashSet::new();
        let names = entries.iter().rev().filter(|(_, _, name)| Key::is_of_last_good(name.to_bytes()));
        for name in names.take(MAX_KEPT).filter_map(|(_, _, name)| name.to_str().ok()) {
            let Ok(digest) = self.content(&Key(name.to_owned())) else { continue };
            let Ok(digest) = std::str::from_utf8(&digest) else { continue };
            kept.extend([name.to_owned(), Key::of_component(digest).0]);
        }
        entries.sort_by_key(|(_, _, name)| name.to_str().is_ok_and(|name| kept.contains(name)));
    }
}

/// Returns a function that adds to an error what could not be done.
fn cannot<E: Into<io::Error>>(what: String) -> impl FnOnce(E) -> CacheError {
    move |error| CacheError::Io { what: format!("cannot {what}"), source: error.into() }
}

/// Returns the user who owns the files of this process. It is the owner of a file in memory.
fn user() -> io::Result<u32> {
    Ok(fstat(memfd_create("user", MemfdFlags::CLOEXEC)?)?.st_uid)
}

/// A hash that is the same in every build of the runtime.
struct CompilerHasher(Sha256);

impl Hasher for CompilerHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_be_bytes(*digest.first_chunk().expect("a digest has 32 bytes"))
    }
}
