//! The server's part of the opening handshake of WebSocket (RFC 6455, section 4.2). A refused
//! client gets an answer that HTTP clients understand.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Method, Version};

use super::http::{self, MAX_HEAD, Status};
use super::prefixed_stream::PrefixedStream;
use super::proxy::contains;
use super::turn_away::{RETRY_AFTER, TurnAway, TurnedAway};
use super::{ByteStream, Health, HealthAnswer, ListenOptions, forwarded, tls};
use crate::config::WebSocketConfig;

/// The headers of the answer to a request that asks for no upgrade, or for another version of
/// WebSocket.
const UPGRADES: &[(&str, &str)] = &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];

/// The headers of the answer to a request with another method.
const ALLOWS: &[(&str, &str)] = &[("Allow", HealthAnswer::ALLOW)];

/// The headers of the answer to a client that may come back later.
const RETRIES: &[(&str, &str)] = &[("Retry-After", RETRY_AFTER)];

/// The attributes of a client, as names and values.
type Attributes = Vec<(String, String)>;

/// The rules for the requests of a listener.
pub(super) struct HttpRules {
    config: WebSocketConfig,
    health: Health,
}

impl HttpRules {
    pub(super) fn new(options: &ListenOptions) -> Self {
        Self { config: options.websocket.clone(), health: options.health.clone() }
    }

    /// Returns the time after which a silent client gets a ping, or zero.
    pub(super) fn ping_interval(&self) -> Duration {
        self.config.ping_interval
    }

    /// Returns whether a client at this address may name another one for which it speaks.
    pub(super) fn trusts(&self, peer: IpAddr) -> bool {
        contains(&self.config.trusted_proxies, peer)
    }
}

/// What a request that opens a WebSocket brings: the attributes of the client, and its address if a
/// trusted proxy has named it.
type Accepted = (Attributes, Option<SocketAddr>);

/// How a refused request is answered, and how the refusal is reported.
struct Refusal {
    status: Status,
    headers: &'static [(&'static str, &'static str)],
    kind: io::ErrorKind,
    why: String,
}

/// Upgrades a stream from this address to WebSocket, unless the server turns the client away.
pub(super) async fn upgrade<S: ByteStream>(
    stream: &mut PrefixedStream<S>,
    rules: &HttpRules,
    peer: SocketAddr,
    turn_away: &TurnAway,
) -> io::Result<Accepted> {
    let (head, whole) = read_head(stream).await?;
    let accepted = if whole {
        accept(&head, rules, peer, turn_away)
    } else {
        let what = format!("its head has more than {MAX_HEAD} bytes");
        Err(Refusal::bad(Status::REQUEST_HEADER_FIELDS_TOO_LARGE, what))
    };
    match accepted {
        Ok((response, accepted)) => {
            stream.write_all(&response).await?;
            stream.flush().await?;
            Ok(accepted)
        }
        Err(refusal) => Err(refusal.answer(stream, &head).await),
    }
}

/// Reads a request's head up to the empty line at its end, and any bytes that come with it. Returns
/// `true` if the head is whole. Returns `false`, with the bytes read so far, if the head is longer
/// than [`MAX_HEAD`].
async fn read_head<S: ByteStream>(stream: &mut PrefixedStream<S>) -> io::Result<(Vec<u8>, bool)> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut head = Vec::with_capacity(1024);
    while head.len() < MAX_HEAD {
        let before = head.len();
        let mut room = (&mut *stream).take((MAX_HEAD - before) as u64);
        if room.read_buf(&mut head).await? == 0 {
            return Err(match before {
                // A health check of a load balancer.
                0 => io::ErrorKind::UnexpectedEof.into(),
                _ => invalid("the client closed in its request for WebSocket"),
            });
        }
        if tls::is_client_hello(&head) {
            return Err(invalid(tls::UNEXPECTED));
        }
        let request = http::empty_lines(&head);
        // Bytes that cannot become a request are refused at once. Only a TLS hello may come in
        // pieces.
        let may_be_hello = head[0] == 0x16 && head.len() < 3;
        if request < head.len() && !http::is_request(&head[request..]) && !may_be_hello {
            return Err(invalid("the client speaks no HTTP, and this listener only WebSocket"));
        }
        if http::has_end(&head[request..], before.saturating_sub(request)) {
            return Ok((head, true));
        }
    }
    Ok((head, false))
}

/// Returns the response to a request and what the request brings, or the refusal.
fn accept(
    head: &[u8],
    rules: &HttpRules,
    peer: SocketAddr,
    turn_away: &TurnAway,
) -> Result<(Vec<u8>, Accepted), Refusal> {
    let (length, request) = http::parse(head).map_err(|(status, why)| Refusal::bad(status, why))?;
    let HttpRules { config: rules, health } = rules;
    if rules.health
        && let Some(answer) = health.answer(request.uri().path())
    {
        return Err(Refusal::probe(request.method(), answer));
    }
    let proxies = &rules.trusted_proxies;
    let client = forwarded::client(request.headers(), rules.forwarded_header, peer.ip(), proxies);
    if let Some(turned_away) = turn_away.decide(&client.unwrap_or(peer).to_string()) {
        return Err(Refusal::turned_away(turned_away));
    }
    let mut response = create_response(&check(&request)?).map_err(Refusal::from)?;
    if length < head.len() {
        // The client must wait for the answer (section 4.1).
        let what = "there is more behind it, before it was answered".to_owned();
        return Err(Refusal::bad(Status::BAD_REQUEST, what));
    }
    let headers = request.headers();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (path, origin) = (request.uri().path(), header("origin"));
    if !rules.paths.is_empty() && !rules.paths.iter().any(|served| served == path) {
        return Err(Refusal::forbidden(Status::NOT_FOUND, format!("the path {path} is not served")));
    }
    // If there are several origins, none of them can be trusted.
    let origins = headers.get_all("origin").iter().count();
    let is_listed = |origin: &str| rules.origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin));
    if !rules.origins.is_empty() && origins > 0 && (origins > 1 || !origin.is_some_and(is_listed)) {
        let origin = origin.unwrap_or_default();
        return Err(Refusal::forbidden(Status::FORBIDDEN, format!("the origin {origin} is not let in")));
    }
    let offered: Vec<&str> = http::members(headers, SEC_WEBSOCKET_PROTOCOL).collect();
    let subprotocol = rules.subprotocols.iter().find(|spoken| offered.contains(&spoken.as_str()));
    if let Some(subprotocol) = subprotocol
        && let Ok(value) = HeaderValue::from_str(subprotocol)
    {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, value);
    }

    let attributes = [
        ("path", Some(path)),
        ("query", request.uri().query()),
        ("host", header("host")),
        ("origin", origin.filter(|_| origins == 1)),
        ("subprotocol", subprotocol.map(String::as_str)),
    ];
    let attributes = attributes
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .chain(http::attributes(headers, &rules.headers));
    let mut answer = Vec::with_capacity(256);
    write_response(&mut answer, &response).map_err(Refusal::from)?;
    Ok((answer, (attributes.collect(), client)))
}

/// Checks whether a request opens a WebSocket (section 4.2.1). Returns a request with only the
/// header fields that say so, in the form that the library expects.
fn check(request: &Request) -> Result<Request, Refusal> {
    let headers = request.headers();
    match *request.method() {
        Method::GET => {}
        Method::HEAD => return Err(Refusal::upgrade("its method is HEAD")),
        Method::OPTIONS => {
            let what = "it asks which methods there are".to_owned();
            return Err(Refusal { headers: ALLOWS, ..Refusal::bad(Status::OK, what) });
        }
        _ => {
            let what = "its method is not GET".to_owned();
            return Err(Refusal { headers: ALLOWS, ..Refusal::bad(Status::METHOD_NOT_ALLOWED, what) });
        }
    }
    let names =
        |field, wanted: &str| http::members(headers, field).any(|member| member.eq_ignore_ascii_case(wanted));
    if request.version() != Version::HTTP_11 {
        // In HTTP/1.0 an upgrade has no meaning (RFC 9110, section 7.8).
        return Err(Refusal::upgrade("it is HTTP/1.0"));
    }
    if !names(CONNECTION, "upgrade") {
        return Err(Refusal::upgrade("`Connection` does not name `Upgrade`"));
    }
    if !names(UPGRADE, "websocket") {
        return Err(Refusal::upgrade("`Upgrade` does not name `websocket`"));
    }
    if !names(SEC_WEBSOCKET_VERSION, "13") {
        return Err(Refusal::upgrade("`Sec-WebSocket-Version` is not 13"));
    }
    let bad = |what: &str| Err(Refusal::bad(Status::BAD_REQUEST, what.to_owned()));
    // A missing `Host` field is accepted, since nothing here needs it.
    if headers.get_all(HOST).iter().count() > 1 {
        return bad("it has several `Host` fields");
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return bad("it must have one `Sec-WebSocket-Key`");
    };
    if http::has_body(headers) {
        return bad("it has a body, which would be taken for frames");
    }
    let mut plain = Request::new(());
    let fields = plain.headers_mut();
    fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    fields.insert(SEC_WEBSOCKET_KEY, key.clone());
    Ok(plain)
}

impl Refusal {
    /// Refuses a client that breaks HTTP or WebSocket.
    fn bad(status: Status, why: String) -> Self {
        Self { status, headers: &[], kind: io::ErrorKind::InvalidData, why }
    }

    /// Refuses a client that the listener's lists keep out.
    fn forbidden(status: Status, why: String) -> Self {
        Self { kind: io::ErrorKind::PermissionDenied, ..Self::bad(status, why) }
    }

    /// Refuses a request that does not ask for WebSocket, or asks for another version of it.
    fn upgrade(why: &str) -> Self {
        Self { headers: UPGRADES, ..Self::bad(Status::UPGRADE_REQUIRED, why.to_owned()) }
    }

    /// Answers a health check. It ends as if the client had closed, which is no line in the log.
    fn probe(method: &Method, answer: HealthAnswer) -> Self {
        let status = answer.status(method);
        Self { status, headers: ALLOWS, kind: io::ErrorKind::UnexpectedEof, why: answer.text }
    }

    /// Answers a client that the server turns away.
    fn turned_away(TurnedAway { is_temporary, why }: TurnedAway) -> Self {
        let (status, headers) =
            if is_temporary { (Status::SERVICE_UNAVAILABLE, RETRIES) } else { (Status::FORBIDDEN, &[][..]) };
        Self { headers, ..Self::forbidden(status, why) }
    }

    /// Answers the client, and returns the error for the log. `request` is the part of the request
    /// that has arrived.
    async fn answer<S: ByteStream>(self, stream: &mut PrefixedStream<S>, request: &[u8]) -> io::Error {
        let Self { status, headers, kind, why } = self;
        let text = match kind {
            io::ErrorKind::PermissionDenied | io::ErrorKind::UnexpectedEof => why.clone(),
            _ => format!("This is a WebSocket server, and the request cannot open a WebSocket: {why}."),
        };
        http::refuse(stream, request, status, headers, &text).await;
        let log = match kind {
            io::ErrorKind::PermissionDenied | io::ErrorKind::UnexpectedEof => why,
            _ => format!("a request that opens no WebSocket, answered with {}: {why}", status.as_u16()),
        };
        io::Error::new(kind, log)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::bad(Status::BAD_REQUEST, error.to_string())
    }
}
