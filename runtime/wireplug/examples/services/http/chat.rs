//! The chat of the demo as a service over HTTP: `cargo run --release --example chat_http`.
//!
//! It uses no code of wireplug: `docs/http-services.md` tells what the paths and headers mean.

use std::collections::HashMap;
use std::env;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::middleware::map_response;
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use http_body_util::{BodyExt as _, Collected, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const BANNED: &[&str] = &["mallory"];

/// What all requests share.
#[derive(Clone)]
struct Chat {
    http: Client<HttpConnector, Full<Bytes>>,
    control: String,
    token: String,
    /// The session of each member.
    sessions: Arc<Mutex<HashMap<String, String>>>,
}

#[derive(Deserialize)]
struct Join {
    name: String,
}

#[derive(Deserialize)]
struct Say {
    text: String,
}

#[derive(Deserialize)]
struct Ask {
    name: String,
    question: String,
}

#[derive(Deserialize)]
struct Event {
    session: String,
    user: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let variable = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let token = env::var("WIREPLUG_TOKEN").ok().filter(|token| !token.is_empty());
    let chat = Chat {
        http: Client::builder(TokioExecutor::new()).build_http(),
        control: variable("WIREPLUG_CONTROL", "http://127.0.0.1:3011"),
        token: token
            .context("set WIREPLUG_TOKEN to a token of wireplug's control API, with the role push")?,
        sessions: Arc::default(),
    };
    let app = Router::new()
        .route("/chat/.wireplug/hello", post(hello))
        .route("/chat/.wireplug/events", post(events))
        .route("/chat/chatHandler/join", post(join))
        .route("/chat/chatHandler/send", post(send))
        .route("/chat/chatHandler/ask", post(ask))
        .layer(map_response(as_code))
        .with_state(chat);
    let listener = TcpListener::bind(format!("127.0.0.1:{}", variable("PORT", "8080"))).await?;
    println!("ready at http://{}/chat", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    axum::serve(listener, app).with_graceful_shutdown(async move { _ = terminate.recv().await }).await?;
    Ok(())
}

/// Makes an error what clients of Pomelo expect.
async fn as_code(response: Response) -> Response {
    match response.status() {
        StatusCode::OK => response,
        status => (status, Json(json!({ "code": status.as_u16() }))).into_response(),
    }
}

/// Decides who may connect. Whoever gives a name in the handshake is that user.
async fn hello(
    Json(hello): Json<Value>,
) -> Result<AppendHeaders<Option<(&'static str, String)>>, StatusCode> {
    let name = hello["user"]["name"].as_str();
    if name.is_some_and(|name| BANNED.contains(&name)) {
        return Err(StatusCode::FORBIDDEN);
    }
    let bind = name.map(|name| ("wireplug-bind", utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()));
    Ok(AppendHeaders(bind))
}

/// Tells the members that one of them has gone.
async fn events(State(chat): State<Chat>, Json(events): Json<Vec<Event>>) -> Result<(), StatusCode> {
    for Event { session, user } in events {
        let Some(user) = user.filter(|user| chat.session_of(user).as_ref() == Some(&session)) else {
            continue;
        };
        chat.with_sessions(|sessions| sessions.remove(&user));
        chat.push(&user, "(left)").await?;
    }
    Ok(())
}

/// Binds the session to a user of that name, and lets it in.
async fn join(State(chat): State<Chat>, headers: HeaderMap, body: Bytes) -> Result<Json<Value>, StatusCode> {
    let Join { name } = read(&body)?;
    let session = header(&headers, "wireplug-session").ok_or(StatusCode::BAD_REQUEST)?;
    chat.tell("bind", &format!("session/{session}"), name.clone(), &[]).await?;
    chat.tell("join", &format!("session/{session}"), "chat".to_owned(), &[]).await?;
    chat.with_sessions(|sessions| sessions.insert(name.clone(), session));
    Ok(Json(json!({ "name": name })))
}

/// Pushes what a member says to all members.
async fn send(State(chat): State<Chat>, headers: HeaderMap, body: Bytes) -> Result<Json<Value>, StatusCode> {
    let Say { text } = read(&body)?;
    let from = header(&headers, "wireplug-user").filter(|user| chat.session_of(user).is_some());
    chat.push(&from.ok_or(StatusCode::FORBIDDEN)?, &text).await?;
    Ok(Json(json!({})))
}

/// Asks the client of a member, and passes its answer on. The client has 3 s to answer: less than
/// the 5 s that wireplug waits for this service.
async fn ask(State(chat): State<Chat>, body: Bytes) -> Result<Bytes, StatusCode> {
    let Ask { name, question } = read(&body)?;
    let session = chat.session_of(&name).ok_or(StatusCode::NOT_FOUND)?;
    let headers = [("wireplug-route", "onAsk"), ("wireplug-timeout", "3000")];
    chat.tell("request", &format!("session/{session}"), question, &headers).await
}

impl Chat {
    /// Asks wireplug to do something with sessions. Returns the body of its answer, or the status
    /// of an error: that of wireplug, or of the client that was asked.
    async fn tell(
        &self,
        verb: &str,
        target: &str,
        payload: String,
        headers: &[(&str, &str)],
    ) -> Result<Bytes, StatusCode> {
        let token = format!("Bearer {}", self.token);
        let uri = format!("{}/clients/{verb}/{target}", self.control);
        let mut request = Request::post(uri).header(AUTHORIZATION, token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(payload)).map_err(|_| StatusCode::BAD_REQUEST)?;
        let done = self.http.request(request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
        let of_client = done.headers().get("wireplug-status").map(|it| StatusCode::from_bytes(it.as_bytes()));
        match of_client.unwrap_or(Ok(done.status())) {
            Ok(StatusCode::OK) => {
                let body = done.into_body().collect().await;
                body.map(Collected::to_bytes).map_err(|_| StatusCode::BAD_GATEWAY)
            }
            Ok(status) if status.is_client_error() || status.is_server_error() => Err(status),
            _ => Err(StatusCode::BAD_GATEWAY),
        }
    }

    /// Pushes a message to all members.
    async fn push(&self, from: &str, text: &str) -> Result<Bytes, StatusCode> {
        let message = json!({ "from": from, "text": text }).to_string();
        self.tell("push", "group/chat", message, &[("wireplug-route", "onChat")]).await
    }

    fn session_of(&self, name: &str) -> Option<String> {
        self.with_sessions(|sessions| sessions.get(name).cloned())
    }

    fn with_sessions<T>(&self, use_them: impl FnOnce(&mut HashMap<String, String>) -> T) -> T {
        use_them(&mut self.sessions.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads the body of a request.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, StatusCode> {
    serde_json::from_slice(body).map_err(|_| StatusCode::BAD_REQUEST)
}

/// Returns the value of a header of wireplug, in which some characters are percent-encoded.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(percent_decode_str(headers.get(name)?.to_str().ok()?).decode_utf8().ok()?.into_owned())
}
