//! `wireplug config`: checks configuration files, and describes them to editors.

use std::path::{Path, PathBuf};

use wireplug::config::{Builtin, CodecConfig, Config};

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
        let token = if control.token_file.is_some() { "with a token" } else { "without a token" };
        text += &format!("  control API on {}, {token}\n", control.listen);
    }
    text + &format!("  at most {} connections\n", config.server.max_connections)
}

fn source(codec: &CodecConfig) -> String {
    match (&codec.file, codec.builtin) {
        (Some(file), _) => file.display().to_string(),
        (None, Some(Builtin::Pomelo)) => "pomelo, built in".to_owned(),
        (None, Some(Builtin::Sio)) => "sio, built in".to_owned(),
        (None, None) => unreachable!("a configuration that was read says where its codecs are"),
    }
}
