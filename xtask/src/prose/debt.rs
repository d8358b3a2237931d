//! The list of files that do not pass the check yet.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

const HEADER: &str = "\
# Files that do not pass `cargo xtask prose` yet. A file that passes leaves the list:
# `cargo xtask prose --shrink` takes it off. No file is added.
";

/// The listed paths, relative to the repository.
pub(super) struct Debt {
    paths: BTreeSet<String>,
}

impl Debt {
    /// Reads one path a line; `#` begins a comment.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self { paths: lines.map(str::to_owned).collect() }
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    pub(super) fn len(&self) -> usize {
        self.paths.len()
    }

    /// Returns the listed files that are not among those that fail: they pass, or are gone.
    pub(super) fn settled(&self, failing: &[&str]) -> Vec<String> {
        self.paths.iter().filter(|path| !failing.contains(&path.as_str())).cloned().collect()
    }

    /// Returns the list without some of its files.
    pub(super) fn without(&self, settled: &[String]) -> Self {
        Self { paths: self.paths.iter().filter(|path| !settled.contains(path)).cloned().collect() }
    }
}

impl Display for Debt {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(HEADER)?;
        self.paths.iter().try_for_each(|path| writeln!(out, "{path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_passes_leaves_the_list() {
        let debt = Debt::parse("# A comment.\nb.md\na.md\n\ngone.md\n");
        assert!(debt.has("a.md") && !debt.has("c.md"));
        let settled = debt.settled(&["b.md", "c.md"]);
        assert_eq!(settled, ["a.md", "gone.md"]);
        assert_eq!(debt.without(&settled).to_string(), format!("{HEADER}b.md\n"));
    }

    #[test]
    fn what_is_written_is_read() {
        let debt = Debt::parse("b.md\na.md\n");
        assert_eq!(Debt::parse(&debt.to_string()).to_string(), format!("{HEADER}a.md\nb.md\n"));
    }
}
