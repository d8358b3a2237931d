//! Sends requests to the receiver of traces.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::variable;
use crate::link::{Tls, Trust};

/// The variable that names the certificates to trust.
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

/// How long a request may take, the default of OTLP.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer. It says at most how many spans were refused, and why.
const MAX_ANSWER: usize = 64 << 10;

/// A client of the receiver. Each batch is sent on a connection of its own.
#[derive(Debug)]
pub(super) struct Client {
    /// The thread that sends batches has no runtime of its own.
    runtime: Handle,
    /// Whom it trusts over TLS.
    trust: Arc<Trust>,
}

impl Client {
    /// Creates a client that sends from tasks of this runtime.
    pub(super) fn new() -> anyhow::Result<Self> {
        let trust = Arc::new(Trust::file(variable(CERTIFICATE).map(Into::into), CERTIFICATE));
        Ok(Self { runtime: Handle::try_current()?, trust })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let trust = Arc::clone(&self.trust);
        let sent = self.runtime.spawn(async move { timeout(TIMEOUT, send(request, &trust)).await });
        Ok(sent.await?.map_err(|_| "the receiver has not answered in 10 s")??)
    }
}

async fn send(request: Request<Bytes>, trust: &Trust) -> anyhow::Result<Response<Bytes>> {
    let uri = request.uri();
    let host = uri.host().context("the address of the receiver has no host")?.to_owned();
    let is_secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare, port)).await.with_context(|| format!("{host}:{port}"))?;
    if is_secure {
        let stream = Tls::new(&host, trust, None)?.connect(stream).await?;
        exchange(TokioIo::new(stream), request).await
    } else {
        exchange(TokioIo::new(stream), request).await
    }
}

async fn exchange(
    stream: impl Read + Write + Unpin + Send + 'static,
    request: Request<Bytes>,
) -> anyhow::Result<Response<Bytes>> {
    let (mut sender, connection) = http1::handshake(stream).await?;
    let (mut head, body) = request.into_parts();
    if let Some(authority) = head.uri.authority() {
        head.headers.insert(HOST, HeaderValue::from_str(authority.as_str())?);
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse()?;
    // It ends with the answer, because the sender is dropped then.
    tokio::spawn(connection);
    let answer = sender.send_request(Request::from_parts(head, Full::new(body))).await?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(anyhow::Error::from_boxed)?;
    Ok(Response::from_parts(head, body.to_bytes()))
}
