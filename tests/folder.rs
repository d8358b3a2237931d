//! Folders for the files of tests.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder for one test. It is removed at the end of the test, unless the test fails.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes a folder among other temporary files, whose path ends with this name. The path is
    /// short, because the path of a Unix socket has at most 107 bytes.
    pub fn new(name: &str) -> Self {
        Self::within(&std::env::temp_dir(), name)
    }

    /// Makes a folder in another one.
    pub fn within(parent: &Path, name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("wireplug-{}-{number}-{name}", std::process::id()));
        // An older process may have had the same number.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    /// Returns the path of the folder itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Returns the path of a file with this name in the folder. The file need not exist.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns [`Folder::path`] as text, for the arguments of a command.
    pub fn text(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().expect("the path is text")
    }

    /// Writes a file, and returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file can be written");
        path
    }

    /// Writes a temporary file and renames it, so that the file is replaced at once, as in a
    /// deployment.
    pub fn replace(&self, name: &str, content: impl AsRef<[u8]>) {
        let beside = self.write("beside", content);
        fs::rename(beside, self.path(name)).expect("the folder is there");
    }

    /// Writes a file that no other user may read.
    pub fn write_secret(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.write(name, content);
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("the file is ours");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
