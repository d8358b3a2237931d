//! Serves the applications of `guest-examples`: the part that all of them share.

use std::env;
use std::future::pending;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use wireplug::admin::ControlApi;
use wireplug::{App, Config, Server};

/// Serves an application as the configuration file in the first argument says, until Ctrl-C.
/// Prints the URLs of its listeners and of its control API once
/// clients can connect.
///
/// # Errors
/// Returns an error if the argument is missing, if the file has mistakes, or if the server cannot
/// start.
pub async fn serve<S: Clone + Send + Sync + 'static>(app: App<S>) -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let file: PathBuf = env::args_os().nth(1).context("which configuration file? Give its path")?.into();
    let folder = file.parent().unwrap_or(Path::new(""));
    let config = Config::load(&file)?;
    let server = Server::from_config(app, &config, folder)?.start().await?;
    let control = match &config.control {
        Some(control) => Some(ControlApi::bind(control, folder).await?),
        None => None,
    };
    for url in server.urls() {
        println!("{url}");
    }
    if let Some(control) = &control {
        println!("{}, the control API", control.address());
    }
    let controlled = async {
        match control {
            Some(control) => control.serve(&server).await,
            None => pending().await,
        }
    };
    tokio::select! {
        ended = tokio::signal::ctrl_c() => ended?,
        () = controlled => {}
    }
    server.shutdown().await;
    Ok(())
}
