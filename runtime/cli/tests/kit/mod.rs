mod c;
mod digits;
mod examples;
mod go;
mod javascript;
mod mistakes;
mod mqtt;
mod projects;
mod python;
mod traps;
mod tutorial;
mod wrong;

use std::path::Path;
use std::process::Command;

use wireplug_tests::folder::Folder;
use wireplug_tests::guide::{Folders, Guide};

use crate::program::{PROGRAM, wireplug};

/// The directory for files that make later runs of the tests faster.
const KEPT: &str = env!("CARGO_TARGET_TMPDIR");

/// Returns the command `wireplug codec` with these arguments.
fn codec(arguments: &[&str]) -> Command {
    let mut command = wireplug(["codec"]);
    command.args(arguments);
    command
}

/// Runs steps of vectors with the codec `evaluates` of a project, each pair in a session of its
/// own. Checks that the last answer of each session begins with the given text.
fn answers(project: &Path, asked: &[(&str, &str)]) {
    let steps: String = asked.iter().map(|(steps, _)| format!("session\n{steps}\n")).collect();
    std::fs::write(project.join("evaluates.vectors"), steps).expect("it can be written");
    let tested = codec(&["test", "evaluates.wasm"]).current_dir(project).output().expect("it runs");
    let report = String::from_utf8(tested.stdout).expect("it is text");
    let mut line = 0;
    for (steps, begins) in asked {
        // The number of the line that has the last step. The vectors contain no answers.
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

/// Makes a folder beside the kept files.
fn folder(name: &str) -> Folder {
    Folder::within(Path::new(KEPT), name)
}

/// Prepares to run the blocks of pages in this folder.
fn guide(folder: &Path) -> Guide {
    let (programs, _) = PROGRAM.rsplit_once('/').expect("a program lies in a folder");
    Guide::new(folder, Folders { programs, kept: KEPT })
}
