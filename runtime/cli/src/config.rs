//! `wireplug config`: checks configuration files, and describes them to editors.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wireplug::admin::ControlApi;
use wireplug::config::{
    Builtin, BuiltinApp, CodecConfig, ControlAddress, ControlConfig, LogConfig, LogLevel, ServerConfig,
};
use wireplug::{CheckedCodec, Config};

use super::{compile, log, progress, reload, serve};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check a configuration file: all that `wireplug serve` would refuse of it, with line and key.
    /// Loads the codecs with their options, and starts nothing: whether an address is free only a
    /// start can tell.
    Check {
        /// The configuration file.
        file: PathBuf,
    },
    /// Tell what a reload with another configuration file would change in a running server, and
    /// what needs a restart. Applies nothing.
    Diff(reload::Diff),
    /// Print the JSON Schema of configuration files, for editors.
    Schema,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Check { file } => check(&file).await,
        Command::Diff(args) => reload::diff(args).await,
        Command::Schema => {
            say!("{:#}", Config::schema());
            Ok(())
        }
    }
}

async fn check(file: &Path) -> anyhow::Result<()> {
    // Warnings are shown too, because a start would also give them.
    log::start(&LogConfig { level: LogLevel::Warn, ..LogConfig::default() });
    let config = serve::read(file)?;
    let server = serve::from_config(&config, file)?;
    let server = server.compiler(compile::compiler()).on_compiling(progress::shown(true));
    let codecs = server.check().await.map_err(|problems| problems.in_file(file))?;
    if let Some(control) = &config.control {
        ControlApi::check(control, serve::directory(file))
            .with_context(|| format!("{}: control", file.display()))?;
    }
    say!("{}", summary(file, &config, &codecs).trim_end());
    Ok(())
}

/// Returns the summary of a valid configuration.
fn summary(file: &Path, config: &Config, checked: &[CheckedCodec]) -> String {
    let mut text = format!("{}: ok\n", file.display());
    text += &match config.app {
        Some(BuiltinApp::Demo) => {
            "  serves the demo application: a chat that is open to everybody\n".to_owned()
        }
        None => {
            let services = |over_http: bool| {
                let of_kind =
                    config.services.iter().filter(|(_, service)| service.url.is_some() == over_http);
                of_kind.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
            };
            let ways = [("behind NATS", services(false)), ("over HTTP", services(true))];
            let ways = ways.iter().filter(|(_, services)| !services.is_empty());
            ways.map(|(way, services)| format!("  serves services {way}: {services}\n")).collect()
        }
    };
    for (name, codec) in &config.codecs {
        let codec_checked = checked.iter().find(|codec| codec.name == *name);
        let bound = codec_checked.map_or_else(String::new, |checked| bound(&config.server, checked));
        text += &format!("  codec {name}: {}{bound}\n", source(codec));
    }
    for listener in &config.listeners {
        let codec = listener.codec.as_deref().unwrap_or("its connector's own codec");
        text += &format!("  {} speaks {codec}\n", listener.url);
    }
    if let Some(trust) = &config.trust {
        let keys: Vec<&str> = trust.keys.keys().map(String::as_str).collect();
        let others = if trust.require { "no others" } else { "others, with a warning" };
        text += &format!("  loads codecs that are signed by {}, and {others}\n", keys.join(" or "));
    }
    if let Some(control) = &config.control {
        text += &format!("  control API on {}\n", control_api(control));
    }
    text + &format!("  at most {} connections\n", max_connections(config, checked))
}

/// Returns what bounds the number of connections of a codec, or an empty text if only
/// `max-connections` does.
fn bound(server: &ServerConfig, CheckedCodec { max_sessions, sleeps, .. }: &CheckedCodec) -> String {
    let what = if *sleeps { "connections that are awake" } else { "connections" };
    match max_sessions {
        Some(max) => {
            format!(", at most {max} {what}: it lives in the large pool (`large-sandboxes` under [server])")
        }
        None if !sleeps && server.awake_limit() < server.max_connections => {
            format!(
                ", at most {} connections: its sessions do not sleep (`max-awake` under [server])",
                server.awake_limit()
            )
        }
        None => String::new(),
    }
}

/// Returns the number of connections that the server accepts. If no session of any codec sleeps,
/// that is at most the number of places for sessions that are awake.
fn max_connections(config: &Config, checked: &[CheckedCodec]) -> u32 {
    let ServerConfig { max_connections, large_sandboxes, .. } = config.server;
    if checked.is_empty() || checked.iter().any(|codec| codec.sleeps) {
        return max_connections;
    }
    let has = |large: bool| checked.iter().any(|codec| codec.max_sessions.is_some() == large);
    let large = if has(true) { large_sandboxes } else { 0 };
    let standard = if has(false) { config.server.awake_limit() } else { 0 };
    max_connections.min(large.saturating_add(standard))
}

/// Describes the address of a control API, and who may change codecs through it.
fn control_api(control: &ControlConfig) -> String {
    match (&control.listen, &control.token_file) {
        (Some(address @ ControlAddress::Unix(_)), _) => address.to_string(),
        (Some(address), Some(file)) => format!("{address}, with the tokens in {}", file.display()),
        (Some(address), None) => format!("{address}, with a token that is generated"),
        (None, _) => "the default Unix socket of its user".to_owned(),
    }
}

fn source(codec: &CodecConfig) -> String {
    match (&codec.file, codec.builtin) {
        (Some(file), _) if file.to_str().is_some_and(|file| file.starts_with("nats://")) => {
            format!("{}, at which only a start looks: a check does not connect to NATS", file.display())
        }
        (Some(file), _) => file.display().to_string(),
        (None, Some(Builtin::Pomelo)) => "pomelo, built in".to_owned(),
        (None, Some(Builtin::Sio)) => "sio, built in".to_owned(),
        (None, None) => unreachable!("a configuration that was read says where its codecs are"),
    }
}
