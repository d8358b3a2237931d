//! Runs the fuzz targets: libFuzzer, without cargo-fuzz and on the pinned toolchain.
//!
//! Only the crates of this workspace are instrumented: cargo calls xtask itself in place of the
//! compiler for them (`RUSTC_WORKSPACE_WRAPPER`), and xtask adds the flags. So the dependencies,
//! wasmtime above all, are those of every other build. There are no sanitizers, because there is no
//! unsafe code to watch.
//!
//! `fuzz-guests` prints how many components were loaded, and why the others were refused. It fails
//! if none was loaded.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::project::Project;

/// A variable that is set where xtask runs in place of the compiler.
const WRAPPER: &str = "WIREPLUG_FUZZ_WRAPPER";

/// The instrumentation that libFuzzer needs, and the checks that a release build leaves out.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// The longest input, in bytes.
const LONGEST: usize = 4096;

/// Each target with its own arguments, besides those that all targets get.
const TARGETS: &[(&str, &[&str])] = &[
    ("fuzz-framing", &[]),
    ("fuzz-answers", &[]),
    ("fuzz-config", &[]),
    ("fuzz-signatures", &[]),
    // `-len_control=0` lets libFuzzer begin with inputs of any length. Generated components are
    // small, so a process whose memory grows is a finding.
    ("fuzz-guests", &["-len_control=0", "-rss_limit_mb=1024"]),
];

/// Runs each target for a number of seconds, 60 by default.
pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<()> {
    let seconds = match arguments {
        [] => 60,
        [seconds] => {
            seconds.parse::<u32>().with_context(|| format!("`{seconds}` is no number of seconds"))?
        }
        _ => bail!("write `cargo xtask fuzz [SECONDS]`"),
    };
    let mut build = project.cargo();
    build.args(["build", "--package", "wireplug-fuzz", "--bins"]);
    build.env("RUSTC_WORKSPACE_WRAPPER", env::current_exe()?).env(WRAPPER, "1");
    process::run(&mut build)?;

    for (target, arguments) in TARGETS {
        let kept = project.target().join("fuzz").join(target);
        let corpus = kept.join("corpus");
        fs::create_dir_all(&corpus)?;
        begin_with(project, target, &corpus)?;
        let mut fuzz = Command::new(project.target().join("debug").join(target));
        fuzz.arg(&corpus);
        fuzz.arg(format!("-artifact_prefix={}/", kept.display()));
        fuzz.args([
            &format!("-max_total_time={seconds}"),
            &format!("-max_len={LONGEST}"),
            "-timeout=10",
            "-print_final_stats=1",
        ]);
        fuzz.args(*arguments);
        process::run(&mut fuzz)
            .with_context(|| format!("{target} failed; its input is in {}", kept.display()))?;
    }
    println!("xtask: {} targets passed, {seconds} s each", TARGETS.len());
    Ok(())
}

/// Puts inputs into the corpus that libFuzzer would take long to find by chance.
fn begin_with(project: &Project, target: &str, corpus: &Path) -> Result<()> {
    match target {
        // A valid file.
        "fuzz-config" => {
            fs::copy(project.path("docs/production.toml"), corpus.join("production.toml"))?;
        }
        // Long inputs: libFuzzer begins with one byte, and a module takes thousands.
        "fuzz-guests" => {
            for number in 0..64 {
                fs::write(corpus.join(format!("long-{number}")), noise(number))?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Returns the longest input, of bytes without a pattern. The same number gives the same bytes.
fn noise(number: u64) -> Vec<u8> {
    let mut state = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(LONGEST);
    while bytes.len() < LONGEST {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// Runs in place of the compiler if cargo calls xtask as the compiler. The first argument is then
/// the real compiler.
pub(crate) fn compile(arguments: &[String]) -> Option<ExitCode> {
    env::var_os(WRAPPER)?;
    let (compiler, rest) = arguments.split_first()?;
    let status = Command::new(compiler).args(rest).args(FLAGS).status().ok()?;
    Some(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
