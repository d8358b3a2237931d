//! Who may use the control API, and with which role.
//!
//! Over TCP a client presents a token, or over TLS a certificate. On the Unix socket the kernel
//! reports the client's user. A web page can make a browser send requests to this machine. Such
//! requests have the header `Origin`, and are refused, unless they come from the page of the
//! console and carry the cookie of somebody who logged in there.

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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use axum::http::HeaderValue;
    use axum::http::header::COOKIE;

    use super::*;
    use crate::admin::clients::Users;
    use crate::config::{ControlCertificate, ControlConfig, LocalUser};

    const RIGHT: &str = "0123456789abcdef";

    const NONE: CertificateSubject = CertificateSubject(None);

    fn with_token(token: &str) -> HeaderMap {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        HeaderMap::from_iter([(AUTHORIZATION, value)])
    }

    /// Returns the access of clients with the tokens in such a file.
    fn with_tokens(name: &str, lines: &str) -> Access {
        let access = Access::new(Clients::Remote(tokens(name, lines)), ConsoleSessions::new(1));
        access.note_expiries(Certificates::default());
        access
    }

    fn tokens(name: &str, lines: &str) -> Remote {
        let path = std::env::temp_dir().join(format!("wireplug-access-{}-{name}", std::process::id()));
        std::fs::write(&path, lines).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let config = ControlConfig { token_file: Some(path.clone()), ..ControlConfig::default() };
        let read = Remote::read(&config, Path::new("")).unwrap();
        std::fs::remove_file(&path).unwrap();
        read.expect("it has a file")
    }

    fn peer(address: &str) -> Peer {
        Peer::Address(address.parse().unwrap())
    }

    fn status(access: &Access, peer: Peer, token: &str, now: Instant) -> u16 {
        match access.client(peer, &NONE, &Method::GET, &with_token(token), now) {
            Ok(client) => {
                assert_eq!((client.roles, &*client.actor.who), (ControlRole::Read.into(), "token:ann"));
                200
            }
            Err(refusal) => refusal.status.as_u16(),
        }
    }

    #[test]
    fn a_user_is_known_or_refused() {
        let users =
            Users { own: 1000, allowed: vec![LocalUser { uid: 1001, roles: ControlRole::Read.into() }] };
        let access = Access::new(Clients::Users(users), ConsoleSessions::new(0));
        let client =
            |uid| access.client(Peer::User { uid }, &NONE, &Method::GET, &HeaderMap::new(), Instant::now());
        let known = client(1001).expect("the user is named");
        assert_eq!((&*known.actor.who, known.actor.roles.as_deref()), ("uid:1001", Some("read")));
        let refusal = client(1003).err().expect("another user is refused");
        assert_eq!(refusal.status, StatusCode::FORBIDDEN);
        assert!(refusal.why.contains("the user 1003 may not use this control API"), "{}", refusal.why);
    }

    #[test]
    fn an_expired_token_says_so_and_causes_no_delay() {
        let access = with_tokens("expired", &format!("old admin {RIGHT} 2020-02-01T03:04:05Z"));
        let now = Instant::now();
        for _ in 0..8 {
            let refused = access.client(peer("10.0.0.1:1"), &NONE, &Method::GET, &with_token(RIGHT), now);
            let refusal = refused.err().expect("it has expired");
            assert_eq!(refusal.status, StatusCode::UNAUTHORIZED);
            assert!(
                refusal.why.starts_with("the token old expired at 2020-02-01T03:04:05Z"),
                "{}",
                refusal.why
            );
            let refusal = access.log_in(peer("10.0.0.1:1"), RIGHT, now).expect_err("it has expired");
            assert!(refusal.why.starts_with("the token old expired"), "{}", refusal.why);
        }
        let noted = access.expiries.get().expect("they are noted").tokens();
        assert_eq!((&*noted[0].name, noted[0].expires), ("old", 1_580_526_245));
    }

    #[test]
    fn a_session_of_the_console_has_the_roles_of_its_token_and_ends_with_it() {
        let access = with_tokens("console", &format!("ann admin {RIGHT}"));
        let now = Instant::now();
        let token = access.log_in(peer("127.0.0.1:1"), RIGHT, now).expect("it is right");
        let field = access.console.begin(token.digest, false, now).unwrap();
        let cookie = HeaderMap::from_iter([(COOKIE, field.split(';').next().unwrap().parse().unwrap())]);
        let roles = || {
            let client = access.client(peer("127.0.0.1:1"), &NONE, &Method::GET, &cookie, now);
            client.map(|client| client.roles.to_string()).map_err(|refusal| refusal.why)
        };
        assert_eq!(roles().as_deref(), Ok("admin"));
        access.replace(tokens("console-less", &format!("ann read {RIGHT}")));
        assert_eq!(roles().as_deref(), Ok("read"));
        access.replace(tokens("console-old", &format!("ann read {RIGHT} 2020-02-01")));
        assert!(roles().is_err_and(|why| why.starts_with("the token ann expired")));
        access.replace(tokens("console-gone", "ann admin another-token-of-ann"));
        assert!(roles().is_err_and(|why| why.contains("is gone")));
    }

    #[test]
    fn the_console_is_for_those_who_may_read() {
        let access = with_tokens("push", &format!("game push {RIGHT}"));
        let refusal =
            access.log_in(peer("127.0.0.1:1"), RIGHT, Instant::now()).expect_err("it may only push");
        assert_eq!(refusal.why, "this needs the role `read`, and the client has only `push`");
    }

    #[test]
    fn a_certificate_is_as_good_as_a_token_where_it_is_named() {
        let certificate = |subject: &str, role: ControlRole| ControlCertificate {
            subject: subject.to_owned(),
            roles: role.into(),
        };
        let config = ControlConfig {
            certificates: vec![
                certificate("O=Example,CN=ci", ControlRole::Trial),
                certificate("O=Example,CN=ci", ControlRole::Push),
            ],
            ..ControlConfig::default()
        };
        let remote = Remote::generated(Token::generated(RIGHT), &config);
        let access = Access::new(Clients::Remote(remote), ConsoleSessions::new(1));
        let ask = |subject: &str, headers: &HeaderMap| {
            let subject = CertificateSubject(Some(subject.to_owned()));
            let client = access.client(peer("127.0.0.1:1"), &subject, &Method::GET, headers, Instant::now());
            client.map(|client| (client.actor.who, client.roles.to_string())).map_err(|refusal| refusal.why)
        };
        let ci = ("certificate:O=Example,CN=ci".to_owned(), "push,trial".to_owned());
        assert_eq!(ask("O=Example,CN=ci", &HeaderMap::new()), Ok(ci));
        let why = ask("CN=ci", &HeaderMap::new()).expect_err("the subject is not the whole one");
        assert!(why.contains("does not name the subject") && why.contains("\"CN=ci\""), "{why}");
        let generated = ("token:generated".to_owned(), "admin".to_owned());
        assert_eq!(ask("CN=ci", &with_token(RIGHT)), Ok(generated));
        // A page elsewhere can make the browser of somebody show their certificate.
        for (name, value) in [(ORIGIN, "https://evil.example"), (SEC_FETCH_SITE, "cross-site")] {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            let why = ask("O=Example,CN=ci", &headers).expect_err("it is a browser");
            assert!(why.contains("browsers are refused"), "{why}");
        }
    }

    #[test]
    fn an_address_with_wrong_tokens_waits_and_no_other_does() {
        let (access, now) = (with_tokens("delays", &format!("ann read {RIGHT}")), Instant::now());
        let (hostile, honest) = (peer("10.0.0.1:1"), peer("10.0.0.2:1"));
        let tried: Vec<_> = (0..6).map(|_| status(&access, hostile, "wrong-wrong-wrong", now)).collect();
        assert_eq!(tried, [401, 401, 401, 401, 429, 429]);
        assert_eq!(status(&access, hostile, RIGHT, now), 429, "a guess is not even looked at");
        assert_eq!(status(&access, honest, RIGHT, now), 200);
        assert_eq!(status(&access, hostile, RIGHT, now + Duration::from_secs(1)), 200);
    }

    #[test]
    fn nobody_on_this_machine_locks_the_others_out() {
        let (access, now) = (with_tokens("loopback", &format!("ann read {RIGHT}")), Instant::now());
        let tried: Vec<_> =
            (0..6).map(|_| status(&access, peer("127.0.0.1:1"), "wrong-wrong-wrong", now)).collect();
        assert_eq!(tried, [401, 401, 401, 401, 429, 429]);
        assert_eq!(status(&access, peer("127.0.0.1:2"), RIGHT, now), 200);
    }
}
