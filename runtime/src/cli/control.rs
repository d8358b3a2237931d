//! A client of the control API.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Position, Url};

/// How long a server may take to accept. What it is asked for may take long: it compiles.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(super) struct Control {
    /// Where the server's control API listens.
    #[arg(long, value_name = "URL", env = "WIREPLUG_CONTROL", default_value = "http://127.0.0.1:3011")]
    control: Url,
    /// A file with the control API's token.
    #[arg(long, value_name = "FILE", env = "WIREPLUG_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Print what the server answers, as JSON.
    #[arg(long)]
    json: bool,
}

/// A request: what is done, where, and with which component.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// The steps of the path.
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Bytes,
}

impl Control {
    /// Asks, and prints the answer: as JSON where that is wanted, else as `show` says it. Returns the answer.
    pub(super) async fn print<T: DeserializeOwned>(
        &self,
        ask: Ask<'_>,
        show: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<T> {
        let json = self.ask(ask).await?;
        let answer = serde_json::from_slice(&json)
            .with_context(|| format!("{} answers in a way that this version does not know", self.control))?;
        match self.json {
            true => say!("{}", String::from_utf8_lossy(&json)),
            false => say!("{}", show(&answer).trim_end()),
        }
        Ok(answer)
    }

    async fn ask(&self, Ask { method, path, query, body }: Ask<'_>) -> anyhow::Result<Bytes> {
        let base = &self.control;
        let host = match (base.scheme(), base.host_str()) {
            ("http", Some(host)) => host,
            _ => bail!("{base} is not a URL like http://127.0.0.1:3011"),
        };
        let mut url = base.join("/")?;
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
        if let Some(file) = &self.token_file {
            let token = fs::read_to_string(file)
                .with_context(|| format!("cannot read the token in {}", file.display()))?;
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.trim()));
        }
        let request = request.body(Full::new(body))?;

        let port = base.port_or_known_default().unwrap_or_default();
        let socket = timeout(CONNECT_TIMEOUT, TcpStream::connect(format!("{host}:{port}")))
            .await
            .context("it takes too long")
            .and_then(|connected| Ok(connected?))
            .with_context(|| {
                format!(
                    "cannot connect to {base}: start the server with `listen` in [control] of its \
                     configuration, or with `wireplug serve --control IP:PORT`, and give its URL with --control"
                )
            })?;
        let broken = || format!("{base} does not answer like the control API of a wireplug server");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.with_context(broken)?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await.with_context(broken)?;
        let status = response.status();
        let body = response.into_body().collect().await.with_context(broken)?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let answer: Value = serde_json::from_slice(&body).with_context(broken)?;
        let why = answer["error"].as_str().unwrap_or(status.as_str());
        match status {
            StatusCode::UNAUTHORIZED => bail!("{base}: {why}; give it with --token-file"),
            _ => bail!("{base}: {why}"),
        }
    }
}
