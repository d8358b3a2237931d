//! The prose check: how wide lines are, and which words are used.
//!
//! It reads all Markdown and Rust files of the repository. `xtask/prose/words.txt` lists the
//! refused words, and `xtask/prose/debt.txt` the files that do not pass yet. That list can only get
//! shorter: a listed file that passes is an error too.

mod debt;
mod lines;
mod words;

use std::fs;

use anyhow::{Context, Result, bail};

use self::debt::Debt;
use self::words::Words;
use crate::process;
use crate::project::Project;

const WORDS: &str = "xtask/prose/words.txt";
const DEBT: &str = "xtask/prose/debt.txt";

/// The widest line of prose, in columns.
const WIDEST: usize = 100;

/// A fault of one line.
#[derive(Debug, PartialEq)]
struct Finding {
    /// The line's number, from 1.
    line: usize,
    what: String,
}

/// The format of a file, which determines where its prose is.
#[derive(Clone, Copy)]
enum Format {
    Markdown,
    Rust,
}

/// The recipe.
pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<()> {
    match arguments {
        [] => check(project),
        [argument] if argument == "--shrink" => shrink(project),
        _ => bail!("`prose` takes only --shrink, but got `{}`", arguments.join(" ")),
    }
}

/// Checks all files, and the list of those that do not pass yet.
pub(crate) fn check(project: &Project) -> Result<()> {
    let debt = Debt::parse(&read(project, DEBT)?);
    let files = check_files(project)?;
    let mut faults = 0;
    for (path, findings) in &files {
        if debt.has(path) {
            continue;
        }
        for Finding { line, what } in findings {
            eprintln!("{path}:{line}: {what}");
            faults += 1;
        }
    }
    let settled = debt.settled(&failing(&files));
    for path in &settled {
        eprintln!("{DEBT}: {path} passes, or is gone; `cargo xtask prose --shrink` takes it off the list");
    }
    if faults + settled.len() > 0 {
        bail!("the prose check found {}", count(faults + settled.len(), "fault"));
    }
    println!("xtask: prose: {} checked, {} of them are in {DEBT}", count(files.len(), "file"), debt.len());
    Ok(())
}

/// Removes the files that pass now from the list.
fn shrink(project: &Project) -> Result<()> {
    let debt = Debt::parse(&read(project, DEBT)?);
    let settled = debt.settled(&failing(&check_files(project)?));
    let kept = debt.without(&settled);
    fs::write(project.path(DEBT), kept.to_string()).with_context(|| format!("cannot write {DEBT}"))?;
    println!("xtask: {DEBT} lists {}, {} fewer than before", count(kept.len(), "file"), settled.len());
    Ok(())
}

/// Returns the path of each file with its findings.
fn check_files(project: &Project) -> Result<Vec<(String, Vec<Finding>)>> {
    let words = Words::parse(&read(project, WORDS)?).with_context(|| format!("{WORDS} is wrong"))?;
    let mut files = Vec::new();
    for path in list(project)? {
        // Links lead to files that are checked themselves. A file that was removed is still listed
        // until it is staged.
        if !fs::symlink_metadata(project.path(&path)).is_ok_and(|file| file.is_file()) {
            continue;
        }
        let format = if path.ends_with(".md") { Format::Markdown } else { Format::Rust };
        let findings = find(format, &read(project, &path)?, &words);
        files.push((path, findings));
    }
    Ok(files)
}

/// Lists the Markdown and Rust files of the repository, including new ones.
fn list(project: &Project) -> Result<Vec<String>> {
    let mut git = project.git();
    git.args(["-c", "core.quotePath=off", "ls-files", "--cached", "--others", "--exclude-standard", "--"]);
    let listed = process::output(git.args(["*.md", "*.rs"]))?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// Finds all faults of one file, in the order of its lines.
fn find(format: Format, text: &str, words: &Words) -> Vec<Finding> {
    let mut findings = lines::find(format, text);
    findings.extend(words.find(text));
    findings.sort_by_key(|finding| finding.line);
    findings
}

fn failing(files: &[(String, Vec<Finding>)]) -> Vec<&str> {
    let failing = files.iter().filter(|(_, findings)| !findings.is_empty());
    failing.map(|(path, _)| path.as_str()).collect()
}

fn read(project: &Project, path: &str) -> Result<String> {
    fs::read_to_string(project.path(path)).with_context(|| format!("cannot read {path}"))
}

fn count(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_come_in_the_order_of_lines() {
        let words = Words::parse("portal = listener").unwrap();
        let text = format!("A portal.\n{}\nA portal.\n", "word ".repeat(30));
        let lines: Vec<_> =
            find(Format::Markdown, &text, &words).into_iter().map(|found| found.line).collect();
        assert_eq!(lines, [1, 2, 3]);
    }

    /// The project's own list can be read, and refuses nothing that it advises.
    #[test]
    fn the_word_list_advises_only_allowed_words() {
        let list = include_str!("../../prose/words.txt");
        let words = Words::parse(list).unwrap();
        for advice in words.advice() {
            // Text in quotation marks is an example of a refused use.
            let allowed: String = advice.split('"').step_by(2).collect();
            assert_eq!(words.find(&allowed), [], "{advice}");
        }
    }

    #[test]
    fn the_list_of_debt_is_in_order() {
        let list = include_str!("../../prose/debt.txt");
        assert_eq!(Debt::parse(list).to_string(), list);
    }
}
