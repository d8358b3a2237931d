//! Who is let in, with which roles, and who must wait.

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
    let users = Users { own: 1000, allowed: vec![LocalUser { uid: 1001, roles: ControlRole::Read.into() }] };
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
        assert!(refusal.why.starts_with("the token old expired at 2020-02-01T03:04:05Z"), "{}", refusal.why);
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
    let refusal = access.log_in(peer("127.0.0.1:1"), RIGHT, Instant::now()).expect_err("it may only push");
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
