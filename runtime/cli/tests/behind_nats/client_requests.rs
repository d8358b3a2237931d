//! The requests of services to clients, and which answers services get.

use std::time::Duration;

use async_nats::{Client as Nats, HeaderMap, Message};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use wireplug::config::{ClientLimits, NatsConfig, ServerConfig, ServiceConfig};
use wireplug::{App, CodecSource, Listener, RunningServer, Server};
use wireplug_tests::digits::{Digits, Form, frame};
use wireplug_tests::nats::NatsServer;
use wireplug_tests::within;
use wireplug_tests::{until, versions};

use super::{address, echo_headers, serve};

/// The most requests to one client that may be open.
const MAX: usize = 2;

/// A node with a client that can be asked, and a service.
struct Scene {
    // Declared before the server, so that the connections are dropped before it.
    service: Nats,
    node: RunningServer,
    client: Digits,
    /// The address of the client's session.
    session: String,
    _nats: NatsServer,
}

/// What a service gets: the status and the body of the client's response, or a code and a reason.
type Outcome = Result<(u16, String), (u16, String)>;

impl Scene {
    async fn new(request_timeout: Duration) -> Self {
        let nats = NatsServer::start();
        let service = nats.client().await;
        serve(&service, "wireplug.requests.chat.>", echo_headers).await;
        let node = node(&nats, request_timeout).await;
        let mut client = Digits::connect(&node.urls()[0]).await;
        client.send(Form::Text.write(&frame("REQ", 1, "chat.any.who", ""))).await;
        let headers: Value = serde_json::from_slice(&client.next().await.body).expect("JSON");
        let session = headers["Wireplug-Session"].as_str().expect("a session has an address").to_owned();
        Self { service, node, client, session, _nats: nats }
    }

    /// Sends a request to the client.
    fn ask(&self, body: &'static str, headers: &[(&'static str, &str)]) -> JoinHandle<Outcome> {
        self.ask_target(&format!("session.{}", self.session), body, headers)
    }

    fn ask_target(
        &self,
        target: &str,
        body: &'static str,
        headers: &[(&'static str, &str)],
    ) -> JoinHandle<Outcome> {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|&(name, value)| map.insert(name, value));
        let (nats, subject) = (self.service.clone(), format!("wireplug.clients.request.{target}"));
        tokio::spawn(async move {
            let reply = nats.request_with_headers(subject, map, body.into()).await;
            outcome(&reply.expect("the node replies"))
        })
    }

    /// Sends a request with a route, and waits until the client has it.
    async fn asked(&mut self, id: u32, headers: &[(&'static str, &str)]) -> JoinHandle<Outcome> {
        let asked = self.ask(r#""2.1""#, &[&[("Wireplug-Route", "firmware.update")], headers].concat());
        assert_eq!(self.client.next().await, frame("REQ", id, "firmware.update", r#""2.1""#));
        asked
    }

    /// Sends the client's answer to a request.
    async fn answer(&mut self, id: u32, status: &str, body: &str) {
        self.client.send(Form::Text.write(&frame("RES", id, status, body))).await;
    }
}

/// Starts a node. Clients of its first listener can be asked, and those of its second one cannot.
async fn node(nats: &NatsServer, client_request_timeout: Duration) -> RunningServer {
    wireplug_tests::log::init();
    let digits = CodecSource::bytes("digits", versions::DIGITS, json!({}));
    let mut listener = Listener::new("tcp://127.0.0.1:0", digits);
    listener.limits =
        ClientLimits { client_request_timeout, max_client_requests: MAX, ..ClientLimits::default() };
    let server = Server::new(App::new())
        .config(ServerConfig { max_connections: 50, ..ServerConfig::default() })
        .nats(NatsConfig::at(&nats.url()))
        .services([("chat", ServiceConfig::default())])
        .listener(listener)
        .listen("tcp://127.0.0.1:0", CodecSource::pomelo(json!({})));
    server.start().await.expect("it starts")
}

fn outcome(reply: &Message) -> Outcome {
    let header = |name| reply.headers.as_ref().and_then(|headers| headers.get(name)).map(|it| it.as_str());
    let number = |text: &str| text.parse().expect("a number");
    match header("Nats-Service-Error-Code") {
        Some(code) => Err((number(code), header("Nats-Service-Error").expect("a reason").to_owned())),
        None => {
            let status = header("Wireplug-Status").expect("the status of the response");
            Ok((number(status), String::from_utf8_lossy(&reply.payload).into_owned()))
        }
    }
}

async fn result(asked: JoinHandle<Outcome>) -> Outcome {
    within("the reply", asked).await.expect("no panic")
}

/// Expects an error with this code, and returns its reason.
async fn error(asked: JoinHandle<Outcome>, code: u16) -> String {
    let (got, why) = result(asked).await.expect_err("there is no response");
    assert_eq!(got, code, "{why}");
    why
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_find_their_services_in_any_order() {
    let mut scene = Scene::new(Duration::from_secs(60)).await;
    let first = scene.asked(1, &[]).await;
    let second = scene.asked(2, &[]).await;
    scene.answer(2, "200", "the second").await;
    assert_eq!(result(second).await, Ok((200, "the second".to_owned())));
    // A status of a client is no error of a service.
    scene.answer(1, "507", "the first").await;
    assert_eq!(result(first).await, Ok((507, "the first".to_owned())));
    assert_eq!(scene.node.stats().drops, [].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_answer_and_none_are_answered_with_504() {
    let mut scene = Scene::new(Duration::from_millis(500)).await;
    // Without the header, the time of the listener counts.
    for (id, timeout) in [(1, Some("300")), (2, None)] {
        let header = timeout.map(|ms| ("Wireplug-Timeout", ms));
        let asked = scene.asked(id, header.as_slice()).await;
        assert_eq!(error(asked, 504).await, "the client did not answer in time");
        assert_eq!(scene.client.next().await, frame("CAN", id, "", ""));
    }
    let third = scene.asked(3, &[("Wireplug-Timeout", "60000")]).await;
    scene.answer(1, "200", "late").await;
    scene.answer(9, "200", "nobody asked").await;
    scene.answer(3, "200", "the third").await;
    assert_eq!(result(third).await, Ok((200, "the third".to_owned())));
    let counted = || async { scene.node.stats().drops == [("late", 1), ("unknown", 1)].into() };
    until("what answers nothing to be counted", counted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_gone_is_answered_with_404() {
    let mut scene = Scene::new(Duration::from_secs(60)).await;
    let open = scene.asked(1, &[]).await;
    let bye = Form::Text.write(&frame("BYE", 0, "", ""));
    scene.client.send(bye).await;
    assert_eq!(error(open, 404).await, "the session is closed");
    until("the session to be gone", || async { scene.node.sessions().is_empty() }).await;
    let route = [("Wireplug-Route", "firmware.update")];
    assert_eq!(error(scene.ask("", &route), 404).await, "the session has ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_is_answered_with_why() {
    let mut scene = Scene::new(Duration::from_secs(60)).await;
    let route = ("Wireplug-Route", "firmware.update");
    let wrong: [(&[_], _); 4] = [
        (&[], "Wireplug-Route"),
        (&[route, ("Wireplug-Timeout", "0")], "Wireplug-Timeout"),
        (&[route, ("Wireplug-Timeout", "1 s")], "Wireplug-Timeout"),
        (&[("Wireplug-Route", "with spaces")], "the codec cannot send the request: the route is not"),
    ];
    for (headers, reason) in wrong {
        let why = error(scene.ask("", headers), 400).await;
        assert!(why.contains(reason), "{why}");
    }
    for target in ["user.ann", "group.room", "all"] {
        let why = error(scene.ask_target(target, "", &[route]), 400).await;
        assert_eq!(why, "a request goes to one session only");
    }
    // None of them counts among the open requests.
    let open = [scene.asked(2, &[]).await, scene.asked(3, &[]).await];
    let why = error(scene.ask("", &[route]), 429).await;
    assert!(why.starts_with("2 requests to this client wait for a response"), "{why}");
    for (id, asked) in [2, 3].into_iter().zip(open) {
        scene.answer(id, "200", "").await;
        assert_eq!(result(asked).await, Ok((200, String::new())));
    }

    let mut other = wireplug_tests::client::Client::connect(&scene.node.urls()[1]).await;
    let target = format!("session.{}", address(&mut other).await);
    let why = error(scene.ask_target(&target, "", &[route]), 501).await;
    assert_eq!(why, "the protocol of this session has no requests to the client");
}
