//! The `wireplug` command. Each of its commands is a file of `cli`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
