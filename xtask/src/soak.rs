//! Soaks: tests that run for a given time.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::project::Project;
use crate::test;

/// The variable with the length of a soak.
const SECONDS: &str = "WIREPLUG_SOAK_SECONDS";

/// The length of a soak by default.
const USUAL_SECONDS: u32 = 600;

/// The variable with the number of sessions, for a soak that has a choice.
const SESSIONS: &str = "WIREPLUG_SOAK_SESSIONS";

/// Each soak, with its test binary and its tests, each of which runs in a process of its own.
const SOAKS: &[(&str, &str, &[&str])] = &[
    ("siege", "command", &["siege::slow_silent_flooding_and_vanished_clients_on_every_transport"]),
    ("handoff", "all", &["life::soak::handoff::in_a_process_of_its_own"]),
    ("drain", "all", &["life::soak::drain::in_a_process_of_its_own"]),
    ("failing", "all", &["life::soak::failing::in_a_process_of_its_own"]),
    ("some", "all", &["life::soak::some::in_a_process_of_its_own"]),
    ("sleep", "all", &["life::soak::sleep::in_a_process_of_its_own"]),
    ("upgrade", "command", &["upgrade::soak::in_a_process_of_its_own"]),
    (IDLE, "all", &[IDLE_OVER_MEMORY, IDLE_OVER_TCP]),
];

/// The soak of idle sessions, which alone has a choice of their number.
const IDLE: &str = "idle";
const IDLE_OVER_MEMORY: &str = "life::soak::idle::over_memory";
const IDLE_OVER_TCP: &str = "life::soak::idle::over_tcp";

/// Runs one soak.
pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<()> {
    let (name, seconds, sessions) = match arguments {
        [name] => (name, None, None),
        [name, seconds] => (name, Some(seconds), None),
        [name, seconds, sessions] if name == IDLE => (name, Some(seconds), Some(sessions)),
        _ => bail!(
            "write `cargo xtask soak NAME [SECONDS]`, or `idle [SECONDS [SESSIONS]]`; there are: {}",
            names()
        ),
    };
    let number = |text: Option<&String>, what| {
        text.map(|text| text.parse::<u32>().with_context(|| format!("`{text}` is no number of {what}")))
            .transpose()
    };
    let (seconds, sessions) = (number(seconds, "seconds")?, number(sessions, "sessions")?);
    let Some((_, binary, tests)) = SOAKS.iter().find(|(known, ..)| known == name) else {
        bail!("there is no soak `{name}`; there are: {}", names());
    };
    tests.iter().try_for_each(|test| {
        let mut cargo = command(project, binary, test, seconds.unwrap_or(USUAL_SECONDS));
        process::run(match sessions {
            Some(sessions) => cargo.env(SESSIONS, sessions.to_string()),
            None => &mut cargo,
        })
    })
}

/// Returns the commands that hold idle sessions, each for this time.
pub(crate) fn idle(project: &Project, seconds: u32) -> impl Iterator<Item = Command> {
    [IDLE_OVER_MEMORY, IDLE_OVER_TCP].into_iter().map(move |name| command(project, "all", name, seconds))
}

fn command(project: &Project, binary: &str, name: &str, seconds: u32) -> Command {
    let mut cargo = project.cargo();
    test::of_the_workspace(&mut cargo);
    cargo.args(["--test", binary, "--", "--exact", name, "--ignored", "--nocapture"]);
    cargo.env(SECONDS, seconds.to_string());
    cargo
}

fn names() -> String {
    SOAKS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
}
