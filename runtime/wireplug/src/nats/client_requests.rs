//! Sends the requests of services to clients, and passes the clients' responses back.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Message as Incoming};

use super::commands::Refusal;
use super::outgoing::{Outgoing, put};
use super::requests::{ERROR, ERROR_CODE};
use super::subject::Addressee;
use crate::server::service_headers::ROUTE;
use crate::session::{ClientResponse, RequestError, ResponseWait, Sessions, Target};

/// The header with the status of a client's response.
const STATUS: &str = "Wireplug-Status";

/// The header with the time for which a service waits, in milliseconds.
const TIMEOUT: &str = "Wireplug-Timeout";

/// Sends a request to a client of this node. A task of its own waits for the response and replies
/// to the service. Returns `None` if this node must not answer now.
pub(super) fn send(
    message: &Incoming,
    addressee: Addressee,
    outgoing: &Arc<Outgoing>,
    sessions: &Sessions,
) -> Result<Option<()>, Refusal> {
    let id = match addressee {
        Addressee::Remote => return Ok(None),
        Addressee::Local(Target::Session(id)) => id,
        Addressee::Local(_) => return Err(("400", "a request goes to one session only")),
    };
    let reply = message.reply.as_ref().ok_or(("400", "a request has a reply subject"))?.to_string();
    let header = |name| message.headers.as_ref().and_then(|headers| headers.get(name));
    let route = header(ROUTE).ok_or(("400", "a request has its route in the header Wireplug-Route"))?;
    let timeout = match header(TIMEOUT).map(|text| text.as_str().parse()) {
        None => None,
        Some(Ok(ms @ 1..)) => Some(Duration::from_millis(ms)),
        Some(_) => {
            return Err(("400", "the header Wireplug-Timeout has a number of milliseconds, at least 1"));
        }
    };
    let session = sessions.get(id).ok_or(("404", "the session has ended"))?;
    let request = session.request_bytes(route.as_str(), message.payload.clone());
    let request = match timeout {
        Some(timeout) => request.timeout(timeout),
        None => request,
    };
    // The request gets its place among the messages to this client now. Only the wait for the
    // response goes on elsewhere.
    let begun = request.begin();
    tokio::spawn(pass_on(begun, reply, Arc::clone(outgoing)));
    Ok(None)
}

/// Waits for the response of a client, and replies to the service.
async fn pass_on(begun: Result<ResponseWait, RequestError>, reply: String, outgoing: Arc<Outgoing>) {
    let mut headers = HeaderMap::new();
    let answered = match begun {
        Ok(wait) => wait.response().await,
        Err(error) => Err(error),
    };
    let body = match answered {
        Ok(ClientResponse { status, body }) => {
            put(&mut headers, STATUS, &status.to_string());
            body
        }
        Err(error) => {
            put(&mut headers, ERROR_CODE, code(&error));
            put(&mut headers, ERROR, &error.to_string());
            Default::default()
        }
    };
    outgoing.send(reply, headers, body);
}

/// Returns the code of an error, as in HTTP.
fn code(error: &RequestError) -> &'static str {
    match error {
        RequestError::Closed => "404",
        RequestError::TimedOut => "504",
        RequestError::Unsupported => "501",
        RequestError::Refused(_) | RequestError::Serialize(_) => "400",
        RequestError::TooMany { .. } | RequestError::Full => "429",
        RequestError::NoIds | RequestError::Moved => "503",
    }
}
