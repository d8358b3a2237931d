//! The recipe `cargo xtask bench table`: measures what the goals are about, and prints a table of
//! goals and figures in Markdown, below the tables of the benchmarks themselves.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::figures::{FILE, FiguresFile};
use super::goals::ROWS;
use crate::process;
use crate::project::Project;
use crate::{soak, test};

/// The benchmarks with their arguments.
const BENCHMARKS: &[(&str, &[&str])] = &[
    ("server", &["tcp"]),
    ("codec", &["message"]),
    ("scale", &["memory", "opening", "push"]),
    ("wake", &[]),
    ("observe", &[]),
    ("upgrade", &[]),
];

/// How long each soak holds its sessions, in seconds: four heartbeats of each session.
const HOLD: u32 = 120;

pub(super) fn run(project: &Project) -> Result<()> {
    let file = FiguresFile::new(project.target().join("figures"))?;
    let benchmarks = BENCHMARKS.iter().map(|(name, arguments)| {
        let mut cargo = project.cargo();
        test::select(&mut cargo, "bench");
        cargo.args(["--bench", name, "--"]).args(*arguments);
        cargo
    });
    let mut failed = Vec::new();
    for mut command in benchmarks.chain(soak::idle(project, HOLD)) {
        command.env(FILE, file.path());
        // One that fails must not take the figures of the others with it.
        failed.extend(process::run(&mut command).err());
    }
    let figures = file.read()?;
    println!("\n{}\n", machine()?);
    println!("| what | goal | reached | |");
    println!("|---|---:|---:|---|");
    for row in ROWS {
        println!("{}", row.markdown(&figures));
    }
    failed.into_iter().next().map_or(Ok(()), Err)
}

/// Returns a sentence with the machine, the compiler and the date.
fn machine() -> Result<String> {
    let first = |command: &mut Command| {
        process::output(command).map(|text| text.lines().next().unwrap_or_default().to_owned())
    };
    let processors = std::thread::available_parallelism().context("the number of processors")?;
    let kernel = first(Command::new("uname").arg("-sr"))?;
    let rustc = first(Command::new("rustc").arg("--version"))?;
    let date = first(Command::new("date").arg("+%Y-%m-%d"))?;
    Ok(format!("Measured on {processors} processors, {kernel}, {rustc}, {date}."))
}
