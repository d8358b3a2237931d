//! The server of a game with a dictionary of 300 routes, for benchmarks with many connections.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use wireplug::codec::NativePomelo;
use wireplug::config::{CodecLimits, ServerConfig};
use wireplug::slot::SleepStatus;
use wireplug::{App, CodecSource, RunningServer, Server};

use super::ECHO;

/// The number of routes of the application, in addition to the echo.
const ROUTES: usize = 300;

/// The route of pushes.
pub const PUSH: &str = "onChat";

/// The group of all sessions.
pub const GROUP: &str = "everyone";

/// Whether idle sessions sleep.
pub enum Sleep {
    Never,
    After(Duration),
}

/// Starts a server with a sandbox for each session that is awake, or with the `native` codec.
pub async fn game(url: &str, native: bool, sleep: Sleep) -> anyhow::Result<RunningServer> {
    Ok(prepared(url, native, sleep)?.start().await?)
}

/// Returns the server of [`game`] before it starts.
pub fn prepared(url: &str, native: bool, sleep: Sleep) -> anyhow::Result<Server> {
    let routes: Vec<String> = (0..ROUTES).map(|number| format!("game.roomHandler.action{number}")).collect();
    let mut app = App::new()
        .route(ECHO, |body: Bytes| async move { body })
        .push_route(PUSH)
        .on_opened(|session| session.join(GROUP).expect("a name, and it is open"));
    for route in &routes {
        app = app.route(route, |body: Bytes| async move { body });
    }
    let codec = if native {
        let options = json!({ "routes": app.routes().iter().map(|route| &**route).collect::<Vec<_>>() });
        CodecSource::native(Arc::new(NativePomelo::new(&options.to_string())?))
    } else {
        let sleep_after = match sleep {
            Sleep::Never => Duration::ZERO,
            Sleep::After(idle) => idle,
        };
        // This is enough even if each of 10,000 guests writes to all memory that it has. They write
        // to far less.
        let limits = CodecLimits { total_memory: 16 << 30, sleep_after, ..CodecLimits::default() };
        CodecSource::pomelo(json!({})).limits(limits)
    };
    // All of them may be awake.
    let config = ServerConfig { max_connections: 11_000, max_awake: Some(11_000), ..ServerConfig::default() };
    Ok(Server::new(app).config(config).listen(url, codec))
}

/// Answers what benchmarks ask any such server.
pub fn answer(server: &RunningServer, asked: &str) -> String {
    let sleep = |count: fn(&SleepStatus) -> u64| {
        server.slots()[0].status().generations.iter().map(|generation| count(&generation.sleep)).sum::<u64>()
    };
    match asked {
        "ready" => {
            let all_ready = || server.sessions().group(GROUP).len() as u64 >= server.stats().connections_open;
            while !all_ready() {
                std::thread::sleep(Duration::from_micros(100));
            }
            String::new()
        }
        "asleep" => sleep(|sleep| sleep.asleep).to_string(),
        "woken" => sleep(|sleep| sleep.woken_packet).to_string(),
        _ => panic!("nobody knows `{asked}`"),
    }
}
