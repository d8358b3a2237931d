//! `wireplug config`: checks configuration files, and describes them to editors.

use std::path::{Path, PathBuf};

use wireplug::config::{Builtin, CodecConfig, Config, ControlAddress, ControlConfig};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check a configuration file: all that is wrong with it, with line and key. Starts nothing.
    Check {
        /// The configuration file.
        file: PathBuf,
    },
    /// Print the JSON Schema of configuration files, for editors.
    Schema,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Check { file } => print!("{}", summary(&file, &Config::load(&file)?)),
        Command::Schema => println!("{:#}", Config::schema()),
    }
    Ok(())
}

/// What a file that is right comes to.
fn summary(file: &Path, config: &Config) -> String {
    let mut text = format!("{}: ok\n", file.display());
    for (name, codec) in &config.codecs {
        text += &format!("  codec {name}: {}\n", source(codec));
    }
    for listener in &config.listeners {
        let codec = listener.codec.as_deref().unwrap_or("its connector's own codec");
        text += &format!("  {} speaks {codec}\n", listener.url);
    }
    if let Some(control) = &config.control {
        text += &format!("  control API on {}\n", control_api(control));
    }
    text + &format!("  at most {} connections\n", config.server.max_connections)
}

/// Where a control API is, and who may change something.
fn control_api(control: &ControlConfig) -> String {
    match (&control.listen, &control.token_file) {
        (Some(address @ ControlAddress::Http(_)), Some(file)) => {
            format!("{address}, with the tokens in {}", file.display())
        }
        (Some(address @ ControlAddress::Http(_)), None) => {
            format!("{address}, with a token that is generated")
        }
        (Some(address), _) => address.to_string(),
        (None, _) => "the default Unix socket of its user".to_owned(),
    }
}

fn source(codec: &CodecConfig) -> String {
    match (&codec.file, codec.builtin) {
        (Some(file), _) => file.display().to_string(),
        (None, Some(Builtin::Pomelo)) => "pomelo, built in".to_owned(),
        (None, Some(Builtin::Sio)) => "sio, built in".to_owned(),
        (None, None) => unreachable!("a configuration that was read says where its codecs are"),
    }
}
