//! The figures that benchmarks report in a file, by their names.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// The variable with the file, to which `wireplug_tests::figures` appends.
pub(super) const FILE: &str = "WIREPLUG_FIGURES";

/// A file that was not there before.
pub(super) struct FiguresFile(PathBuf);

/// Figures by their names.
pub(super) type Figures = BTreeMap<String, f64>;

impl FiguresFile {
    pub(super) fn new(path: PathBuf) -> Result<Self> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{} cannot be removed", path.display()))
            }
            _ => Ok(Self(path)),
        }
    }

    pub(super) fn path(&self) -> &PathBuf {
        &self.0
    }

    /// Returns the figures so far.
    pub(super) fn read(&self) -> Result<Figures> {
        let text = match fs::read_to_string(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            text => text.with_context(|| format!("{} cannot be read", self.0.display()))?,
        };
        text.lines().map(figure).collect()
    }
}

/// Reads a line `NAME VALUE`.
fn figure(line: &str) -> Result<(String, f64)> {
    let (name, value) = line.split_once(' ').with_context(|| format!("`{line}` is no figure"))?;
    Ok((name.to_owned(), value.parse().with_context(|| format!("`{line}` is no figure"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_a_number() {
        assert_eq!(
            figure("server-50-1-wasm-floor 1.5").expect("a figure"),
            ("server-50-1-wasm-floor".into(), 1.5)
        );
        assert!(figure("server").is_err() && figure("server fast").is_err());
    }
}
