//! Runs external programs, such as compilers.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail};

/// Runs a program and returns its output. `install` describes how to install the program.
///
/// # Errors
/// Returns an error if the program is missing, which then contains `install`, or if the program
/// fails, which then contains the program's own errors.
pub(super) fn run(command: &mut Command, install: &str) -> anyhow::Result<Output> {
    let output = match command.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{} is missing: {install}", name(command));
        }
        output => output.with_context(|| format!("cannot start {}", name(command)))?,
    };
    if !output.status.success() {
        // Programs write their results to standard output: cargo, for example, lists the files that
        // it has built. So standard output is the error text only if standard error is empty.
        let [errors, results] = [&output.stderr, &output.stdout].map(|said| String::from_utf8_lossy(said));
        let said = if errors.trim().is_empty() { results } else { errors };
        bail!("`{}` failed ({}):\n{}", shown(command), output.status, said.trim());
    }
    Ok(output)
}

/// Passes on the warnings of a compiler.
pub(super) fn warnings(output: &Output) {
    // If standard error has been closed, the warnings are dropped.
    let _ = io::stderr().write_all(&output.stderr);
}

/// Returns whether a program can be run.
pub(super) fn is_there(program: &str, arguments: &[&str]) -> bool {
    let quiet = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

/// Returns the command as a user would type it.
fn shown(command: &Command) -> String {
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(name(command)).chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the error of a script that fails.
    fn error(script: &str) -> String {
        run(Command::new("sh").args(["-c", script]), "it is there").expect_err("it fails").to_string()
    }

    #[test]
    fn results_do_not_bury_errors() {
        let both = error("echo results; echo mistakes >&2; exit 3");
        assert!(both.ends_with("failed (exit status: 3):\nmistakes"), "{both}");
    }

    #[test]
    fn what_has_no_errors_tells_what_it_has() {
        assert!(error("echo results; exit 3").ends_with("\nresults"));
    }
}
