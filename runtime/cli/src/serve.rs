//! `wireplug serve`: starts the server that a configuration file describes, or without a file the
//! demo application with the codec and listeners that the options name.

use std::future::pending;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::task::AbortHandle;
use wireplug::admin::{ControlApi, HealthListener, RuntimeFolder};
use wireplug::config::{
    Builtin, BuiltinApp, CompileConfig, ControlAddress, ControlConfig, LogConfig, Problems,
};
use wireplug::events::Events;
use wireplug::upgrade::Takeover;
use wireplug::{
    App, CodecSource, Config, ConfigFile as _, Health, InheritedSocket, InheritedSockets, RunningServer,
    Server,
};

use super::output::Output;
use super::reload::ServedFile;
use super::signals::Signals;
use super::systemd::{Notifier, sockets};
use super::traces::Exporter;
use super::{cache, compile, counts, demo, log, progress, reload, upgrade};

/// The default address of the demo.
const DEMO: &str = "hybrid://127.0.0.1:3010";

#[derive(clap::Args, Default)]
pub(super) struct Args {
    /// A configuration file, in TOML: docs/configuration.md tells its keys. It names the
    /// application: services over HTTP or behind NATS, or the demo by `app = "demo"`. Without a
    /// file it is the demo.
    #[arg(conflicts_with_all = ["codec", "options", "allow_unused_wasi", "listen", "control"])]
    file: Option<PathBuf>,
    /// A codec, a WebAssembly component that implements codec.wit. Without it the built-in Pomelo
    /// codec serves.
    #[arg(long, value_name = "FILE.wasm")]
    codec: Option<PathBuf>,
    /// The codec's options, a JSON object. Its keys are the codec's own.
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    options: Option<Value>,
    /// Let in a codec that imports `wasi:*`, as libraries do that never call it: a call is a trap.
    #[arg(long, requires = "codec")]
    allow_unused_wasi: bool,
    /// Where to listen: tcp://HOST:PORT, ws://HOST:PORT, hybrid://HOST:PORT for both on one port,
    /// udp://HOST:PORT, unix:///PATH or pipe:///PATH. May be given more than once. TLS wants a
    /// configuration file.
    #[arg(long, value_name = "URL", default_value = DEMO)]
    listen: Vec<String>,
    /// Serve the control API, for `wireplug codec` and `wireplug status`: on the default Unix
    /// socket of this user, where they find it, or at unix:///PATH or http://IP:PORT. Over TCP each
    /// request needs a token, which is generated into a file; its path is printed. TLS wants a
    /// configuration file.
    #[arg(long, value_name = "URL", num_args = 0..=1)]
    control: Option<Option<ControlAddress>>,
    /// Take over from the process at the other end of standard input, in an upgrade. wireplug
    /// starts itself so.
    #[arg(long = upgrade::TAKE_OVER, hide = true)]
    take_over: bool,
}

/// The server to start.
struct Plan {
    server: Server,
    /// Whether the first listener speaks Pomelo and serves the demo.
    pomelo: bool,
    control: Option<ControlConfig>,
    /// The configuration file and its content, if there is one.
    file: Option<(ServedFile, Config)>,
}

fn parse_json(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

pub(super) async fn run(args: Args, output: &Output) -> anyhow::Result<()> {
    // Comes first: without a handler, a signal would end the process or be lost.
    let (mut signals, changes) = Signals::handle()?;
    let notifier = Notifier::from_env();
    let takeover = match args.take_over {
        true => Some(Takeover::from_stdin().await.context("this process cannot take over")?),
        false => None,
    };
    let inherited = match &takeover {
        Some(takeover) => takeover.sockets(),
        None => sockets::take()?,
    };
    let health = Health::default();
    let started = tokio::select! {
        started = start(args, output, &health, (inherited, takeover.clone())) => {
            if let (Err(error), Some(takeover)) = (&started, &takeover) {
                takeover.failed(&format!("{error:#}")).await;
            }
            started?
        }
        () = signals.end(|| output.say_only("the server starts: there are no counts yet")) => {
            output.say_only("stopping: the server has not started yet");
            return Ok(());
        }
    };
    let Started { server, pomelo, control, config, health_at, health_socket, answers_health, exporter } =
        started;
    let handle = control.as_ref().map(ControlApi::handle);
    server.set_upgrader(upgrade::Program::this(handle.clone(), health_socket)?);
    let over_http = config.as_ref().is_some_and(|config| config.app.is_none() && config.nats.is_none());
    greet(output, &server, (pomelo, over_http), control.as_ref(), health_at);
    notifier.spawn_watchdog();
    // If the process before takes its sessions back, the service goes on in it.
    let serves = async {
        server.taken_over().await;
        notifier.main_pid().await;
        pending().await
    };
    let mut controlled = Box::pin(async {
        match control {
            Some(control) => control.serve(&server).await,
            None => server.upgraded().await,
        }
    });
    let mut has_answered = false;
    tokio::select! {
        () = signals.end(|| counts::print(output, &server.stats())) => {}
        () = reload::at_hangup(changes.reload, &server, config.as_ref(), &notifier) => {}
        () = serves => {}
        () = notifier.report(|| status(&server, &health)) => {}
        () = &mut controlled => has_answered = true,
        () = upgrade::at_signal(changes.upgrade, &server) => {}
        () = server.upgraded() => {}
    }
    if server.is_upgraded() {
        // The service manager has heard of the other process already.
        output.say_only("another process has taken over: this one ends with its last session");
        // One of the two answers health checks.
        answers_health.end();
        // Requests that the control API has accepted are answered.
        let answered = async {
            if !has_answered {
                controlled.as_mut().await;
            }
        };
        let rest = async { tokio::join!(server.drain_rest(), answered) };
        tokio::select! {
            ((), ()) = rest => {}
            () = signals.end(|| counts::print(output, &server.stats())) => {}
        }
    } else {
        notifier.stopping().await;
        if let Some(handle) = handle.filter(|_| !has_answered) {
            // Its streams end, and who has sent a request gets the answer.
            tokio::select! {
                () = handle.stop() => {}
                () = controlled.as_mut() => {}
            }
        }
    }
    drop(controlled);
    output.say_only("stopping");
    let counts = server.shutdown().await;
    exporter.end().await;
    counts::print(output, &counts);
    Ok(())
}

/// Returns one line on the server, for the service manager.
fn status(server: &RunningServer, health: &Health) -> String {
    let (sessions, listeners) = (server.sessions().len(), server.urls().len());
    let plural = |count| if count == 1 { "" } else { "s" };
    let counts = format!("{sessions} session{}, {listeners} listener{}", plural(sessions), plural(listeners));
    match health.problem() {
        Some(problem) => format!("{counts}; not ready: {problem}"),
        None => counts,
    }
}

/// The task that answers at the port for health checks, if there is one.
#[derive(Default)]
struct AnswersHealth(Option<AbortHandle>);

impl AnswersHealth {
    fn begin(&mut self, listener: Option<HealthListener>, health: &Health) {
        if let Some(listener) = listener {
            self.0 = Some(tokio::spawn(listener.serve(health.clone())).abort_handle());
        }
    }

    fn end(self) {
        if let Some(task) = self.0 {
            task.abort();
        }
    }
}

/// A running server.
struct Started {
    server: RunningServer,
    pomelo: bool,
    control: Option<ControlApi>,
    config: Option<Config>,
    /// The address of the port for health checks.
    health_at: Option<SocketAddr>,
    /// The socket of that port, for a process that takes over.
    health_socket: Option<InheritedSocket>,
    answers_health: AnswersHealth,
    /// Sends the traces.
    exporter: Exporter,
}

/// Starts the server. The start is abandoned if the future is dropped, at any point.
async fn start(
    args: Args,
    output: &Output,
    health: &Health,
    (mut inherited, takeover): (InheritedSockets, Option<Takeover>),
) -> anyhow::Result<Started> {
    let streams = output.clone();
    // Runs on another thread, because it reads files that may be on a slow disk.
    let plan = tokio::task::spawn_blocking(move || match &args.file {
        Some(file) => configured(file, &streams),
        None => Ok(assembled(args, &streams)),
    });
    let Plan { server, pomelo, control, file } = plan.await.context("the start failed")??;
    let directory = file.as_ref().map_or(Path::new(""), |(file, _)| file.directory());
    let mut health_listener = match file.as_ref().and_then(|(_, config)| config.health.as_ref()) {
        Some(config) => Some(HealthListener::bind_with(config, &mut inherited)?),
        None => None,
    };
    let health_at = health_listener.as_ref().map(HealthListener::address);
    let health_socket = health_listener.as_ref().map(HealthListener::socket);
    let health_socket = health_socket.transpose().context("the port for health checks")?;
    // It answers until the process ends, also when the server has ended.
    let mut answers_health = AnswersHealth::default();
    if takeover.is_none() {
        answers_health.begin(health_listener.take(), health);
    }
    let control = match &control {
        Some(control) => Some(ControlApi::bind_with(control, directory, &mut inherited).await?),
        None => None,
    };
    let (exporter, traces) = Exporter::start()?;
    let server = match takeover {
        Some(takeover) => server.taking_over(takeover),
        None => server,
    };
    let server = server
        .inherit_sockets(inherited)
        .traces(traces)
        .health(health.clone())
        .compiler(compile::compiler())
        .on_compiling(progress::shown(output.is_text()))
        .start()
        .await?;
    // Until now the old process has answered.
    answers_health.begin(health_listener, health);
    let config = match file {
        Some((file, config)) => {
            server.set_config_file(file).await;
            Some(config)
        }
        None => None,
    };
    Ok(Started { server, pomelo, control, config, health_at, health_socket, answers_health, exporter })
}

/// Reads a configuration file, and gives a hint if it is a codec.
pub(super) fn read(file: &Path) -> anyhow::Result<Config> {
    if file.extension().is_some_and(|extension| extension == "wasm") {
        let file = file.display();
        bail!("{file} is a codec and no configuration: wireplug serve --codec {file}");
    }
    Ok(Config::load_standalone(file)?)
}

/// Plans the server that a configuration file describes.
fn configured(file: &Path, output: &Output) -> anyhow::Result<Plan> {
    let config = match read(file) {
        Ok(config) => config,
        Err(error) => {
            // Sets the format even if the file has mistakes, so that programs that read the log get
            // only one format.
            log::format_in(file).into_iter().for_each(|format| output.set_format(format));
            return Err(error);
        }
    };
    let events = config.control.as_ref().map(|_| Events::default());
    let log = log::start_to(output, &config.log, events.clone());
    let server = from_config(&config, file)?.events(events.unwrap_or_default());
    let first = config.listeners.first().and_then(|listener| listener.codec.as_ref());
    let pomelo = first
        .and_then(|name| config.codecs.get(name))
        .is_some_and(|codec| codec.builtin == Some(Builtin::Pomelo) && config.app.is_some());
    Ok(Plan {
        server,
        pomelo,
        control: config.control.clone(),
        file: Some((ServedFile { file: file.to_owned(), log }, config)),
    })
}

/// Builds the server that a configuration file describes, with the application that it names.
pub(super) fn from_config(config: &Config, file: &Path) -> Result<Server, Problems> {
    let server = match config.app {
        Some(app @ BuiltinApp::Demo) => Server::new(demo::app()).builtin_app(app),
        // Without `app`, services are the application.
        None => Server::new(App::new()),
    };
    let compile = CompileConfig { cache: cache::directory(), ..CompileConfig::default() };
    server.compile(compile).configured(config, directory(file))
}

/// Returns the directory that paths in a configuration file are relative to.
pub(super) fn directory(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

/// Plans the server that the options describe.
fn assembled(args: Args, output: &Output) -> Plan {
    let events = args.control.as_ref().map(|_| Events::default());
    log::start_to(output, &LogConfig::default(), events.clone());
    let listen = if args.listen.is_empty() { vec![DEMO.to_owned()] } else { args.listen };
    let codec = match &args.codec {
        Some(file) => CodecSource::file(file, args.options.unwrap_or_else(|| json!({})))
            .allow_unused_wasi(args.allow_unused_wasi),
        None => CodecSource::pomelo(args.options.unwrap_or_else(|| json!({ "heartbeat": 30 }))),
    };
    let compile = CompileConfig { cache: cache::directory(), ..CompileConfig::default() };
    let server = Server::new(demo::app()).compile(compile).events(events.unwrap_or_default());
    let server = listen.iter().fold(server, |server, url| server.listen(url, codec.clone()));
    let control = args.control.map(|address| address.map_or_else(ControlConfig::default, ControlConfig::at));
    Plan { server, pomelo: args.codec.is_none(), control, file: None }
}

/// Prints where clients reach the server, and which commands to try next.
fn greet(
    output: &Output,
    server: &RunningServer,
    (pomelo, over_http): (bool, bool),
    control: Option<&ControlApi>,
    health_at: Option<SocketAddr>,
) {
    let fields = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "node": server.nodes().own_name(),
        "listeners": server.urls(),
        "control": control.map(|control| control.address().to_string()),
        "console": control.and_then(|control| console_url(&control.address())),
        "token_file": control.and_then(ControlApi::generated_token),
        "health": health_at.map(|address| format!("http://{address}")),
    });
    output.say(
        greeting(server, (pomelo, over_http), control, health_at).join("\n"),
        "the server has started",
        fields,
    );
}

/// Returns where browsers find the console. They cannot connect to a Unix socket.
fn console_url(control: &ControlAddress) -> Option<String> {
    control.tcp().map(|_| format!("{control}/console/"))
}

/// Returns the lines of the greeting, for people.
fn greeting(
    server: &RunningServer,
    (pomelo, over_http): (bool, bool),
    control: Option<&ControlApi>,
    health_at: Option<SocketAddr>,
) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |line| lines.push(line);
    let version = env!("CARGO_PKG_VERSION");
    match server.nodes().own_name() {
        Some(node) => add(format!("wireplug {version} serves services behind NATS, as node {node}")),
        None if over_http => add(format!("wireplug {version} serves services over HTTP")),
        None => add(format!("wireplug {version} serves the demo application")),
    }
    for url in server.urls() {
        add(format!("  {url}"));
    }
    if let Some(control) = control {
        let address = control.address();
        match &address {
            ControlAddress::Unix(path) if *path == RuntimeFolder::default_socket() => {
                add(format!("  {address}, the control API: wireplug codec list"));
            }
            _ => add(format!("  {address}, the control API: wireplug codec list --control {address}")),
        }
        if let Some(console) = console_url(&address) {
            add(format!("  {console}, the console in the browser"));
        }
        if let Some(token) = control.generated_token() {
            add(format!("  {}, the token of the control API", token.display()));
        }
    }
    if let Some(address) = health_at {
        add(format!("  http://{address}/readyz, the health check"));
    }
    add(format!("  process {}: SIGUSR1 prints the counts, SIGHUP reloads, Ctrl-C stops", std::process::id()));
    let urls = server.urls();
    let Some(url) = urls.first().filter(|_| pomelo) else {
        return lines;
    };
    let (tcp, ws) = match url.split_once("://") {
        Some(("hybrid", address)) => (format!("tcp://{address}"), format!("ws://{address}")),
        Some(("hybrid+tls", address)) => (format!("tls://{address}"), format!("wss://{address}")),
        Some(("tcp" | "ws" | "tls" | "wss" | "unix" | "udp", _)) => (url.clone(), url.clone()),
        // `wireplug call` does not support this transport.
        _ => return lines,
    };
    let program =
        std::env::current_exe().map_or_else(|_| "wireplug".to_owned(), |path| path.display().to_string());
    add(format!(
        "\nTry it from another terminal, where `wireplug` is {program}:
  wireplug call {tcp} connector.entryHandler.echo '{{\"hello\":\"wörld 😀\"}}'
  wireplug call {ws} connector.entryHandler.time
  wireplug call {ws} chat.chatHandler.join '{{\"name\":\"ann\"}}' --listen
  wireplug call {tcp} chat.chatHandler.join '{{\"name\":\"bob\"}}' --then chat.chatHandler.send '{{\"text\":\"hi\"}}'\n"
    ));
    lines
}
