//! A request to the control API.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, EXPECT, HOST};
use hyper::{Request, StatusCode};
use tokio::sync::oneshot;
use tokio::time::timeout;
use url::Position;

use super::Ask;
use super::endpoint::Endpoint;

/// How long to wait until the server asks for the body. Servers that do not know `Expect` never
/// ask.
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Builds a request. The body is sent when the server asks for it, so a request that the server
/// refuses by its head is sent without its body.
pub(super) fn build(
    endpoint: &Endpoint,
    Ask { method, path, query, body }: Ask<'_>,
    token: Option<String>,
) -> anyhow::Result<Request<Body>> {
    let mut url = endpoint.base()?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    let mut request = Request::builder()
        .method(method)
        .uri(&url[Position::BeforePath..])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort]);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.is_empty() {
        return Ok(request.body(Full::new(body).boxed_unsync())?);
    }
    let (wanted, wait) = oneshot::channel();
    let length = body.len();
    let waiting = stream::once(async move {
        if let Ok(Err(_)) = timeout(CONTINUE_TIMEOUT, wait).await {
            // The server has answered without asking for the body, so the body is not sent.
            pending::<()>().await;
        }
        Ok(Frame::data(body))
    });
    let request = request.header(EXPECT, "100-continue").header(CONTENT_LENGTH, length);
    let mut request = request.body(StreamBody::new(waiting).boxed_unsync())?;
    let wanted = Mutex::new(Some(wanted));
    hyper::ext::on_informational(&mut request, move |answer| {
        if answer.status() == StatusCode::CONTINUE
            && let Ok(mut wanted) = wanted.lock()
            && let Some(wanted) = wanted.take()
        {
            let _ = wanted.send(());
        }
    });
    Ok(request)
}
