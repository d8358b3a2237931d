//! The benchmarks.

use anyhow::Result;

use crate::process;
use crate::project::Project;
use crate::test::after_dashes;

pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<()> {
    let mut cargo = project.cargo();
    cargo.args(["bench", "--workspace", "--"]);
    process::run(cargo.args(after_dashes("bench", arguments)?))
}
