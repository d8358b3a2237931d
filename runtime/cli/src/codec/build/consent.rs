//! Asks before programs of a project run.
//!
//! A project in Rust, JavaScript or Python is built by programs that it contains or names. They run
//! with all rights of the user, so the user must agree first.

use std::io::{self, BufRead, IsTerminal as _, Write};
use std::path::Path;

use anyhow::bail;

/// Asks on a terminal whether the programs of a project may run. `yes` answers beforehand.
///
/// # Errors
/// Returns an error if the answer is no, or there is no terminal on which to ask.
pub(super) fn ask(folder: &Path, language: &str, runs: &[&str], yes: bool) -> anyhow::Result<()> {
    if yes || runs.is_empty() {
        return Ok(());
    }
    let shown = folder.display();
    let list = list(folder, language, runs);
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        bail!("{list}There is no terminal to ask on: add --yes if you trust {shown}");
    }
    if !is_granted(&list, &mut io::stdin().lock(), &mut io::stderr())? {
        bail!("nothing was run, and {shown} is not built");
    }
    Ok(())
}

/// Lists the programs that run, for people.
fn list(folder: &Path, language: &str, runs: &[&str]) -> String {
    let runs: String = runs.iter().map(|program| format!("  {program}\n")).collect();
    format!(
        "to build {} in {language}, these programs of the project run with all your rights:\n{runs}",
        folder.display()
    )
}

/// Asks, and reads one line as the answer.
fn is_granted(list: &str, input: &mut impl BufRead, output: &mut impl Write) -> io::Result<bool> {
    write!(output, "{list}Build only what you trust; --yes skips this question. Go on? [y/N] ")?;
    output.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        let list = list(Path::new("chat"), "Rust", &["cargo build"]);
        for (answer, granted) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("n\n", false), ("yep\n", false)]
        {
            let mut asked = Vec::new();
            assert_eq!(
                is_granted(&list, &mut answer.as_bytes(), &mut asked).ok(),
                Some(granted),
                "{answer:?}"
            );
            let asked = String::from_utf8(asked).expect("it is text");
            assert!(asked.contains("  cargo build\n") && asked.ends_with("Go on? [y/N] "), "{asked}");
        }
    }
}
