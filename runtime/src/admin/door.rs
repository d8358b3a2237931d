//! Who is let in to the control API: those who have the token, where there is one, and no browser.
//!
//! A page that somebody looks at can have the browser send requests to this machine. Those that change
//! something have an `Origin`; and a page that has its own name lead to 127.0.0.1 (DNS rebinding) is told by the
//! `Host`, which is that name.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::{debug, warn};

use super::refusal::Refusal;
use crate::codec::Digest;

/// The shortest token. A shorter one could be guessed.
const MIN_TOKEN: usize = 16;

/// The bit of a file's mode by which everybody may read it.
const READ_BY_ALL: u32 = 0o004;

/// Who is let in.
pub(super) struct Door {
    pub(super) token: Option<Token>,
}

/// A token, of which only the digest is kept.
pub(super) struct Token(Digest);

impl Token {
    /// Reads it from a file.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let read = || {
            let text = fs::read_to_string(file)?;
            let token = text.trim();
            ensure!(
                token.len() >= MIN_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic()),
                "a token is {MIN_TOKEN} characters of ASCII or more, without spaces; \
                 `openssl rand -hex 32` makes one"
            );
            if fs::metadata(file)?.mode() & READ_BY_ALL != 0 {
                let file = file.display();
                warn!(%file, "all users of this machine can read the control API's token: chmod 600 helps");
            }
            Ok(Self(Digest::of(token.as_bytes())))
        };
        read().with_context(|| format!("the control API's token in {}", file.display()))
    }

    /// Whether it is that one. Digests are compared: how long that takes tells nothing of the token.
    fn is(&self, given: &str) -> bool {
        Digest::of(given.as_bytes()) == self.0
    }
}

/// Lets a request in, or answers why not.
pub(super) async fn admit(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    match door.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            debug!(status = refusal.status.as_u16(), refusal.why, "the control API refuses a request");
            refusal.into_response()
        }
    }
}

impl Door {
    fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let refuse = |status, why| Err(Refusal::new(status, why));
        if headers.contains_key(ORIGIN) {
            return refuse(StatusCode::FORBIDDEN, "the request has an Origin, and browsers are not let in");
        }
        let Some(token) = &self.token else {
            return if headers.get(HOST).is_some_and(|host| is_this_machine(host.as_bytes())) {
                Ok(())
            } else {
                refuse(
                    StatusCode::FORBIDDEN,
                    "the Host is neither an IP address nor localhost: without a token other names are not \
                     let in",
                )
            };
        };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '));
        match given {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") && token.is(given.trim()) => {
                Ok(())
            }
            Some(_) => refuse(StatusCode::UNAUTHORIZED, "the token is another"),
            None => refuse(StatusCode::UNAUTHORIZED, "a token is needed: Authorization: Bearer TOKEN"),
        }
    }
}

/// Whether a `Host` is a name that no stranger can have lead here.
fn is_this_machine(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}
