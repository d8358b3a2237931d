//! SIGHUP: a server at work takes over what has changed.

use std::path::{Path, PathBuf};

use tokio::signal::unix::Signal;
use tracing::{error, info, warn};
use wireplug::config::Config;
use wireplug::server::{Reloaded, RunningServer};

use super::serve::directory;

/// At each signal: reads the configuration file again, and takes over what it says of the codecs; without one,
/// reads each codec's own file again. Never returns.
pub(super) async fn at_hangup(mut hangup: Signal, server: &RunningServer, file: Option<&(PathBuf, Config)>) {
    loop {
        hangup.recv().await;
        match file {
            Some((file, started_with)) => configuration(server, file, started_with).await,
            None => {
                let done = server.reload_codecs().await;
                done.iter().for_each(|(slot, reloaded)| log(slot, reloaded));
            }
        }
    }
}

async fn configuration(server: &RunningServer, file: &Path, started_with: &Config) {
    let config = match Config::load_standalone(file) {
        Ok(config) => config,
        Err(problems) => return error!("nothing is reloaded, all goes on as before:\n{problems}"),
    };
    match server.reload(&config, directory(file)).await {
        Ok(done) => done.iter().for_each(|(slot, reloaded)| log(slot, reloaded)),
        Err(problems) => return error!("nothing is reloaded, all goes on as before:\n{problems}"),
    }
    for key in started_with.needs_restart(&config) {
        warn!(file = %file.display(), %key, "this has changed, and needs a restart");
    }
}

fn log(slot: &str, reloaded: &Reloaded) {
    match reloaded {
        Ok(Some(report)) => info!(slot, from = report.from, to = report.to, "reloaded"),
        Ok(None) => info!(slot, "reloaded: nothing has changed"),
        Err(error) => {
            let error = format!("{error:#}");
            error!(slot, error, "it cannot be reloaded, and goes on as before");
        }
    }
}
