//! The HTTP connections below Socket.IO: how many there may be, what each request asks for, and the
//! sessions that requests begin.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::ready;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming as Body;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_util::sync::CancellationToken;

use super::heartbeat::{PING_INTERVAL, PING_TIMEOUT};
use super::held::Held;
use super::origins::Origins;
use super::packet::Frame;
use super::peer::Peer;
use super::polling::{Polling, Sessions};
use super::query::{Query, Transport as Wanted};
use super::room::{Room, Taken};
use super::transport::{Transport, WebSocket};
use super::{Alive, random_id};
use crate::config::ForwardedHeader;
use crate::http::{self, MAX_HEAD};
use crate::prefixed_stream::PrefixedStream;
use crate::{Health, HealthAnswer, Incoming, RateLimits, RateMeter, forwarded, proxy, turn_away};
use wireplug_base::limited;

/// How long a connection may continue after its connector has ended, to finish the current answer.
const GRACE: Duration = Duration::from_secs(1);

/// The longest time from the head of a request with packets to the end of its body.
const BODY: Duration = Duration::from_secs(10);

/// The path that is served if the listener has no list of paths.
const PATH: &str = "/socket.io/";

type Answer = Response<Full<Bytes>>;

/// The state that the HTTP connections of a listener share. A clone shares it too; only the rules
/// may differ.
#[derive(Clone)]
pub(super) struct Front {
    /// The polling sessions.
    pub(super) sessions: Sessions,
    /// Receives the clients whose sessions have begun.
    pub(super) newcomers: mpsc::Sender<Incoming>,
    /// Gone once the connector has stopped and the last client has left.
    pub(super) alive: Weak<Alive>,
    pub(super) stopped: CancellationToken,
    pub(super) rules: Rules,
    /// The limit on TCP connections.
    pub(super) connections: Arc<Room>,
}

/// The rules for the HTTP connections of a listener. A connection keeps those with which it began.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) proxies: Arc<[IpNet]>,
    pub(super) trusted_proxies: Arc<[IpNet]>,
    pub(super) forwarded_header: ForwardedHeader,
    /// Whether health checks are answered.
    pub(super) answers_probes: bool,
    pub(super) health: Health,
    pub(super) paths: Vec<String>,
    pub(super) origins: Origins,
    /// The header fields that become attributes of a client.
    pub(super) headers: Vec<String>,
    /// The longest time for the head of a request, from the time when the connection can take it.
    pub(super) head_timeout: Duration,
    /// The longest time for the change from polling to WebSocket.
    pub(super) upgrade_timeout: Duration,
    /// The rates that each client is held to.
    pub(super) rate: RateLimits,
    /// The longest message of a WebSocket and the longest body of a request, in bytes.
    pub(super) max_payload: usize,
}

impl Front {
    /// Serves a connection, in a task of its own.
    pub(super) fn take(self: Arc<Self>, stream: TcpStream, address: SocketAddr) {
        let Some(room) = self.connections.take() else {
            limited!(DEBUG, %address, "more connections than there is room for");
            return;
        };
        tokio::spawn(async move {
            if let Err(error) = self.serve(stream, address, room).await {
                limited!(DEBUG, %address, %error, "an HTTP connection failed");
            }
        });
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, address: SocketAddr, room: Taken) -> io::Result<()> {
        // The layers above gather what is sent together.
        let _ = stream.set_nodelay(true);
        let mut stream = PrefixedStream::new(stream);
        let client = if proxy::contains(&self.rules.proxies, address.ip()) {
            let header = timeout(self.rules.head_timeout, proxy::read_header(&mut stream));
            header.await.map_err(|_| io::ErrorKind::TimedOut)??
        } else {
            None
        };
        let address = client.unwrap_or(address);
        let front = Arc::clone(&self);
        let service = service_fn(move |request| {
            let front = Arc::clone(&front);
            async move { Ok::<_, Infallible>(front.answer(request, address).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.rules.head_timeout)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(Held::new(stream, room)), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = self.stopped.cancelled() => {
                connection.as_mut().graceful_shutdown();
                timeout(GRACE, connection).await.unwrap_or(Ok(()))
            }
        };
        served.map_err(io::Error::other)
    }

    /// Answers a request. A refused request is the last one of its connection.
    async fn answer(&self, request: Request<Body>, address: SocketAddr) -> Answer {
        if self.rules.answers_probes
            && let Some(answer) = self.rules.health.answer(request.uri().path())
        {
            return probe(request.method(), answer);
        }
        let Rules { forwarded_header, trusted_proxies, .. } = &self.rules;
        let named = forwarded::client(request.headers(), *forwarded_header, address.ip(), trusted_proxies);
        let address = named.unwrap_or(address).to_string();
        let Ok(origin) = self.rules.origins.judge(request.headers()) else {
            self.forbid(address, "the page's origin is not let in");
            return refusal(StatusCode::FORBIDDEN, "this origin is not let in");
        };
        let mut answer = if request.method() == Method::OPTIONS && origin.is_some() {
            self.rules.origins.preflight(request.headers())
        } else {
            self.dispatch(request, address).await.unwrap_or_else(|refused| *refused)
        };
        self.rules.origins.allow(origin, answer.headers_mut());
        answer
    }

    async fn dispatch(&self, request: Request<Body>, address: String) -> Result<Answer, Box<Answer>> {
        let path = request.uri().path();
        let is_served = match &self.rules.paths[..] {
            // Clients that leave out the last slash are served too.
            [] => path == PATH || path == &PATH[..PATH.len() - 1],
            paths => paths.iter().any(|served| served == path),
        };
        if !is_served {
            self.forbid(address, "the path is not served");
            return Err(Box::new(refusal(StatusCode::NOT_FOUND, "this path is not served")));
        }
        let query =
            Query::parse(request.uri().query()).map_err(|unfit| bad(unfit.code(), unfit.message()))?;
        let session = match query.sid {
            Some(sid) => Some(self.sessions.get(sid).ok_or_else(|| bad(1, "Session ID unknown"))?),
            None => None,
        };
        match (query.transport, request.method(), session) {
            (Wanted::Polling, &Method::GET, None) => self.open_polling(request, address),
            (Wanted::Polling, &Method::GET, Some(session)) => {
                let payload =
                    session.fetch(length(&request)).await.map_err(|_| bad(1, "Session ID unknown"))?;
                Ok(answer(payload))
            }
            (Wanted::Polling, &Method::POST, Some(session)) => self.post(&session, request).await,
            (Wanted::WebSocket, &Method::GET, None) => self.open_websocket(request, address),
            (Wanted::WebSocket, &Method::GET, Some(session)) => self.upgrade(session, request),
            _ => Err(bad(2, "Bad handshake method")),
        }
    }

    /// Accepts a request with packets.
    async fn post(&self, session: &Polling, request: Request<Body>) -> Result<Answer, Box<Answer>> {
        let post = session.post(length(&request)).map_err(|_| bad(3, "Bad request"))?;
        let body = Limited::new(request.into_body(), self.rules.max_payload).collect();
        let payload = match timeout(BODY, body).await {
            Ok(Ok(payload)) => payload.to_bytes(),
            Ok(Err(_)) => return Err(Box::new(refusal(StatusCode::PAYLOAD_TOO_LARGE, "too long"))),
            Err(_) => return Err(Box::new(refusal(StatusCode::REQUEST_TIMEOUT, "too slow"))),
        };
        post.bring(payload).await.map_err(|_| bad(3, "Bad request"))?;
        Ok(answer("ok".to_owned()))
    }

    /// Begins a polling session.
    fn open_polling(&self, request: Request<Body>, address: String) -> Result<Answer, Box<Answer>> {
        let alive = self.alive.upgrade().ok_or_else(unavailable)?;
        let sid = random_id().map_err(|_| unavailable())?;
        let meter = RateMeter::new(&self.rules.rate);
        let registered = self.sessions.open(sid.clone(), meter.clone());
        let peer = Peer::new(Transport::Polling(registered), None, meter, alive);
        let open = peer.join(self.attributes(&request, "polling")).boxed();
        self.introduce(Incoming { address, behind_proxy: false, open, turn_away: None })?;
        Ok(answer(self.greeting(&sid, "\"websocket\"")))
    }

    /// Begins a session over WebSocket.
    fn open_websocket(&self, mut request: Request<Body>, address: String) -> Result<Answer, Box<Answer>> {
        let alive = self.alive.upgrade().ok_or_else(unavailable)?;
        let greeting = self.greeting(&random_id().map_err(|_| unavailable())?, "");
        let upgrade = hyper::upgrade::on(&mut request);
        let answer = switch(&request)?;
        let attributes = self.attributes(&request, "websocket");
        let (max_payload, meter) = (self.rules.max_payload, RateMeter::new(&self.rules.rate));
        let open = async move {
            let websocket = upgraded(upgrade, max_payload, &meter).await?;
            let (transport, greeting) =
                (Transport::WebSocket(Box::new(websocket)), Frame::Text(greeting.into()));
            Peer::new(transport, Some(greeting), meter, alive).join(attributes).await
        };
        self.introduce(Incoming { address, behind_proxy: false, open: open.boxed(), turn_away: None })?;
        Ok(answer)
    }

    /// Changes a polling session to WebSocket, in a task of its own.
    fn upgrade(&self, session: Arc<Polling>, mut request: Request<Body>) -> Result<Answer, Box<Answer>> {
        let upgrade = hyper::upgrade::on(&mut request);
        let answer = switch(&request)?;
        let changes = session.upgrade().map_err(|_| bad(3, "Bad request"))?;
        let (max_payload, limit) = (self.rules.max_payload, self.rules.upgrade_timeout);
        tokio::spawn(async move {
            let probed = async {
                let mut websocket = upgraded(upgrade, max_payload, session.meter()).await?;
                websocket.probe().await?;
                io::Result::Ok(websocket)
            };
            match timeout(limit, probed).await {
                Ok(Ok(websocket)) => changes.finish(websocket),
                Ok(Err(error)) => limited!(DEBUG, %error, "a client did not change over to WebSocket"),
                Err(_) => limited!(DEBUG, "a client did not change over to WebSocket in time"),
            }
        });
        Ok(answer)
    }

    /// Reports that the listener's lists keep a client out, so that the server counts and logs it.
    /// If too many clients wait, this is left out.
    fn forbid(&self, address: String, why: &'static str) {
        let open = ready(Err(io::Error::new(io::ErrorKind::PermissionDenied, why))).boxed();
        let _ = self.introduce(Incoming { address, behind_proxy: false, open, turn_away: None });
    }

    fn introduce(&self, incoming: Incoming) -> Result<(), Box<Answer>> {
        self.newcomers.try_send(incoming).map_err(|_| unavailable())
    }

    /// Returns the client's attributes from the request that begins its session.
    fn attributes(&self, request: &Request<Body>, transport: &str) -> Vec<(String, String)> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        [
            ("path", Some(request.uri().path())),
            ("query", request.uri().query()),
            ("host", header("host")),
            ("origin", header("origin")),
            ("transport", Some(transport)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .chain(http::attributes(request.headers(), &self.rules.headers))
        .collect()
    }

    /// Returns the first packet of a session.
    fn greeting(&self, sid: &str, upgrades: &str) -> String {
        let (interval, limit) = (PING_INTERVAL.as_millis(), PING_TIMEOUT.as_millis());
        let max = self.rules.max_payload;
        format!(
            "0{{\"sid\":\"{sid}\",\"upgrades\":[{upgrades}],\"pingInterval\":{interval},\"pingTimeout\":{limit},\
             \"maxPayload\":{max}}}"
        )
    }
}

/// Answers a health check.
fn probe(method: &Method, health: HealthAnswer) -> Answer {
    let status = health.status(method);
    let mut answer = Response::new(Full::from(health.text + "\n"));
    *answer.status_mut() = status;
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(HealthAnswer::ALLOW));
    answer
}

/// Returns the approximate number of bytes in the head of a request.
fn length(request: &Request<Body>) -> u64 {
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let query = request.uri().path_and_query().map_or(0, |query| query.as_str().len());
    (query + headers.sum::<usize>()) as u64
}

/// Returns the connection below an upgrade as a WebSocket.
async fn upgraded(upgrade: OnUpgrade, max_payload: usize, meter: &RateMeter) -> io::Result<WebSocket> {
    let upgraded: Upgraded = upgrade.await.map_err(io::Error::other)?;
    let parts = upgraded
        .downcast::<TokioIo<Held>>()
        .map_err(|_| io::Error::other("it is not the connection that was served"))?;
    if !parts.read_buf.is_empty() {
        // The client must wait for the answer (RFC 6455, section 4.1).
        let what = "there is more behind the request for WebSocket, before it was answered";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(WebSocket::over(parts.io.into_inner(), max_payload, meter.clone()).await)
}

/// Returns the answer that turns a connection into a WebSocket.
fn switch(request: &Request<Body>) -> Result<Answer, Box<Answer>> {
    let mut head = Request::new(());
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    let answer = create_response(&head).map_err(|_| bad(3, "Bad request"))?;
    Ok(answer.map(|()| Full::default()))
}

/// Returns the answer that brings a payload to a polling client.
fn answer(payload: String) -> Answer {
    with_type(payload.into(), "text/plain; charset=UTF-8")
}

fn with_type(body: Bytes, content_type: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Refuses a request, and closes its connection afterwards. So a client that sends nothing but such
/// requests has to reconnect each time.
fn refusal(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = with_type(Bytes::from_static(text.as_bytes()), "text/plain; charset=UTF-8");
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Refuses a request with one of the error codes of Engine.IO.
fn bad(code: u8, message: &str) -> Box<Answer> {
    let mut answer = refusal(StatusCode::BAD_REQUEST, "");
    *answer.body_mut() = Full::from(format!("{{\"code\":{code},\"message\":\"{message}\"}}"));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Box::new(answer)
}

fn unavailable() -> Box<Answer> {
    let mut answer = refusal(StatusCode::SERVICE_UNAVAILABLE, "the server takes nobody at the moment");
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(turn_away::RETRY_AFTER));
    Box::new(answer)
}
