mod c;
mod examples;
mod guide;
mod javascript;
mod mistakes;
mod mqtt;
mod projects;
mod python;
mod tutorial;
mod wrong;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use wireplug_tests::folder::Folder;

use self::guide::Guide;
use crate::program::{PROGRAM, wireplug};

/// Where tests may leave what makes the next run of them faster.
const KEPT: &str = env!("CARGO_TARGET_TMPDIR");

/// `wireplug codec`, with arguments.
fn codec(arguments: &[&str]) -> Command {
    let mut command = wireplug(["codec"]);
    command.args(arguments);
    command
}

/// Asks the codec `evaluates` in a project each of these, steps of vectors in a session of their
/// own, and holds the last answer of each to its beginning.
fn answers(project: &Path, asked: &[(&str, &str)]) {
    let steps: String = asked.iter().map(|(steps, _)| format!("session\n{steps}\n")).collect();
    std::fs::write(project.join("evaluates.vectors"), steps).expect("it can be written");
    let tested = codec(&["test", "evaluates.wasm"]).current_dir(project).output().expect("it runs");
    let report = String::from_utf8(tested.stdout).expect("it is text");
    let mut line = 0;
    for (steps, begins) in asked {
        // The last step stands in this line; no step has an answer that it should have.
        line += 1 + steps.lines().count();
        let step = report
            .split("\nline ")
            .find(|step| step.trim_start_matches("line ").starts_with(&format!("{line}: ")));
        let answer =
            step.and_then(|step| step.lines().filter_map(|line| line.strip_prefix("+   ")).next_back());
        assert!(
            answer.is_some_and(|answer| answer.starts_with(begins)),
            "{steps}\n{answer:?}\n{begins}\n{report}"
        );
    }
}

/// A folder beside what is kept.
fn folder(name: &str) -> Folder {
    Folder::within(Path::new(KEPT), name)
}

/// The search path with `wireplug` on it.
fn path() -> OsString {
    let folder = Path::new(PROGRAM).parent().expect("a program lies in a folder").to_owned();
    let others = env::var_os("PATH").unwrap_or_default();
    env::join_paths(std::iter::once(folder).chain(env::split_paths(&others))).expect("no folder has a colon")
}
