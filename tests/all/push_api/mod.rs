//! The push API: what services over HTTP do with clients. `docs/http-services.md` is the contract.

mod commands;
mod connections;
mod requests;
mod stream;

use std::sync::Arc;

use serde_json::json;
use wireplug::admin::{ControlApi, ControlHandle};
use wireplug::config::{ClientLimits, ControlAddress, ControlConfig, ServerConfig};
use wireplug::status::MetricsFormat;
use wireplug::{App, CodecSource, Listener, RunningServer, Server, Session};
use wireplug_tests::client::Client;
use wireplug_tests::folder::Folder;
use wireplug_tests::push_api::PushClient;
use wireplug_tests::{log, server, until, versions};

/// A token of each role.
const PUSH: &str = "push-push-push-push";
const READ: &str = "read-read-read-read";
const ADMIN: &str = "admin-admin-admin";

/// The most requests to one client that may be open.
const MAX_REQUESTS: usize = 2;

/// A server with its control API.
struct Scene {
    server: Arc<RunningServer>,
    /// The address of the control API, IP:PORT.
    control: String,
    handle: ControlHandle,
    /// The name of the server in the addresses of its sessions.
    node: String,
    _folder: Folder,
}

impl Scene {
    /// Starts a server whose first listener speaks Pomelo. Clients of the second one can be asked.
    async fn new(name: &str) -> Self {
        log::init();
        let digits = CodecSource::bytes("digits", versions::DIGITS, json!({}));
        let mut asked = Listener::new("tcp://127.0.0.1:0", digits);
        asked.limits = ClientLimits { max_client_requests: MAX_REQUESTS, ..server::setup().client };
        let server = Server::new(App::new())
            .config(ServerConfig { max_connections: 50, ..ServerConfig::default() })
            .compile(server::setup().compile)
            .listen("tcp://127.0.0.1:0", CodecSource::pomelo(json!({})))
            .listener(asked);
        let server = Arc::new(server.start().await.expect("it starts"));
        let folder = Folder::new(name);
        let mut config = ControlConfig::at(ControlAddress::Http(([127, 0, 0, 1], 0).into()));
        let tokens = format!("operator admin {ADMIN}\ndashboard read {READ}\nchat push {PUSH}\n");
        config.token_file = Some(folder.write_secret("tokens", tokens));
        let api = ControlApi::bind(&config, folder.root()).await.expect("it can be bound");
        let ControlAddress::Http(address) = api.address() else { panic!("it is bound over TCP") };
        let handle = api.handle();
        let served = Arc::clone(&server);
        tokio::spawn(async move { api.serve(&served).await });
        let control = address.to_string();
        // A service knows its node by the headers of requests. Without one, an error names it.
        let why = PushClient::connect(&control, PUSH).await.refused("unbind/session/x.1", &[], "", 404).await;
        let node = why.split("this is ").nth(1).and_then(|rest| rest.split(',').next()).expect("a name");
        Self { server, control, handle, node: node.to_owned(), _folder: folder }
    }

    async fn pusher(&self) -> PushClient {
        PushClient::connect(&self.control, PUSH).await
    }

    /// Connects a client. Returns it with its session, and the address of the session.
    async fn client(&self) -> (Client, Session, String) {
        let mut client = Client::connect(&self.server.urls()[0]).await;
        // The server answers only when its side of the handshake is over, too.
        client.call("nothing.answers", &json!({})).await;
        let (session, address) = self.latest();
        (client, session, address)
    }

    /// Returns the session that was opened last, with its address.
    fn latest(&self) -> (Session, String) {
        let sessions = self.server.sessions().all().sessions();
        let session = sessions.into_iter().max_by_key(Session::id).expect("a session");
        let address = format!("{}.{}", self.node, session.id());
        (session, address)
    }

    /// Returns how many commands with this verb were answered with this code.
    fn counted(&self, verb: &str, code: u16) -> u64 {
        let text = self.server.metrics(MetricsFormat::Prometheus);
        let series = format!("wireplug_client_commands_total{{verb=\"{verb}\",code=\"{code}\"}} ");
        let count = text.lines().find_map(|line| line.strip_prefix(&series));
        count.map_or(0, |count| count.parse().expect("a number"))
    }

    async fn until_gone(&self) {
        until("the sessions to be gone", || async { self.server.sessions().is_empty() }).await;
    }
}
