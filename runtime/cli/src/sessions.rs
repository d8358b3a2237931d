//! `wireplug sessions`: lists the sessions of a server, or shows one in full.

use bytes::Bytes;
use hyper::Method;
use wireplug::status::{SessionDetails, SessionPage, SessionStatus, SessionSummary};

use super::control::{Ask, Control};
use super::table::table;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The number of a session, which is shown in full.
    #[arg(conflicts_with_all = ["user", "address", "codec", "generation", "listener", "group", "state",
        "idle_over", "limit", "after"])]
    id: Option<u64>,
    /// Only sessions of this user.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only sessions from this IP address, or the one from this IP:PORT.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Only sessions of this codec.
    #[arg(long, value_name = "NAME")]
    codec: Option<String>,
    /// Only sessions on this generation of their codec.
    #[arg(long, value_name = "NUMBER")]
    generation: Option<u64>,
    /// Only sessions of the listener at this URL, as `wireplug serve` prints it.
    #[arg(long, value_name = "URL")]
    listener: Option<String>,
    /// Only sessions of this group.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Only sessions in this state: opening, awake, asleep or closing.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only sessions on which nothing has passed for longer than this time, such as 5m.
    #[arg(long, value_name = "TIME")]
    idle_over: Option<String>,
    /// The most sessions that are listed, at most 1000.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    /// Only sessions with numbers above this one: the next page.
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
    #[command(flatten)]
    control: Control,
}

const HEAD: [&str; 11] =
    ["SESSION", "USER", "PEER", "TRANSPORT", "CODEC", "STATE", "OPEN", "IDLE", "PACKETS IN", "OUT", "GROUPS"];

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    if let Some(id) = args.id {
        let id = id.to_string();
        let ask = Ask { method: Method::GET, path: &["sessions", &id], query: &[], body: Bytes::new() };
        args.control.print(ask, details).await?;
        return Ok(());
    }
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let query = [
        ("user", args.user),
        ("address", args.address),
        ("codec", args.codec),
        ("generation", number(args.generation)),
        ("listener", args.listener),
        ("group", args.group),
        ("state", args.state),
        ("idle-over", args.idle_over),
        ("limit", Some(args.limit.to_string())),
        ("after", number(args.after)),
    ];
    let query: Vec<_> = query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let ask = Ask { method: Method::GET, path: &["sessions"], query: &query, body: Bytes::new() };
    args.control.print(ask, page).await?;
    Ok(())
}

fn page(page: &SessionPage) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(page.sessions.iter().map(row));
    let mut text = table(&rows);
    if let Some(next) = page.next {
        text += &format!("there are more: --after {next}\n");
    }
    text
}

fn row(session: &SessionSummary) -> [String; 11] {
    [
        session.id.to_string(),
        session.user.clone().unwrap_or_else(|| "-".to_owned()),
        or_none(&session.peer),
        session.transport.clone(),
        format!("{}#{}", session.codec, session.generation),
        state(session.state).to_owned(),
        super::status::up(session.opened_seconds as u64),
        super::status::up(session.idle_seconds as u64),
        session.packets_in.to_string(),
        session.packets_out.to_string(),
        or_none(&session.groups.join(", ")),
    ]
}

fn details(session: &SessionDetails) -> String {
    let SessionDetails { summary, .. } = session;
    let list = |pairs: Vec<String>| or_none(&pairs.join(", "));
    let attributes = session.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let settings = session.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let lines = [
        ("session", summary.id.to_string()),
        ("user", summary.user.clone().unwrap_or_else(|| "-".to_owned())),
        ("groups", or_none(&summary.groups.join(", "))),
        ("settings", list(settings)),
        ("peer", format!("{} over {}", or_none(&summary.peer), summary.transport)),
        ("attributes", list(attributes)),
        ("listener", summary.listener.clone()),
        ("codec", format!("{}, generation {}", summary.codec, summary.generation)),
        ("state", state(summary.state).to_owned()),
        ("open", format!("for {}", super::status::up(summary.opened_seconds as u64))),
        ("idle", format!("for {}", super::status::up(summary.idle_seconds as u64))),
        ("packets", format!("{} in, {} out", summary.packets_in, summary.packets_out)),
        ("bytes", format!("{} in, {} out", summary.bytes_in, summary.bytes_out)),
        ("messages", format!("{} in, {} out", session.messages_in, session.messages_out)),
        (
            "dropped",
            format!(
                "{} packets rejected, {} messages refused, {} pushes overflowed",
                session.rejected, session.refused, session.overflowed
            ),
        ),
        (
            "requests",
            format!(
                "{} of the client in flight, {} to the client open",
                session.in_flight, session.client_requests
            ),
        ),
        (
            "outbox",
            format!(
                "{} messages, {} bytes; {} bytes wait in all",
                session.outbox_messages, session.outbox_bytes, session.waiting_bytes
            ),
        ),
        ("codec time", format!("{:.1} ms", session.codec_ms)),
    ];
    let rows: Vec<_> = lines.map(|(name, value)| [name.to_owned(), value]).into();
    table(&rows)
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

fn state(state: SessionStatus) -> &'static str {
    match state {
        SessionStatus::Opening => "opening",
        SessionStatus::Awake => "awake",
        SessionStatus::Asleep => "asleep",
        SessionStatus::Closing => "closing",
        _ => "unknown",
    }
}
