//! Reloads the configuration or the codecs of a running server at SIGHUP.

use std::path::{Path, PathBuf};

use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};
use wireplug::config::NatsConfig;
use wireplug::slot::{SwapError, SwapReport};
use wireplug::{Config, RunningServer};

use super::serve::directory;

/// At each signal, reads the configuration file again and applies its codecs. Without a
/// configuration file, reads each codec's own file again. Never returns.
pub(super) async fn at_hangup(mut hangup: Signal, server: &RunningServer, file: Option<&(PathBuf, Config)>) {
    loop {
        hangup.recv().await;
        match file {
            Some((file, started_with)) => configuration(server, file, started_with).await,
            None => {
                let done = server.reload_codecs().await;
                done.into_iter().for_each(|(slot, reloaded)| log(&slot, reloaded));
            }
        }
    }
}

async fn configuration(server: &RunningServer, file: &Path, started_with: &Config) {
    let path = file.to_owned();
    // Runs on another thread, because the disk may be slow and the server must still handle the
    // signal to stop.
    let loaded = spawn_blocking(move || Config::load_standalone(&path)).await;
    let config = match loaded.map_err(|error| error.to_string()) {
        Ok(Ok(config)) => config,
        Ok(Err(problems)) => return error!("nothing is reloaded, all goes on as before:\n{problems}"),
        Err(why) => return error!("nothing is reloaded, all goes on as before: {why}"),
    };
    match server.reload(&config, directory(file)).await {
        Ok(done) => done.into_iter().for_each(|(slot, reloaded)| log(&slot, reloaded)),
        Err(problems) => return error!("nothing is reloaded, all goes on as before:\n{problems}"),
    }
    if let Some(files) = read_elsewhere(started_with) {
        info!("{files}");
    }
    for key in started_with.needs_restart(&config) {
        warn!(file = %file.display(), %key, "this has changed, and needs a restart");
    }
}

/// Returns a note about the files that a reload does not read, and when they are read instead.
fn read_elsewhere(config: &Config) -> Option<String> {
    let tls = config.listeners.iter().any(|listener| listener.tls.is_some());
    let tls = tls.then_some("those of TLS are looked at all the time");
    let nats = config.nats.as_ref().is_some_and(NatsConfig::has_files);
    let nats = nats.then_some("those of [nats] are read at each connect, and the connection stays as it is");
    let control = config.control.as_ref();
    let control = control.is_some_and(|it| it.token_file.is_some() || it.read_token_file.is_some());
    let control = control.then_some("the tokens of [control] need a restart");
    let parts: Vec<_> = [tls, nats, control].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("files that a reload does not read: {}", parts.join("; ")))
}

fn log(slot: &str, reloaded: Result<Option<SwapReport>, SwapError>) {
    match reloaded {
        Ok(Some(report)) => info!(slot, from = report.from, to = report.to, "reloaded"),
        Ok(None) => info!(slot, "reloaded: nothing has changed of the codec"),
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            error!(slot, error, "it cannot be reloaded, and goes on as before");
        }
    }
}
