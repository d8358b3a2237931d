//! Tests of an application without a socket, a codec or a server. A test calls the handlers, and
//! reads the messages that the application sends.
//!
//! As on a server, requests pass the application's filters, the hooks are called for each session,
//! and requests of one client are answered in order.
//!
//! ```
//! use serde_json::json;
//! use wireplug::app::{Error, Json};
//! use wireplug::testing::TestServer;
//! use wireplug::{App, Session, Sessions};
//!
//! async fn join(Json(name): Json<String>, session: Session) -> Result<(), Error> {
//!     session.bind(&name)?;
//!     session.join("lobby")?;
//!     Ok(())
//! }
//!
//! async fn say(Json(text): Json<String>, sessions: Sessions) -> Result<(), Error> {
//!     sessions.group("lobby").push("onChat", &text)?;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let server = TestServer::new(App::new().route("chat.join", join).route("chat.say", say));
//! let (mut ann, mut bob) = (server.connect(), server.connect());
//! assert_eq!(ann.request("chat.join", &"ann").await.status, 200);
//! assert_eq!(bob.request("chat.join", &"bob").await.status, 200);
//! assert_eq!(bob.request("chat.say", &"hello").await.status, 200);
//! assert_eq!(ann.take_pushes(), [("onChat".to_owned(), json!("hello"))]);
//! # }
//! ```

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::app::{App, InFlight, Request, Response, Routes, Ticket};
use crate::config::{ClientLimits, SessionsPerUser};
use crate::session::{ClientInfo, CloseReason, Message, Outbox, OutboxLimits, Session, SessionId, Sessions};
use crate::traces::Trace;
use wireplug_connectors::running_time::RunningTime;

/// An application under test, with its sessions.
pub struct TestServer {
    routes: Arc<Routes>,
    sessions: Sessions,
    next_id: AtomicU64,
}

impl TestServer {
    /// Serves an application whose users may have many sessions.
    pub fn new<S>(app: App<S>) -> Self {
        Self::with_sessions_per_user(app, SessionsPerUser::Many)
    }

    /// Serves an application. `per_user` says how many sessions a user may have.
    pub fn with_sessions_per_user<S>(app: App<S>, per_user: SessionsPerUser) -> Self {
        let mut parts = app.into_parts();
        let sessions = Sessions::new(
            per_user,
            std::mem::take(&mut parts.hooks),
            None,
            Vec::new(),
            RunningTime::default(),
        );
        Self { routes: Arc::new(parts.finish()), sessions, next_id: AtomicU64::new(1) }
    }

    /// Returns a client whose handshake is over.
    pub fn connect(&self) -> TestClient {
        self.connect_from(ClientInfo { transport: "test".to_owned(), ..ClientInfo::default() })
    }

    /// Returns a client with this transport, address and attributes, whose handshake is over.
    pub fn connect_from(&self, client: ClientInfo) -> TestClient {
        let id = SessionId(self.next_id.fetch_add(1, Ordering::Relaxed));
        // Nothing is dropped, because a test wants to see every message.
        let outbox = Outbox::new(OutboxLimits { max_bytes: usize::MAX, ..(&ClientLimits::default()).into() });
        let session = Session::new(id, client, outbox, self.sessions.clone());
        self.sessions.insert(session.clone());
        self.sessions.opened(&session);
        TestClient { routes: Arc::clone(&self.routes), in_flight: InFlight::new(), session, requests: 0 }
    }

    /// Returns the sessions of all clients.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }
}

/// A client of a [`TestServer`]. When it is dropped, its session ends with
/// [`CloseReason::ClientClosed`], unless the application has ended the session for another reason.
pub struct TestClient {
    routes: Arc<Routes>,
    in_flight: InFlight,
    session: Session,
    requests: u64,
}

impl TestClient {
    /// Sends a request with a JSON body, and waits for the response.
    ///
    /// # Panics
    /// Panics if the body cannot be serialized.
    pub async fn request<T: Serialize + ?Sized>(&mut self, route: &str, body: &T) -> Response {
        self.request_bytes(route, json(body)).await
    }

    /// Sends a request with these bytes as its body, and waits for the response.
    pub async fn request_bytes(&mut self, route: &str, body: impl Into<Bytes>) -> Response {
        self.requests += 1;
        let id = self.requests;
        self.send(Some(id), route, body.into()).await
    }

    /// Sends a notification with a JSON body, and waits until its handler is done.
    ///
    /// # Panics
    /// Panics if the body cannot be serialized.
    pub async fn notify<T: Serialize + ?Sized>(&mut self, route: &str, body: &T) {
        self.send(None, route, json(body)).await;
    }

    async fn send(&mut self, id: Option<u64>, route: &str, body: Bytes) -> Response {
        let Self { routes, in_flight, session, .. } = self;
        let route: Arc<str> = route.into();
        let ticket =
            Ticket::Request { id, route: Arc::clone(&route), began: None, logged: None, traced: None };
        let mut request =
            Some((ticket, Request { session: session.clone(), route, id, body, trace: Trace::default() }));
        poll_fn(|cx| {
            if let Some((ticket, request)) = request.take()
                && let Poll::Ready((_, response)) = in_flight.start(routes, ticket, request, cx)
            {
                return Poll::Ready(response);
            }
            in_flight.poll_next(routes, true, cx).map(|(_, response)| response)
        })
        .await
    }

    /// Returns the pushes since the last call, in order: the route and the JSON body of each.
    ///
    /// # Panics
    /// Panics if a body is not JSON. [`TestClient::take_messages`] returns messages with any body.
    pub fn take_pushes(&mut self) -> Vec<(String, Value)> {
        let push = |Message { route, body, .. }: Message| {
            let json = serde_json::from_slice(&body);
            let json =
                json.unwrap_or_else(|error| panic!("the body of a push on {route} is not JSON: {error}"));
            (route.to_string(), json)
        };
        self.take_messages().into_iter().map(push).collect()
    }

    /// Returns the messages that were sent to this client since the last call, in order.
    pub fn take_messages(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        let outbox = self.session.outbox();
        outbox.take_messages(&mut messages, |_, _| true, |messages, message| messages.push(message));
        messages
    }

    /// Returns the client's session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Returns the reason for which the session was ended, if it was.
    pub fn closed(&self) -> Option<CloseReason> {
        self.session.close_wanted()
    }
}

impl Drop for TestClient {
    fn drop(&mut self) {
        let reason = self.closed().unwrap_or(CloseReason::ClientClosed);
        self.session.set_closed();
        self.session.sessions().remove(&self.session);
        self.session.sessions().closed(&self.session, &reason);
    }
}

fn json<T: Serialize + ?Sized>(body: &T) -> Bytes {
    serde_json::to_vec(body).expect("the body of a test can be serialized").into()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;
    use crate::app::{Error, Json};
    use crate::session::User;

    async fn enter(Json(name): Json<String>, session: Session) -> Result<(), Error> {
        session.bind(&name)?;
        Ok(())
    }

    #[tokio::test]
    async fn handlers_answer_and_what_they_send_is_seen() {
        let app = App::new().route("a.enter", enter).route("a.who", |user: User| async move { Json(user) });
        let server = TestServer::new(app);
        let mut client = server.connect();
        assert_eq!(client.request("a.who", &()).await.status, 401);
        assert_eq!(client.request("a.enter", &"ann").await.status, 200);
        assert_eq!(client.request("a.who", &()).await.body, "\"ann\"");
        assert_eq!(client.request("a.nowhere", &()).await.status, 404);
        assert_eq!(client.request_bytes("a.enter", "no JSON").await.status, 400);

        server.sessions().user("ann").push("onHello", &json!({ "n": 1 })).expect("it can be serialized");
        client.session().push("onHello", &json!({ "n": 2 })).expect("it is open");
        let hello = |n| ("onHello".to_owned(), json!({ "n": n }));
        assert_eq!(client.take_pushes(), [hello(1), hello(2)]);
        assert_eq!(client.take_pushes(), []);
    }

    #[tokio::test]
    async fn ends_are_those_of_a_server() {
        let ends = Arc::new(Mutex::new(Vec::new()));
        let reported = Arc::clone(&ends);
        let app = App::new()
            .route("a.enter", enter)
            .route("a.leave", |session: Session| async move { session.kick("you asked for it") })
            .on_closed(move |_, reason| reported.lock().unwrap().push(reason.cause()));
        let server = TestServer::with_sessions_per_user(app, SessionsPerUser::One);
        let (mut first, mut second) = (server.connect(), server.connect());
        first.request("a.enter", &"ann").await;
        second.request("a.enter", &"ann").await;
        assert_eq!(first.closed(), Some(CloseReason::Displaced));
        drop(first);
        assert_eq!(second.closed(), None);
        second.notify("a.leave", &()).await;
        drop(second);
        drop(server.connect());
        assert_eq!(*ends.lock().unwrap(), ["displaced", "kicked", "client-closed"]);
        assert!(server.sessions().is_empty());
    }
}
