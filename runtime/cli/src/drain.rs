//! `wireplug drain`: takes a server out of service.

use bytes::Bytes;
use hyper::Method;
use wireplug::DrainReport;

use super::control::{Ask, Control};

/// Makes the readiness of a server red, closes its listeners, and then its sessions over the time
/// of `server.drain-spread`. Returns when they have ended. The server goes on answering its
/// control API and its health checks.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Accept clients for this time still, such as 5s, while the readiness is red already: load
    /// balancers notice that before the listeners close. At most 10m.
    #[arg(long, value_name = "TIME")]
    wait: Option<String>,
    /// End the process afterwards.
    #[arg(long)]
    exit: bool,
    #[command(flatten)]
    control: Control,
}

pub(super) async fn run(Args { wait, exit, control }: Args) -> anyhow::Result<()> {
    let exit_text = exit.to_string();
    let query: Vec<_> =
        wait.as_deref().map(|wait| ("wait", wait)).into_iter().chain([("exit", &*exit_text)]).collect();
    let ask = Ask { method: Method::POST, path: &["drain"], query: &query, body: Bytes::new() };
    control.print(ask, |report| show(report, exit)).await?;
    Ok(())
}

fn show(report: &DrainReport, exit: bool) -> String {
    let sessions = match report.sessions {
        1 => "1 session was closed".to_owned(),
        many => format!("{many} sessions were closed"),
    };
    let left = match report.connections_left {
        0 => "no connection is left".to_owned(),
        1 => "1 connection is left".to_owned(),
        many => format!("{many} connections are left"),
    };
    let process = if exit { "the server ends" } else { "the process runs until it is stopped" };
    format!("drained: {sessions}, {left}; {process}")
}
