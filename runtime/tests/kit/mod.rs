mod c;
mod examples;
mod guide;
mod javascript;
mod mistakes;
mod mqtt;
mod projects;
mod tutorial;
mod wrong;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::guide::Guide;

const WIREPLUG: &str = env!("CARGO_BIN_EXE_wireplug");

/// Where tests may leave what makes the next run of them faster.
const KEPT: &str = env!("CARGO_TARGET_TMPDIR");

/// `wireplug codec`, with arguments.
fn codec(arguments: &[&str]) -> Command {
    let mut command = Command::new(WIREPLUG);
    command.arg("codec").args(arguments);
    command
}

/// A folder that is gone with the test, if the test goes well.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(KEPT).join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// The search path with `wireplug` on it.
fn path() -> OsString {
    let folder = Path::new(WIREPLUG).parent().expect("a program lies in a folder").to_owned();
    let others = env::var_os("PATH").unwrap_or_default();
    env::join_paths(std::iter::once(folder).chain(env::split_paths(&others))).expect("no folder has a colon")
}
