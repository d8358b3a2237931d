//! Where things are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

pub(crate) struct Project {
    root: PathBuf,
}

impl Project {
    /// The repository that cargo runs this from. Asked for at run time, not compiled in: a target folder may
    /// serve several clones.
    pub(crate) fn find() -> Result<Self> {
        let here = env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
        let root = Path::new(&here).parent().context("xtask has no parent folder")?;
        Ok(Self { root: root.to_owned() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Cargo's target folder for the host's workspace.
    pub(crate) fn target(&self) -> PathBuf {
        let chosen = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        self.root.join(chosen)
    }

    /// The cargo that runs this, in the root of the repository.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        command
    }

    /// The cargo that runs this, in the workspace of the codecs written as components. Started there, it
    /// heeds their configuration; and it has a target folder of its own, since their profile differs.
    pub(crate) fn guest_cargo(&self) -> Command {
        let mut command = self.cargo();
        command.current_dir(self.guests()).env("CARGO_TARGET_DIR", self.guest_target());
        command
    }

    pub(crate) fn guest_target(&self) -> PathBuf {
        self.target().join("guests")
    }

    pub(crate) fn guests(&self) -> PathBuf {
        self.path("guest-examples")
    }
}
