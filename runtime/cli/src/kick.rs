//! `wireplug kick`: ends sessions of a server.

use bytes::Bytes;
use hyper::Method;
use wireplug::admin::Kicked;

use super::control::{Ask, Control};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    who: Who,
    /// The reason, for the client and the log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    control: Control,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Who {
    /// The session with this number.
    #[arg(long, value_name = "ID")]
    session: Option<u64>,
    /// All sessions of this user on this node.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// All sessions from this IP address, or the one from this IP:PORT.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
}

pub(super) async fn run(Args { who, reason, control }: Args) -> anyhow::Result<()> {
    let Who { session, user, address } = who;
    let id = session.map(|id| id.to_string());
    let path: Vec<&str> = ["sessions"].into_iter().chain(id.as_deref()).collect();
    let query = [("user", &user), ("address", &address), ("reason", &reason)];
    let query: Vec<_> =
        query.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    let ask = Ask { method: Method::DELETE, path: &path, query: &query, body: Bytes::new() };
    control.print(ask, |kicked: &Kicked| count(kicked.kicked)).await?;
    Ok(())
}

fn count(kicked: usize) -> String {
    match kicked {
        1 => "1 session was kicked".to_owned(),
        _ => format!("{kicked} sessions were kicked"),
    }
}
