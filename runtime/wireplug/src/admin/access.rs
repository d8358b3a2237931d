//! Who may use the control API, and with which role.
//!
//! Over TCP a client presents a token, or over TLS a certificate. On the Unix socket the kernel
//! reports the client's user. A web page can make a browser send requests to this machine. Such
//! requests have the header `Origin`, and are refused, unless they come from the page of the
//! console and carry the cookie of somebody who logged in there.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::warn;

use super::backoff::Backoff;
use super::clients::{Clients, Remote};
use super::connections::Place;
use super::console::{ConsoleSessions, SEC_FETCH_SITE, is_of_the_page};
use super::peer::{CertificateSubject, Peer};
use super::refusal::Refusal;
use super::token::Token;
use crate::audit::Actor;
use crate::codec::Digest;
use crate::config::{ControlRole, ControlRoles};
use wireplug_base::LogLimit;
use wireplug_connectors::certificates::Certificates;

/// The most warnings about refused requests in a second. More warnings would say nothing new.
const WARNINGS_A_SECOND: u32 = 5;

/// The user of the tokens, where it is noted when they expire.
const EXPIRING: &str = "control";

/// Who may use the control API.
pub(crate) struct Access {
    clients: ArcSwap<Clients>,
    backoff: Backoff,
    console: ConsoleSessions,
    warnings: LogLimit,
    /// Where it is noted when tokens expire, once the server has started.
    expiries: OnceLock<Certificates>,
}

/// A client that may use the control API.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) roles: ControlRoles,
    pub(super) actor: Actor,
    credential: Credential,
}

/// What a client has shown.
#[derive(Clone)]
enum Credential {
    Token(Digest),
    /// A certificate with this subject.
    Certificate(String),
    /// The user of this number, as the kernel says.
    User(u32),
}

impl Client {
    fn new(who: String, roles: ControlRoles, peer: Peer, credential: Credential) -> Self {
        let address = match peer {
            Peer::Address(address) => Some(address.to_string()),
            Peer::User { .. } => None,
        };
        let actor = Actor { who, roles: Some(roles.to_string()), address };
        Self { roles, actor, credential }
    }

    /// Returns the client that presented a token, or logged in to the console with it.
    fn with_token(token: &Token, peer: Peer) -> Self {
        let credential = Credential::Token(token.digest);
        Self::new(format!("token:{}", token.name), token.roles.clone(), peer, credential)
    }

    /// Refuses what needs a role that the client does not have.
    pub(super) fn needs(&self, role: ControlRole) -> Result<(), Refusal> {
        if self.roles.includes(role) {
            return Ok(());
        }
        let why = format!("this needs the role `{}`, and the client has only `{}`", role.name(), self.roles);
        Err(Refusal::new(StatusCode::FORBIDDEN, why))
    }
}

/// Authenticates the client of a request, and passes the request on with its client, or answers
/// with the reason why not. No part of the body is read before.
pub(super) async fn authenticate(
    State(access): State<Arc<Access>>,
    Extension(peer): Extension<Peer>,
    Extension(subject): Extension<CertificateSubject>,
    Extension(place): Extension<Arc<Place>>,
    mut request: Request,
    next: Next,
) -> Response {
    match access.client(peer, &subject, request.method(), request.headers(), Instant::now()) {
        Ok(client) => {
            place.known(&client.roles);
            request.extensions_mut().insert(client);
            request.extensions_mut().insert(access);
            next.run(request).await
        }
        Err(refusal) => {
            access.warn(peer, &refusal);
            refusal.into_response()
        }
    }
}

/// Finds out who a client is that shows a certificate and no token.
fn by_certificate(remote: &Remote, subject: &str, peer: Peer) -> Result<Client, Refusal> {
    let roles = remote.roles_of(subject).ok_or_else(|| {
        let why = format!(
            "a token is needed: `certificates` of [control] does not name the subject of the client's certificate, \
             {subject:?}"
        );
        Refusal::new(StatusCode::UNAUTHORIZED, why)
    })?;
    let credential = Credential::Certificate(subject.to_owned());
    Ok(Client::new(format!("certificate:{subject}"), roles, peer, credential))
}

impl Access {
    pub(super) fn new(clients: Clients, console: ConsoleSessions) -> Self {
        Self {
            clients: ArcSwap::from_pointee(clients),
            backoff: Backoff::default(),
            console,
            warnings: LogLimit::per_second(WARNINGS_A_SECOND),
            expiries: OnceLock::new(),
        }
    }

    /// Notes in `expiries` when tokens expire, from now on.
    pub(super) fn note_expiries(&self, expiries: Certificates) {
        if let Clients::Remote(remote) = &**self.clients.load() {
            expiries.set(EXPIRING, remote.expiries());
        }
        // A second start of one control API would have the same server.
        let _ = self.expiries.set(expiries);
    }

    /// Returns the clients over TCP, or `None` if clients are users of this machine.
    pub(super) fn remote(&self) -> Option<Remote> {
        match &**self.clients.load() {
            Clients::Remote(remote) => Some(remote.clone()),
            Clients::Users(_) => None,
        }
    }

    /// Replaces the clients over TCP.
    pub(super) fn replace(&self, remote: Remote) {
        let before = self.clients.swap(Arc::new(Clients::Remote(remote.clone())));
        if let Clients::Remote(before) = &*before {
            remote.log_changes(before);
        }
        if let Some(expiries) = self.expiries.get() {
            expiries.set(EXPIRING, remote.expiries());
        }
    }

    /// Returns whether a client that has been authenticated still has a role. A token may have been
    /// taken out since then, or have expired.
    pub(super) fn still_has(&self, client: &Client, role: ControlRole) -> bool {
        match (&client.credential, &**self.clients.load()) {
            (Credential::Token(digest), Clients::Remote(remote)) => remote.tokens.iter().any(|token| {
                token.digest == *digest
                    && token.roles.includes(role)
                    && token.expired(SystemTime::now()).is_none()
            }),
            (Credential::Certificate(subject), Clients::Remote(remote)) => {
                remote.roles_of(subject).is_some_and(|roles| roles.includes(role))
            }
            (Credential::User(uid), Clients::Users(users)) => {
                users.roles_of(*uid).is_some_and(|roles| roles.includes(role))
            }
            _ => false,
        }
    }

    /// Returns who is logged in to the console.
    pub(super) fn console(&self) -> &ConsoleSessions {
        &self.console
    }

    /// Refuses a request of a browser that does not come from the page of the console.
    pub(super) fn is_of_the_page(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        if is_of_the_page(method, headers) {
            return Ok(());
        }
        let why = "the request is not from the page of the console, and other browsers are refused";
        Err(Refusal::new(StatusCode::FORBIDDEN, why))
    }

    /// Checks the token of a login to the console.
    pub(super) fn log_in(&self, peer: Peer, given: &str, now: Instant) -> Result<Token, Refusal> {
        let clients = self.clients.load();
        let Clients::Remote(remote) = &**clients else {
            let why = "this control API has no tokens: the console needs `listen` of [control] to be http://IP:PORT";
            return Err(Refusal::new(StatusCode::FORBIDDEN, why));
        };
        let token = self.right_token(&remote.tokens, peer, Some(given), now)?;
        // Each page of the console looks at something.
        Client::with_token(token, peer).needs(ControlRole::Read)?;
        Ok(token.clone())
    }

    /// Returns the token with which the session of a cookie began, as it is now.
    pub(super) fn logged_in(&self, cookie: &str, now: Instant) -> Result<Token, Refusal> {
        let over = |why: &str| Refusal::new(StatusCode::UNAUTHORIZED, why);
        let by = self.console.find(cookie, now);
        let by = by.ok_or_else(|| over("the session of the console is over: log in again"))?;
        let clients = self.clients.load();
        let tokens = match &**clients {
            Clients::Remote(remote) => &*remote.tokens,
            Clients::Users(_) => &[],
        };
        let token = tokens.iter().find(|token| token.digest == by).ok_or_else(|| {
            over("the token with which this session of the console began is gone: log in with another one")
        })?;
        match token.expired(SystemTime::now()) {
            Some(why) => Err(over(&why)),
            None => Ok(token.clone()),
        }
    }

    /// Finds out who a client is, from the head of its request.
    fn client(
        &self,
        peer: Peer,
        subject: &CertificateSubject,
        method: &Method,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<Client, Refusal> {
        if !headers.contains_key(AUTHORIZATION)
            && let Some(cookie) = self.console.cookie(headers)
        {
            self.is_of_the_page(method, headers)?;
            return Ok(Client::with_token(&self.logged_in(cookie, now)?, peer));
        }
        // A browser shows the certificate of a person to every page that asks for it.
        if headers.contains_key(ORIGIN) || subject.0.is_some() && headers.contains_key(SEC_FETCH_SITE) {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "the request is one of a browser, and browsers are refused but for the page of the console",
            ));
        }
        match (&**self.clients.load(), peer) {
            (Clients::Users(users), Peer::User { uid }) => {
                let roles = users.roles_of(uid).ok_or_else(|| {
                    let why = format!(
                        "the user {uid} may not use this control API: `allow` of [control] can name the user"
                    );
                    Refusal::new(StatusCode::FORBIDDEN, why)
                })?;
                Ok(Client::new(format!("uid:{uid}"), roles, peer, Credential::User(uid)))
            }
            (Clients::Remote(remote), peer) => {
                if !headers.contains_key(AUTHORIZATION)
                    && let Some(subject) = &subject.0
                {
                    return by_certificate(remote, subject, peer);
                }
                self.by_token(&remote.tokens, peer, headers, now)
            }
            (Clients::Users(_), Peer::Address(_)) => {
                Err(Refusal::new(StatusCode::FORBIDDEN, "the client's user is unknown"))
            }
        }
    }

    fn by_token(
        &self,
        tokens: &[Token],
        peer: Peer,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<Client, Refusal> {
        let refuse = |why| Refusal::new(StatusCode::UNAUTHORIZED, why);
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let given = match (given.next(), given.next()) {
            (Some(given), None) => given,
            (None, _) => return Err(refuse("a token is needed: Authorization: Bearer TOKEN")),
            // A second field may have been added on the way, and not by the owner of the token.
            (Some(_), Some(_)) => return Err(refuse("there are several Authorization fields")),
        };
        let bearer = given.to_str().ok().and_then(|given| given.split_once(' '));
        let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = self.right_token(tokens, peer, bearer.map(|(_, given)| given), now)?;
        Ok(Client::with_token(token, peer))
    }

    /// Returns the token that is given, or makes the peer wait longer and longer for wrong ones.
    fn right_token<'a>(
        &self,
        tokens: &'a [Token],
        peer: Peer,
        given: Option<&str>,
        now: Instant,
    ) -> Result<&'a Token, Refusal> {
        let source = peer.source();
        let wait = self.backoff.remaining(source, now);
        // All users of this machine share the loopback address, so one of them could lock the
        // others out with wrong tokens. Therefore a right token from there is accepted at any time.
        if let Some(wait) = wait.filter(|_| !source.is_loopback()) {
            return Err(Refusal::wait(wait));
        }
        let Some(token) = given.and_then(|given| tokens.iter().find(|token| token.is(given.trim()))) else {
            if let Some(wait) = wait {
                return Err(Refusal::wait(wait));
            }
            self.backoff.failed(source, now);
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "the token is wrong"));
        };
        // Nobody guesses a token that was valid once, so there is no delay for it.
        if let Some(why) = token.expired(SystemTime::now()) {
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, why));
        }
        self.backoff.succeeded(source);
        Ok(token)
    }

    /// Logs that the TLS handshake of a client has failed.
    pub(super) fn warn_of_handshake(&self, peer: Peer, error: &io::Error) {
        let Some(left_out) = self.warnings.admit() else { return };
        if let Peer::Address(address) = peer {
            warn!(%address, %error, left_out, "a client of the control API fails in its TLS handshake");
        }
    }

    pub(super) fn warn(&self, peer: Peer, refusal: &Refusal) {
        let Some(left_out) = self.warnings.admit() else { return };
        let (address, uid) = match peer {
            Peer::Address(address) => (Some(address.to_string()), None),
            Peer::User { uid } => (None, Some(uid)),
        };
        let status = refusal.status.as_u16();
        warn!(address, uid, status, refusal.why, left_out, "the control API refuses a request");
    }
}
