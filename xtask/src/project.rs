//! The folders of the repository, and the programs that run in them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// How the names of variables begin that describe a package.
const OF_PACKAGE: [&str; 2] = ["CARGO_MANIFEST_", "CARGO_PKG_"];

pub(crate) struct Project {
    root: PathBuf,
}

impl Project {
    /// Finds the repository from which cargo runs xtask. It is looked up at run time and not
    /// compiled in, because several clones may share a target folder.
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

    /// Returns cargo's target folder for the host's workspace.
    pub(crate) fn target(&self) -> PathBuf {
        let chosen = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        self.root.join(chosen)
    }

    /// Returns the cargo that runs xtask, in the root of the repository.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        // Variables that cargo has set for xtask. Build scripts, such as that of ring, would run
        // again after each change between `cargo` and `cargo xtask`.
        for (name, _) in env::vars_os() {
            if OF_PACKAGE.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command
    }

    /// Returns git, in the root of the repository.
    pub(crate) fn git(&self) -> Command {
        let mut command = Command::new("git");
        command.current_dir(&self.root);
        command
    }

    /// Returns the cargo that runs xtask, in the workspace of the codecs that are components. In
    /// that folder cargo reads their configuration. Their profile differs, so they have a target
    /// folder of their own.
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
