//! The benchmarks.

mod figures;
mod goals;
mod table;

use anyhow::{Result, bail};

use crate::process;
use crate::project::Project;
use crate::test::{self, after_dashes};

pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<()> {
    match arguments {
        [table] if table == "table" => table::run(project),
        [table, ..] if table == "table" => bail!("`bench table` takes no arguments"),
        arguments => {
            let mut cargo = project.cargo();
            test::select(&mut cargo, "bench");
            process::run(cargo.arg("--").args(after_dashes("bench", arguments)?))
        }
    }
}
