//! The server's part of the opening handshake of WebSocket (RFC 6455, section 4.2). Who is refused gets an answer
//! that HTTP clients understand.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;

use super::http::{self, Status};
use super::rewind::Rewind;
use super::{ByteStream, tls};
use crate::config::WebSocketConfig;

/// The longest head of a request, in bytes: browsers send some hundred, and cookies.
const MAX_HEAD: usize = 16 << 10;

/// What a request without an upgrade is told, and one of another version.
const UPGRADE: &[(&str, &str)] = &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];

/// What is known of a client, as names and values.
type Attributes = Vec<(String, String)>;

/// A request that is refused: how it is answered, and how that is told of.
struct Refusal {
    status: Status,
    headers: &'static [(&'static str, &'static str)],
    kind: io::ErrorKind,
    why: String,
}

/// Upgrades a stream to WebSocket, and returns what the request says of the client.
pub(super) async fn upgrade<S: ByteStream>(
    stream: &mut Rewind<S>,
    rules: &WebSocketConfig,
) -> io::Result<Attributes> {
    let head = match read_head(stream).await? {
        Some(head) => head,
        None => {
            let what = format!("its head has more than {MAX_HEAD} bytes");
            let refusal = Refusal::bad(Status::REQUEST_HEADER_FIELDS_TOO_LARGE, what);
            return Err(refusal.answer(stream).await);
        }
    };
    match accept(&head, rules) {
        Ok((response, attributes)) => {
            stream.write_all(&response).await?;
            stream.flush().await?;
            Ok(attributes)
        }
        Err(refusal) => Err(refusal.answer(stream).await),
    }
}

/// Reads up to the empty line at the end of a request's head, and what may have come with it. None: it is too long.
async fn read_head<S: ByteStream>(stream: &mut Rewind<S>) -> io::Result<Option<Vec<u8>>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut head = Vec::with_capacity(1024);
    loop {
        let before = head.len();
        if stream.read_buf(&mut head).await? == 0 {
            return Err(match before {
                // A load balancer that looks whether somebody is here.
                0 => io::ErrorKind::UnexpectedEof.into(),
                _ => invalid("the client closed in its request for WebSocket"),
            });
        }
        if tls::is_client_hello(&head) {
            return Err(invalid(tls::UNEXPECTED));
        }
        // What cannot become a request need not be waited for; a hello of TLS may come in pieces.
        let may_be_hello = head[0] == 0x16 && head.len() < 3;
        if !http::is_request(&head) && !may_be_hello {
            return Err(invalid("the client speaks no HTTP, and this listener only WebSocket"));
        }
        if memchr::memmem::find(&head[before.saturating_sub(3)..], b"\r\n\r\n").is_some() {
            return Ok(Some(head));
        }
        if head.len() > MAX_HEAD {
            return Ok(None);
        }
    }
}

/// The response to a request, and what it says of the client; or why it gets none.
fn accept(head: &[u8], rules: &WebSocketConfig) -> Result<(Vec<u8>, Attributes), Refusal> {
    let (length, request) = match Request::try_parse(head) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => return Err(Refusal::bad(Status::BAD_REQUEST, "it is not whole".to_owned())),
        Err(Error::Protocol(ProtocolError::WrongHttpMethod)) => {
            let refusal = Refusal::bad(Status::METHOD_NOT_ALLOWED, "its method is not GET".to_owned());
            return Err(Refusal { headers: &[("Allow", "GET")], ..refusal });
        }
        Err(error) => return Err(Refusal::bad(Status::BAD_REQUEST, error.to_string())),
    };
    let mut response = create_response(&request).map_err(Refusal::from)?;
    if length < head.len() {
        // The client must wait for the answer (section 4.1).
        let what = "there is more behind it, before it was answered".to_owned();
        return Err(Refusal::bad(Status::BAD_REQUEST, what));
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let (path, origin) = (request.uri().path(), header("origin"));
    if !rules.paths.is_empty() && !rules.paths.iter().any(|served| served == path) {
        return Err(Refusal::forbidden(Status::NOT_FOUND, format!("the path {path} is not served")));
    }
    // Of several there is none that could be believed.
    let origins = request.headers().get_all("origin").iter().count();
    let is_listed = |origin: &str| rules.origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin));
    if !rules.origins.is_empty() && origins > 0 && (origins > 1 || !origin.is_some_and(is_listed)) {
        let origin = origin.unwrap_or_default();
        return Err(Refusal::forbidden(Status::FORBIDDEN, format!("the origin {origin} is not let in")));
    }
    let offered =
        request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|list| list.to_str().ok());
    let offered: Vec<&str> = offered.flat_map(|list| list.split(',')).map(str::trim).collect();
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
        ("origin", origin),
        ("subprotocol", subprotocol.map(String::as_str)),
    ];
    let attributes =
        attributes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let mut answer = Vec::with_capacity(256);
    write_response(&mut answer, &response).map_err(Refusal::from)?;
    Ok((answer, attributes.collect()))
}

impl Refusal {
    /// The client breaks HTTP or WebSocket.
    fn bad(status: Status, why: String) -> Self {
        Self { status, headers: &[], kind: io::ErrorKind::InvalidData, why }
    }

    /// The listener's lists keep the client out.
    fn forbidden(status: Status, why: String) -> Self {
        Self { kind: io::ErrorKind::PermissionDenied, ..Self::bad(status, why) }
    }

    /// Tells the client, and what the log is told.
    async fn answer<S: ByteStream>(self, stream: &mut Rewind<S>) -> io::Error {
        let Self { status, headers, kind, why } = self;
        let text = match kind {
            io::ErrorKind::PermissionDenied => why.clone(),
            _ => format!("This is a WebSocket server, and the request cannot open a WebSocket: {why}."),
        };
        http::refuse(stream, status, headers, &text).await;
        let log = match kind {
            io::ErrorKind::PermissionDenied => why,
            _ => format!("a request that opens no WebSocket, answered with {}: {why}", status.as_u16()),
        };
        io::Error::new(kind, log)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let other_protocol = matches!(
            error,
            Error::Protocol(
                ProtocolError::MissingConnectionUpgradeHeader
                    | ProtocolError::MissingUpgradeWebSocketHeader
                    | ProtocolError::MissingSecWebSocketVersionHeader
            )
        );
        if other_protocol {
            return Self { headers: UPGRADE, ..Self::bad(Status::UPGRADE_REQUIRED, error.to_string()) };
        }
        Self::bad(Status::BAD_REQUEST, error.to_string())
    }
}
