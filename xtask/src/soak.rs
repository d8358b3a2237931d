//! Soaks: tests that run for a given time.

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::project::Project;
use crate::test;

/// The variable with the length of a soak.
const SECONDS: &str = "WIREPLUG_SOAK_SECONDS";

/// The length of a soak by default.
const USUAL_SECONDS: u32 = 600;

/// Each soak, with its test binary and its test.
const SOAKS: &[(&str, &str, &str)] = &[
    ("siege", "command", "siege::slow_silent_flooding_and_vanished_clients_on_every_transport"),
    ("handoff", "all", "life::soak::handoff::in_a_process_of_its_own"),
    ("drain", "all", "life::soak::drain::in_a_process_of_its_own"),
    ("failing", "all", "life::soak::failing::in_a_process_of_its_own"),
    ("some", "all", "life::soak::some::in_a_process_of_its_own"),
    ("sleep", "all", "life::soak::sleep::in_a_process_of_its_own"),
];

/// Runs one soak.
pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<()> {
    let (name, seconds) = match arguments {
        [name] => (name, USUAL_SECONDS),
        [name, seconds] => {
            (name, seconds.parse().with_context(|| format!("`{seconds}` is no number of seconds"))?)
        }
        _ => bail!("write `cargo xtask soak NAME [SECONDS]`; there are: {}", names()),
    };
    let Some((_, binary, test)) = SOAKS.iter().find(|(known, ..)| known == name) else {
        bail!("there is no soak `{name}`; there are: {}", names());
    };
    let mut cargo = project.cargo();
    test::of_the_workspace(&mut cargo);
    cargo.args(["--test", binary, "--", "--exact", test, "--ignored", "--nocapture"]);
    process::run(cargo.env(SECONDS, seconds.to_string()))
}

fn names() -> String {
    SOAKS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
}
