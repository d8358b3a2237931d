//! The application side: the arguments of handlers, filters, and the order of requests.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use wireplug::app::{Error, Handler as _, Json, Peer, Request, Response, State, filter};
use wireplug::config::{ServerConfig, SessionsPerUser};
use wireplug::session::SessionEvent;
use wireplug::{App, Session, Sessions, User};
use wireplug_tests::client::Client;
use wireplug_tests::server::{self, Setup, TestServer};

async fn serve<S>(app: App<S>) -> TestServer {
    server::pomelo(app, json!({})).await
}

fn code(code: u16) -> Value {
    json!({ "code": code })
}

async fn nothing() {}

/// Adds a route whose handlers each wait for a permit. Returns the application and the semaphore.
fn gated(app: App, route: &str, concurrent: bool) -> (App, Arc<Semaphore>) {
    let permits = Arc::new(Semaphore::new(0));
    let opens = Arc::clone(&permits);
    let handler = move |body: Bytes| {
        let opens = Arc::clone(&opens);
        async move {
            opens.acquire().await?.forget();
            Ok::<_, Error>(body)
        }
    };
    let app = if concurrent { app.route(route, handler.concurrent()) } else { app.route(route, handler) };
    (app, permits)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_get_what_they_ask_for() {
    let app = App::with_state(Arc::new(AtomicUsize::new(40)))
        .route("a.a.state", |State(count): State<Arc<AtomicUsize>>| async move {
            Json(count.fetch_add(1, Ordering::SeqCst))
        })
        .route("a.a.peer", |Peer(client): Peer| async move { Json(client.transport) })
        .route("a.a.bind", |Json(name): Json<User>, session: Session| async move {
            session.bind(&name).map_err(Error::from)
        })
        .route("a.a.user", |user: User| async move { Json(user) })
        .route("a.a.perhaps", |user: Option<User>| async move { Json(user) });
    let server = serve(app).await;
    let mut ann = Client::connect(&server.ws()).await;
    assert_eq!(ann.call("a.a.state", &json!({})).await, json!(40));
    assert_eq!(ann.call("a.a.state", &json!({})).await, json!(41));
    assert_eq!(ann.call("a.a.peer", &json!({})).await, json!("ws"));
    assert_eq!(ann.call("a.a.user", &json!({})).await, code(401));
    assert_eq!(ann.call("a.a.perhaps", &json!({})).await, json!(null));
    for wrong in [json!(""), json!("a\nb"), json!(7), json!("x".repeat(201))] {
        assert_eq!(ann.call("a.a.bind", &wrong).await, code(400));
    }
    assert_eq!(ann.call("a.a.bind", &json!("ann")).await, json!({}));
    assert_eq!(ann.call("a.a.user", &json!({})).await, json!("ann"));
    assert_eq!(ann.call("a.a.perhaps", &json!({})).await, json!("ann"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_a_session_are_in_order_and_sessions_do_not_wait_for_each_other() {
    let (app, permits) = gated(App::new(), "a.a.waits", false);
    let app = app.route("a.a.echo", |body: Bytes| async move { body }).route("a.a.panics", || async {
        panic!("on purpose");
        #[allow(unreachable_code)]
        ()
    });
    let server = serve(app).await;
    let mut ann = Client::connect(&server.tcp()).await;
    let asked = [
        ann.ask("a.a.waits", "1").await,
        ann.ask("a.a.echo", "2").await,
        ann.ask("a.a.panics", "3").await,
        ann.ask("a.a.unknown", "4").await,
        ann.ask("a.a.waits", "5").await,
        ann.ask("a.a.echo", "6").await,
    ];
    ann.notify("a.a.waits", "7").await;
    let last = ann.ask("a.a.echo", "8").await;
    let mut bob = Client::connect(&server.tcp()).await;
    assert_eq!(bob.request("a.a.echo", "[]").await, b"[]");
    server.until("all to be read", |stats| stats.messages_in == 9).await;
    assert_eq!(server.stats().messages_out, 1, "what comes behind one that waits has not begun");
    permits.add_permits(1);
    assert_eq!(ann.response(asked[0]).await, b"1");
    assert_eq!(ann.response(asked[1]).await, b"2");
    assert_eq!(ann.response(asked[2]).await, br#"{"code":500}"#);
    assert_eq!(ann.response(asked[3]).await, br#"{"code":404}"#);
    permits.add_permits(1);
    assert_eq!(ann.response(asked[4]).await, b"5");
    assert_eq!(ann.response(asked[5]).await, b"6");
    permits.add_permits(1);
    assert_eq!(ann.response(last).await, b"8");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_routes_neither_wait_nor_keep_waiting() {
    let (app, ordered) = gated(App::new(), "a.a.waits", false);
    let (app, concurrent) = gated(app, "a.a.concurrent", true);
    let app = app.route("a.a.echo", |body: Bytes| async move { body });
    let server = serve(app).await;
    let mut ann = Client::connect(&server.tcp()).await;
    let slow = ann.ask("a.a.concurrent", "1").await;
    // The notification does not delay later requests.
    assert_eq!(ann.request("a.a.echo", "2").await, b"2");
    let first = ann.ask("a.a.waits", "3").await;
    let behind = ann.ask("a.a.echo", "4").await;
    // A concurrent route does not wait for earlier requests.
    let other = ann.ask("a.a.concurrent", "5").await;
    concurrent.add_permits(2);
    assert_eq!(ann.response(other).await, b"5");
    assert_eq!(ann.response(slow).await, b"1");
    ordered.add_permits(1);
    assert_eq!(ann.response(first).await, b"3");
    assert_eq!(ann.response(behind).await, b"4");
}

/// Returns a filter that puts a name in front of the handler's answer.
fn note(name: &'static str) -> impl Fn(Next) -> Noting + Clone + Send + Sync + 'static {
    move |next| Noting { name, next }
}

type Next = filter::Next;

/// A filter as an application writes one.
#[derive(Clone)]
struct Noting {
    name: &'static str,
    next: Next,
}

impl tower::Service<Request> for Noting {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future = futures_util::future::BoxFuture<'static, Result<Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        self.next.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (name, answer) = (self.name, self.next.call(request));
        Box::pin(async move {
            let Response { status, body } = answer.await?;
            let body = [name.as_bytes(), b" ", &status.to_string().into_bytes(), b" ", &body].concat();
            Ok(Response { status: 200, body: body.into() })
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_lie_in_their_order() {
    let layer = |name| tower::layer::layer_fn(note(name));
    let app = App::new()
        .route("a.a.filtered", nothing.layer(layer("route")))
        .layer(layer("global 1"))
        .layer_for("a", layer("type 1"))
        .layer_for("a", layer("type 2"))
        .layer(layer("global 2"))
        .route("b.b.plain", nothing)
        .service("c", |request: Request| async move { Bytes::from(request.route.to_string()) })
        .route("c.own.handler", || async { Err::<(), _>(Error::with_body(409, "own")) });
    let server = serve(app).await;
    let mut ann = Client::connect(&server.tcp()).await;
    for (route, answer) in [
        ("a.a.filtered", "global 2 200 global 1 200 type 2 200 type 1 200 route 200 "),
        ("a.a.unknown", "global 2 200 global 1 200 type 2 200 type 1 404 "),
        ("b.b.plain", "global 2 200 global 1 200 "),
        ("unknown", "global 2 200 global 1 404 "),
        ("c.any.thing", "global 2 200 global 1 200 c.any.thing"),
        ("c.own.handler", "global 2 200 global 1 409 own"),
    ] {
        assert_eq!(String::from_utf8_lossy(&ann.request(route, "{}").await), answer);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_over_all_connections_and_are_given_back() {
    let shed = || ServiceBuilder::new().layer(filter::load_shed()).layer(filter::concurrency_limit(1));
    let permits = Arc::new(Semaphore::new(0));
    let opens = Arc::clone(&permits);
    let waits = move |body: Bytes| {
        let opens = Arc::clone(&opens);
        async move {
            opens.acquire().await?.forget();
            assert_ne!(body, "panic", "on purpose");
            Ok::<_, Error>(body)
        }
    };
    let app = App::new()
        .route("a.a.shed", waits.concurrent().layer(shed()))
        .route("a.a.now", (|| async { panic!("on purpose") as () }).layer(shed()))
        .route("a.a.late", (|| pending::<()>()).layer(filter::timeout(Duration::from_millis(20))))
        .route("a.a.rated", nothing.layer(filter::rate_limit(3, Duration::from_secs(3600))))
        .layer(filter::trace());
    let server = serve(app).await;
    let (mut ann, mut bob) = (Client::connect(&server.tcp()).await, Client::connect(&server.ws()).await);

    for (round, body) in ["[1]", "panic", "[2]"].into_iter().enumerate() {
        let held = ann.ask("a.a.shed", body).await;
        server.until("it to be at work", |stats| stats.messages_in == 2 * round as u64 + 1).await;
        // The route's only place is taken, also for other clients.
        assert_eq!(bob.call("a.a.shed", &json!("more")).await, code(503));
        permits.add_permits(1);
        ann.response(held).await;
    }
    for _ in 0..3 {
        assert_eq!(ann.call("a.a.now", &json!({})).await, code(500), "a panic gives its place back");
    }
    assert_eq!(ann.call("a.a.late", &json!({})).await, code(504));
    for _ in 0..3 {
        assert_eq!(ann.call("a.a.rated", &json!({})).await, json!({}));
    }
    assert_eq!(bob.call("a.a.rated", &json!({})).await, code(429));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_hears_of_sessions() {
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let opened = sender.clone();
    let bound = sender.clone();
    let app = App::new()
        .route("a.a.bind", |Json(name): Json<User>, session: Session| async move {
            session.bind(&name)?;
            session.unbind()?;
            session.bind("another").map_err(Error::from)
        })
        .route("a.a.kick", |sessions: Sessions| async move { Json(sessions.user("another").kick("out")) })
        .on_opened(move |session| drop(opened.send(format!("opened {}", session.id()))))
        .on_bound(move |_, user| drop(bound.send(format!("bound {user}"))))
        .on_event(move |_, event| match event {
            SessionEvent::Opened | SessionEvent::Bound(_) => {}
            event => drop(sender.send(format!("{event:?}"))),
        });
    let server = serve(app).await;
    let mut ann = Client::connect(&server.tcp()).await;
    ann.call("a.a.bind", &json!("ann")).await;
    ann.ask("a.a.kick", "{}").await;
    ann.kicked("out").await;
    let mut received = Vec::new();
    for _ in 0..5 {
        received.push(wireplug_tests::within("an event", heard.recv()).await.expect("the server lives"));
    }
    let wanted = ["opened 1", "bound ann", "Unbound(User(\"ann\"))", "bound another"];
    assert_eq!(received[..4], wanted);
    assert!(received[4].starts_with("Closed(Kicked("), "{}", received[4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_session_of_a_user_learns_why_it_ends() {
    let app = App::new().route("a.a.bind", |Json(name): Json<User>, session: Session| async move {
        session.bind(&name).map_err(Error::from)
    });
    let config = ServerConfig { sessions_per_user: SessionsPerUser::One, ..server::setup().server };
    let server = server::pomelo_with(app, Setup { server: config, ..server::setup() }).await;
    let mut older = Client::connect(&server.tcp()).await;
    older.call("a.a.bind", &json!("ann")).await;
    let mut newer = Client::connect(&server.ws()).await;
    newer.call("a.a.bind", &json!("ann")).await;
    older.kicked("the user has another session now").await;
    drop(older);
    server.until_closed("displaced", 1).await;
    assert_eq!(newer.call("a.a.bind", &json!("ann")).await, json!({}));
    assert_eq!(server.sessions().user("ann").len(), 1);
}

/// Each member also gets each push once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_to_a_group_is_encoded_once_a_class() {
    const MEMBERS: usize = 40;
    let app = App::new().push_route("onChat").on_opened(|session| session.join("room").expect("it is open"));
    let server = serve(app).await;
    let mut clients = Vec::new();
    for _ in 0..MEMBERS {
        clients.push(Client::connect(&server.tcp()).await);
    }
    server.until("all to be members", |_| server.sessions().group("room").len() == MEMBERS).await;
    for n in 0..30 {
        assert_eq!(server.sessions().group("room").push("onChat", &n).expect("JSON"), MEMBERS);
    }
    for client in &mut clients {
        for n in 0..30 {
            assert_eq!(client.next_push().await, ("onChat".to_owned(), json!(n)));
        }
    }
    let generation = &server.slots()[0].status().generations[0];
    assert_eq!(generation.shared, 30);
    let odd = server.sessions().matching(|session| session.id().0 % 2 == 1);
    assert_eq!(odd.push("onChat", "odd").expect("JSON"), MEMBERS / 2);
    assert_eq!(odd.kick("odd"), MEMBERS / 2);
    server.until_closed("kicked", MEMBERS as u64 / 2).await;
    assert_eq!(server.sessions().group("room").len(), MEMBERS / 2);
}
