//! A client of the control API.

mod endpoint;
mod request;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wireplug::admin::RuntimeFolder;

use self::endpoint::Endpoint;
use super::link::{Identity, Trust};

#[derive(clap::Args)]
pub(super) struct Control {
    /// Where the server's control API listens: unix:///PATH, https://HOST:PORT or http://HOST:PORT.
    /// Unless it is given, the default Unix socket of this user.
    #[arg(long, value_name = "URL", env = "WIREPLUG_CONTROL")]
    control: Option<Endpoint>,
    /// A file with a token, for a control API over TCP: the token alone, or lines as in
    /// `token-file` of [control], of which the first counts. Unless it is given, the token that a
    /// server of this user on this machine has generated.
    #[arg(long, value_name = "FILE", env = "WIREPLUG_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Over TLS, a PEM file with the certificates to trust in place of the system's: those of
    /// authorities, or the server's own.
    #[arg(long, value_name = "FILE", env = "WIREPLUG_CONTROL_CA")]
    control_ca: Option<PathBuf>,
    /// Over TLS, a PEM file with a certificate to show, behind it those that issued it. It may take
    /// the place of a token.
    #[arg(long, value_name = "FILE", env = "WIREPLUG_CONTROL_CERT", requires = "control_key")]
    control_cert: Option<PathBuf>,
    /// A PEM file with the private key of that certificate.
    #[arg(long, value_name = "FILE", env = "WIREPLUG_CONTROL_KEY", requires = "control_cert")]
    control_key: Option<PathBuf>,
    /// Print what the server answers, as JSON.
    #[arg(long)]
    json: bool,
}

/// A request to the control API. Its body is a component, or empty.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// The segments of the path.
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Bytes,
}

/// Parses the answer of a server.
fn parse<T: DeserializeOwned>(json: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(json).context("the server answers in a way that this version does not know")
}

impl Control {
    /// Sends a request and prints the server's answer: as JSON with `--json`, otherwise as the text
    /// that `show` makes of it. Returns the answer.
    ///
    /// # Errors
    /// Returns an error if the server cannot be reached, refuses the request, or answers in an
    /// unknown form.
    pub(super) async fn print<T: DeserializeOwned>(
        &self,
        ask: Ask<'_>,
        show: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<T> {
        let json = self.ask(ask).await?;
        let answer = parse(&json)?;
        match self.json {
            true => say!("{}", String::from_utf8_lossy(&json)),
            false => say!("{}", show(&answer).trim_end()),
        }
        Ok(answer)
    }

    /// Sends a request, and returns the server's answer.
    ///
    /// # Errors
    /// Returns the errors of [`Control::print`].
    pub(super) async fn get<T: DeserializeOwned>(&self, ask: Ask<'_>) -> anyhow::Result<T> {
        parse(&self.ask(ask).await?)
    }

    /// Returns whether the answer is to be printed as JSON.
    pub(super) fn wants_json(&self) -> bool {
        self.json
    }

    /// Sends a request, and hands out the answer piece by piece, until it ends or Ctrl-C is
    /// pressed.
    ///
    /// # Errors
    /// Returns an error if the server cannot be reached or refuses the request, the answer is cut
    /// off, or `take` fails.
    pub(super) async fn stream(
        &self,
        ask: Ask<'_>,
        mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut body = self.send(ask).await?;
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                _ = tokio::signal::ctrl_c() => return Ok(()),
            };
            let Some(frame) = frame else { return Ok(()) };
            let frame = frame.context("the server has closed the connection")?;
            if let Some(bytes) = frame.data_ref() {
                take(bytes)?;
            }
        }
    }

    async fn ask(&self, ask: Ask<'_>) -> anyhow::Result<Bytes> {
        let body = self.send(ask).await?.collect().await;
        Ok(body.context("the server has closed the connection")?.to_bytes())
    }

    /// Sends a request, and returns the body of an answer that is no refusal.
    async fn send(&self, ask: Ask<'_>) -> anyhow::Result<Incoming> {
        let endpoint = self.control.clone().unwrap_or_else(Endpoint::default_socket);
        let token = self.token(&endpoint)?;
        let has_token = token.is_some();
        let request = request::build(&endpoint, ask, token)?;
        let trust = Trust::file(self.control_ca.clone(), "--control-ca");
        let identity = self.control_cert.as_deref().zip(self.control_key.as_deref());
        let identity = identity.map(|(certificate, key)| Identity { certificate, key });
        let socket = endpoint.connect(&trust, identity).await?;
        let broken = || format!("{endpoint} does not answer like the control API of a wireplug server");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.with_context(broken)?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await.with_context(broken)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let body = response.into_body().collect().await.with_context(broken)?.to_bytes();
        let answer: Value = serde_json::from_slice(&body).with_context(broken)?;
        let why = answer["error"].as_str().unwrap_or(status.as_str());
        match status {
            StatusCode::UNAUTHORIZED if !has_token => bail!("{endpoint}: {why}; give it with --token-file"),
            _ => bail!("{endpoint}: {why}"),
        }
    }

    /// Returns the token from the file of `--token-file`. Without that option, and without a
    /// certificate to show, returns the token that a server of this user on this machine has
    /// generated, or `None` if there is none.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or has no token.
    fn token(&self, endpoint: &Endpoint) -> anyhow::Result<Option<String>> {
        let file = match &self.token_file {
            Some(file) => file.clone(),
            None if self.control_cert.is_some() => return Ok(None),
            None => {
                let Some(port) = endpoint.local_port() else { return Ok(None) };
                match RuntimeFolder::find()?.map(|folder| folder.token_file(port)) {
                    Some(file) if file.exists() => file,
                    _ => return Ok(None),
                }
            }
        };
        let text = fs::read_to_string(&file)
            .with_context(|| format!("cannot read the token in {}", file.display()))?;
        first_token(&text).map(Some).with_context(|| format!("the token in {}", file.display()))
    }
}

/// Returns the token of a file that has only a token, or the first token of a file that the server
/// reads.
///
/// # Errors
/// Returns an error if there is no token in the file, or only the digest of one.
fn first_token(text: &str) -> anyhow::Result<String> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut lines = lines.filter(|words| words.first().is_some_and(|first| !first.starts_with('#')));
    let token = match lines.next().as_deref() {
        Some([token] | [_, _, token] | [_, _, token, _]) => *token,
        Some(_) => bail!("its first line is neither a token nor a line of `token-file`"),
        None => bail!("the file is empty"),
    };
    ensure!(!token.starts_with("sha256:"), "the file has its digest, with which nobody can log in");
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_token_or_lines_of_the_server() {
        for text in
            ["secret\n", "\n# a comment\nann admin secret\nbob read other", "ann read secret 2027-01-31"]
        {
            assert_eq!(first_token(text).ok().as_deref(), Some("secret"), "{text}");
        }
        for (text, wanted) in [
            ("", "is empty"),
            ("# ann admin secret", "is empty"),
            ("ann secret", "neither a token nor a line"),
            ("ann admin sha256:00", "has its digest"),
        ] {
            let why = first_token(text).expect_err(text).to_string();
            assert!(why.contains(wanted) && !why.contains("secret"), "{text}: {why}");
        }
    }
}
