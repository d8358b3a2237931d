//! Who may use the control API, and with which role.
//!
//! Over TCP a client presents a token. On the Unix socket the kernel reports the client's user. A
//! web page can make a browser send requests to this machine. Such requests have the header
//! `Origin`, and are refused, unless they come from the page of the console and carry the cookie of
//! somebody who logged in there.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::warn;

use super::backoff::Backoff;
use super::connections::Place;
use super::console::{ConsoleSessions, is_of_the_page};
use super::peer::Peer;
use super::refusal::Refusal;
use super::token::Token;
use crate::audit::Actor;
use crate::config::{ControlRole, LocalUser};
use wireplug_base::LogLimit;

/// The most warnings about refused requests in a second. More warnings would say nothing new.
const WARNINGS_A_SECOND: u32 = 5;

/// The user ID of root, which may do everything on its machine anyway.
const ROOT: u32 = 0;

/// Who may use the control API.
pub(super) struct Access {
    clients: Clients,
    backoff: Backoff,
    console: ConsoleSessions,
    warnings: LogLimit,
}

/// How clients are authenticated.
pub(super) enum Clients {
    /// By a token.
    Tokens(Vec<Token>),
    /// By their user, which the kernel reports.
    Users(Users),
}

/// The users of this machine who may connect.
pub(super) struct Users {
    /// The server's own user.
    pub(super) own: u32,
    pub(super) allowed: Vec<LocalUser>,
}

/// A client that may use the control API.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) role: ControlRole,
    pub(super) actor: Actor,
}

impl Client {
    /// Returns the client that presented a token, or logged in to the console with it.
    fn with_token(name: &str, role: ControlRole, peer: Peer) -> Self {
        let address = match peer {
            Peer::Address(address) => Some(address.to_string()),
            Peer::User { .. } => None,
        };
        Self { role, actor: Actor { who: format!("token:{name}"), role: Some(role.name()), address } }
    }
}

impl Users {
    /// Returns the role of a user, or `None` if the user is refused.
    fn role_of(&self, uid: u32) -> Option<ControlRole> {
        if uid == ROOT || uid == self.own {
            return Some(ControlRole::Change);
        }
        let allowed = self.allowed.iter().filter(|user| user.uid == uid);
        allowed.map(|user| user.role).max_by_key(|role| role.includes(ControlRole::Change))
    }
}

/// Authenticates the client of a request, and passes the request on with its client, or answers
/// with the reason why not. No part of the body is read before.
pub(super) async fn authenticate(
    State(access): State<Arc<Access>>,
    Extension(peer): Extension<Peer>,
    Extension(place): Extension<Arc<Place>>,
    mut request: Request,
    next: Next,
) -> Response {
    match access.client(peer, request.method(), request.headers(), Instant::now()) {
        Ok(client) => {
            place.known(client.role);
            request.extensions_mut().insert(client);
            next.run(request).await
        }
        Err(refusal) => {
            access.warn(peer, &refusal);
            refusal.into_response()
        }
    }
}

impl Access {
    pub(super) fn new(clients: Clients, console: ConsoleSessions) -> Self {
        let warnings = LogLimit::per_second(WARNINGS_A_SECOND);
        Self { clients, backoff: Backoff::default(), console, warnings }
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

    /// Checks the token of a login to the console. Returns the name and the role of the token.
    pub(super) fn log_in(
        &self,
        peer: Peer,
        given: &str,
        now: Instant,
    ) -> Result<(String, ControlRole), Refusal> {
        let Clients::Tokens(tokens) = &self.clients else {
            let why = "this control API has no tokens: the console needs `listen` of [control] to be http://IP:PORT";
            return Err(Refusal::new(StatusCode::FORBIDDEN, why));
        };
        let token = self.right_token(tokens, peer, Some(given), now)?;
        Ok((token.name.clone(), token.role))
    }

    /// Finds out who a client is, from the head of its request.
    fn client(
        &self,
        peer: Peer,
        method: &Method,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<Client, Refusal> {
        if !headers.contains_key(AUTHORIZATION)
            && let Some(cookie) = self.console.cookie(headers)
        {
            self.is_of_the_page(method, headers)?;
            let by = self.console.find(cookie, now).ok_or_else(|| {
                Refusal::new(StatusCode::UNAUTHORIZED, "the session of the console is over: log in again")
            })?;
            return Ok(Client::with_token(by.name.as_str(), by.role, peer));
        }
        if headers.contains_key(ORIGIN) {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "the request has an Origin header, and browsers are refused",
            ));
        }
        match (&self.clients, peer) {
            (Clients::Users(users), Peer::User { uid }) => {
                let role = users.role_of(uid).ok_or_else(|| {
                    let why = format!(
                        "the user {uid} may not use this control API: `allow` of [control] can name the user"
                    );
                    Refusal::new(StatusCode::FORBIDDEN, why)
                })?;
                let actor = Actor { who: format!("uid:{uid}"), role: Some(role.name()), address: None };
                Ok(Client { role, actor })
            }
            (Clients::Tokens(tokens), peer) => self.by_token(tokens, peer, headers, now),
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
        Ok(Client::with_token(&token.name, token.role, peer))
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
        self.backoff.succeeded(source);
        Ok(token)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::HeaderValue;

    use super::*;

    const RIGHT: &str = "0123456789abcdef";

    fn with_token(token: &str) -> HeaderMap {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        HeaderMap::from_iter([(AUTHORIZATION, value)])
    }

    fn over_tcp() -> Access {
        let path = std::env::temp_dir().join(format!(
            "wireplug-access-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::write(&path, RIGHT).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let tokens = Token::read(&path, ControlRole::Read).unwrap();
        std::fs::remove_file(&path).unwrap();
        Access::new(Clients::Tokens(tokens), ConsoleSessions::new(1))
    }

    fn peer(address: &str) -> Peer {
        Peer::Address(address.parse().unwrap())
    }

    fn status(access: &Access, peer: Peer, token: &str, now: Instant) -> u16 {
        match access.client(peer, &Method::GET, &with_token(token), now) {
            Ok(client) => {
                assert_eq!((client.role, client.actor.who.as_str()), (ControlRole::Read, "token:line-1"));
                200
            }
            Err(refusal) => refusal.status.as_u16(),
        }
    }

    #[test]
    fn users_have_the_role_that_is_configured() {
        use ControlRole::{Change, Read};
        let user = |uid, role| LocalUser { uid, role };
        let users = Users { own: 1000, allowed: vec![user(1001, Read), user(1002, Change), user(0, Read)] };
        let roles = [0, 1000, 1001, 1002, 1003, u32::MAX].map(|uid| users.role_of(uid));
        assert_eq!(roles, [Some(Change), Some(Change), Some(Read), Some(Change), None, None]);
        let access = Access::new(Clients::Users(users), ConsoleSessions::new(0));
        let client = |uid| access.client(Peer::User { uid }, &Method::GET, &HeaderMap::new(), Instant::now());
        assert_eq!(client(1001).map(|client| client.actor.who).ok().as_deref(), Some("uid:1001"));
        let refusal = client(1003).err().expect("another user is refused");
        assert_eq!(refusal.status, StatusCode::FORBIDDEN);
        assert!(refusal.why.contains("the user 1003 may not use this control API"), "{}", refusal.why);
    }

    #[test]
    fn an_address_with_wrong_tokens_waits_and_no_other_does() {
        let (access, now) = (over_tcp(), Instant::now());
        let (hostile, honest) = (peer("10.0.0.1:1"), peer("10.0.0.2:1"));
        let tried: Vec<_> = (0..6).map(|_| status(&access, hostile, "wrong-wrong-wrong", now)).collect();
        assert_eq!(tried, [401, 401, 401, 401, 429, 429]);
        assert_eq!(status(&access, hostile, RIGHT, now), 429, "a guess is not even looked at");
        assert_eq!(status(&access, honest, RIGHT, now), 200);
        assert_eq!(status(&access, hostile, RIGHT, now + Duration::from_secs(1)), 200);
    }

    #[test]
    fn nobody_on_this_machine_locks_the_others_out() {
        let (access, now) = (over_tcp(), Instant::now());
        let tried: Vec<_> =
            (0..6).map(|_| status(&access, peer("127.0.0.1:1"), "wrong-wrong-wrong", now)).collect();
        assert_eq!(tried, [401, 401, 401, 401, 429, 429]);
        assert_eq!(status(&access, peer("127.0.0.1:2"), RIGHT, now), 200);
    }
}
