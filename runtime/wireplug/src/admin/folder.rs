//! The folder in which a server puts its socket by default, and in which the commands of the same
//! user look for the socket.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::ensure;

use super::FolderError;

/// The mode of the folder: other users must neither enter it nor put another socket into it.
const MODE: u32 = 0o700;

/// The folder of the default socket and of generated tokens: `$XDG_RUNTIME_DIR/wireplug`, or
/// without that variable `wireplug-UID` in the folder of temporary files. Only this user has access
/// to it.
#[derive(Clone, Debug)]
pub struct RuntimeFolder(PathBuf);

impl RuntimeFolder {
    /// Creates the folder, or uses the existing one.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be created, is a link or a file, belongs to another
    /// user, or can be entered by other users.
    pub fn create() -> Result<Self, FolderError> {
        let path = Self::path();
        match DirBuilder::new().mode(MODE).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(FolderError::Create { path, source: error })
            }
            _ => Self::checked(path),
        }
    }

    /// Finds the folder. Returns `None` if no server of this user has created it.
    ///
    /// # Errors
    /// Returns an error if the folder is a link or a file, belongs to another user, or can be
    /// entered by other users. Its content cannot be trusted then.
    pub fn find() -> Result<Option<Self>, FolderError> {
        let path = Self::path();
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => Self::checked(path).map(Some),
        }
    }

    /// Returns the path of the default socket. The folder need not exist.
    pub fn default_socket() -> PathBuf {
        Self(Self::path()).socket()
    }

    /// Returns the path of the socket.
    pub fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// Returns the path of the generated token for a port. Each server on this machine has another
    /// port.
    pub fn token_file(&self, port: u16) -> PathBuf {
        self.0.join(format!("control-{port}.token"))
    }

    fn path() -> PathBuf {
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
        match runtime {
            Some(runtime) => runtime.join("wireplug"),
            None => env::temp_dir().join(format!("wireplug-{}", own_uid())),
        }
    }

    fn checked(path: PathBuf) -> Result<Self, FolderError> {
        match check(&path, own_uid()) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(FolderError::Untrusted { path, source: error.into() }),
        }
    }
}

/// Returns the effective user ID of this process.
pub(super) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Checks that a folder belongs to the user `own` and that no other user can enter it.
fn check(path: &Path, own: u32) -> anyhow::Result<()> {
    let found = fs::symlink_metadata(path)?;
    ensure!(found.is_dir(), "it is a link or a file: remove it");
    ensure!(
        found.uid() == own,
        "it belongs to the user {}, and not to {own}: have it removed, or name a socket elsewhere",
        found.uid()
    );
    ensure!(
        found.mode() & 0o077 == 0,
        "other users can enter it (mode {:o}): chmod 700 {}",
        found.mode() & 0o777,
        path.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_folder_that_others_can_enter_is_not_trusted() {
        let folder = env::temp_dir().join(format!("wireplug-folder-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        DirBuilder::new().mode(MODE).create(&folder).unwrap();
        let check = |path: &Path, own| check(path, own).map_err(|error| error.to_string());
        assert_eq!(check(&folder, own_uid()), Ok(()));
        assert!(check(&folder, own_uid() + 1).is_err_and(|why| why.contains("belongs to the user")));
        let link = folder.join("link");
        symlink(&folder, &link).unwrap();
        assert!(check(&link, own_uid()).is_err_and(|why| why.contains("a link or a file")));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(check(&folder, own_uid()).is_err_and(|why| why.contains("chmod 700")));
        fs::remove_dir_all(&folder).unwrap();
    }
}
