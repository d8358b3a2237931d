//! The credentials and certificates by which a node and NATS authenticate each other.

mod objects;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nkeys::KeyPair;
use serde_json::{Value, json};
use wireplug::config::{NatsConfig, ServerConfig, ServiceConfig};
use wireplug::{App, CodecSource, RunningServer, Server};
use wireplug_tests::folder::Folder;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::{PATIENCE, chain, log};

use crate::connectors::tls::{AUTHORITY, Authority};

/// Starts a node with this configuration.
async fn node(config: NatsConfig) -> RunningServer {
    log::init();
    let server = Server::new(App::new())
        .config(ServerConfig { max_connections: 10, ..ServerConfig::default() })
        .nats(config)
        .services([("chat", ServiceConfig::default())])
        .listen("tcp://127.0.0.1:0", CodecSource::pomelo(json!({})));
    server.start().await.expect("it starts, with NATS or without")
}

/// Returns whether a node with this configuration can connect to NATS.
async fn reaches(config: NatsConfig) -> bool {
    let node = node(config).await;
    let status = node.nodes().status().await;
    node.shutdown().await;
    status[0].nats.as_ref().expect("it has one").connected
}

/// Waits until the problem that a node reports about NATS satisfies `holds`.
async fn until(node: &RunningServer, what: &str, holds: impl Fn(Option<String>) -> bool) {
    let wait = async {
        while !holds(node.nodes().problem()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        panic!("waited in vain for {what}: {:?}", node.nodes().problem());
    }
}

/// Replaces the content of a file by a rename, as tools that rotate secrets do.
fn rotate(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).expect("a place");
    fs::rename(&beside, path).expect("a place");
}

fn secret(folder: &Folder, name: &str, text: &str) -> Option<PathBuf> {
    let path = folder.path(name);
    fs::write(&path, format!("{text}\n")).expect("a place");
    Some(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_token() {
    let (nats, folder) = (NatsServer::with(&["--auth", "a-token-of-tests"]), Folder::new("nats-token"));
    let with = |token_file| NatsConfig { token_file, ..NatsConfig::at(&nats.url()) };
    assert!(reaches(with(secret(&folder, "token", "a-token-of-tests"))).await);
    assert!(!reaches(with(secret(&folder, "wrong", "another"))).await);
    assert!(!reaches(with(None)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_user_and_a_password() {
    let (nats, folder) =
        (NatsServer::with(&["--user", "ann", "--pass", "secret"]), Folder::new("nats-password"));
    let with = |password_file| NatsConfig {
        user: Some("ann".to_owned()),
        password_file,
        ..NatsConfig::at(&nats.url())
    };
    assert!(reaches(with(secret(&folder, "password", "secret"))).await);
    assert!(!reaches(with(secret(&folder, "wrong", "another"))).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_with_certificates_on_both_sides() {
    let folder = Folder::new("nats-tls");
    let (root, server) = (AUTHORITY.root(&folder), AUTHORITY.issue(&folder, "nats"));
    let own = AUTHORITY.issue(&folder, "node");
    let path = |path: &PathBuf| path.to_str().expect("text").to_owned();
    let (certificate, key, ca) = (path(&server.certificate), path(&server.key), path(&root));
    let nats = NatsServer::with(&[
        "--tls",
        "--tlscert",
        &certificate,
        "--tlskey",
        &key,
        "--tlsverify",
        "--tlscacert",
        &ca,
    ]);
    let url = nats.url().replace("nats://", "tls://");
    let good = NatsConfig {
        ca_file: Some(root),
        certificate_file: Some(own.certificate),
        key_file: Some(own.key),
        ..NatsConfig::at(&url)
    };
    assert!(reaches(good.clone()).await);
    assert!(
        !reaches(NatsConfig { ca_file: None, ..good.clone() }).await,
        "it trusts nobody it does not know"
    );
    let anonymous = NatsConfig { certificate_file: None, key_file: None, ..good };
    assert!(!reaches(anonymous).await, "nobody is let in who does not show who it is");
}

/// A rotated token or password is used at the next connect, without a restart or a signal. Until
/// the file has the new secret, the status says why the node is not connected, and the log does not
/// repeat it for each attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_what_was_rotated() {
    let folder = Folder::new("nats-rotated");
    let conf = folder.path("nats.conf");
    let write = |secret: &str| {
        let text = format!("authorization {{ user: ann, password: {secret} }}\n");
        fs::write(&conf, text).expect("a place");
    };
    write("first-secret");
    let mut nats = NatsServer::with(&["-c", conf.to_str().expect("text")]);
    let password = secret(&folder, "password", "first-secret").expect("one");
    let node = node(NatsConfig {
        user: Some("ann".to_owned()),
        password_file: Some(password.clone()),
        ..NatsConfig::at(&nats.url())
    })
    .await;
    until(&node, "NATS", |problem| problem.is_none()).await;
    write("second-secret");
    nats.kill();
    nats.start_again();
    let refused =
        |problem: Option<String>| problem.is_some_and(|why| why.contains("authorization violation"));
    until(&node, "the node to be refused", refused).await;
    // The node tries again at least every 2 s.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let lines = log::lines(&["NATS is not reached", &nats.url(), "authorization violation"]);
    assert!(lines.len() <= 4, "{lines:?}");
    fs::remove_file(&password).expect("it is there");
    let unread = |problem: Option<String>| problem.is_some_and(|why| why.contains("cannot read"));
    until(&node, "the file to be missed", unread).await;
    rotate(&password, "second-secret");
    until(&node, "NATS", |problem| problem.is_none()).await;
    node.shutdown().await;
}

/// At the start, a file without a secret is reported.
#[tokio::test]
async fn a_file_without_credentials_is_refused_at_the_start() {
    let folder = Folder::new("nats-no-credentials");
    let credentials_file = secret(&folder, "user.creds", "no credentials");
    let server = Server::new(App::new())
        .nats(NatsConfig { credentials_file, ..NatsConfig::at("nats://127.0.0.1:1") })
        .listen("tcp://127.0.0.1:0", CodecSource::pomelo(json!({})));
    let error = chain(&server.start().await.err().expect("it is refused"));
    assert!(error.contains("user.creds holds no NATS credentials: they have a USER JWT"), "{error}");
}

/// An account and its users, as `nsc` makes them.
struct Account {
    operator: KeyPair,
    account: KeyPair,
}

impl Account {
    fn new() -> Self {
        Self { operator: KeyPair::new_operator(), account: KeyPair::new_account() }
    }

    fn token(issuer: &KeyPair, subject: &KeyPair, nats: &Value) -> String {
        let claims = json!({
            "jti": "tests", "iat": 1, "name": "tests", "iss": issuer.public_key(), "sub": subject.public_key(),
            "nats": nats,
        });
        let signed = format!(
            "{}.{}",
            base64(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#),
            base64(claims.to_string().as_bytes())
        );
        let signature = issuer.sign(signed.as_bytes()).expect("it has its seed");
        format!("{signed}.{}", base64(&signature))
    }

    /// Returns the configuration of a server that knows the account.
    fn server(&self) -> String {
        let operator =
            Self::token(&self.operator, &self.operator, &json!({ "type": "operator", "version": 2 }));
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
            "leaf": -1,
        });
        let nats = json!({
            "limits": limits, "default_permissions": { "pub": {}, "sub": {} }, "type": "account", "version": 2,
        });
        let account = Self::token(&self.operator, &self.account, &nats);
        let key = self.account.public_key();
        format!("operator: {operator}\nresolver: MEMORY\nresolver_preload: {{ {key}: {account} }}\n")
    }

    /// Returns the credentials of a new user.
    fn user(&self) -> String {
        let user = KeyPair::new_user();
        let nats = json!({ "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2 });
        let (token, seed) = (Self::token(&self.account, &user, &nats), user.seed().expect("it has one"));
        format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

/// Encodes base64 as tokens use it: with the URL-safe alphabet and without padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| (bits << 8) | usize::from(*chunk.get(at).unwrap_or(&0)));
        text.extend((0..=chunk.len()).map(|at| char::from(ALPHABET[(bits >> (18 - 6 * at)) & 63])));
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_credentials_that_are_rotated() {
    let (folder, account) = (Folder::new("nats-credentials"), Account::new());
    let conf = folder.path("nats.conf");
    fs::write(&conf, account.server()).expect("a place");
    let nats = NatsServer::with(&["-c", conf.to_str().expect("text")]);
    let credentials = secret(&folder, "user.creds", &Account::new().user()).expect("one");
    let config = NatsConfig { credentials_file: Some(credentials.clone()), ..NatsConfig::at(&nats.url()) };
    let node = node(config).await;
    let refused =
        |problem: Option<String>| problem.is_some_and(|why| why.contains("authorization violation"));
    until(&node, "the node to be refused", refused).await;
    rotate(&credentials, &account.user());
    until(&node, "NATS", |problem| problem.is_none()).await;
    node.shutdown().await;
}

/// TLS files are reread in the same way, and the node reports when its certificates expire.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_with_files_that_are_rotated() {
    let folder = Folder::new("nats-tls-rotated");
    let server = AUTHORITY.issue(&folder, "nats");
    let path = |path: &PathBuf| path.to_str().expect("text").to_owned();
    let (certificate, key, ca) =
        (path(&server.certificate), path(&server.key), path(&AUTHORITY.root(&folder)));
    let nats = NatsServer::with(&[
        "--tls",
        "--tlscert",
        &certificate,
        "--tlskey",
        &key,
        "--tlsverify",
        "--tlscacert",
        &ca,
    ]);
    let (other, own) = (Authority::new(), AUTHORITY.issue(&folder, "own"));
    let (ca, strange) = (folder.path("node-ca.pem"), other.issue(&folder, "node"));
    fs::copy(other.root(&Folder::new("nats-tls-other")), &ca).expect("a place");
    let config = NatsConfig {
        ca_file: Some(ca.clone()),
        certificate_file: Some(strange.certificate.clone()),
        key_file: Some(strange.key.clone()),
        ..NatsConfig::at(&nats.url().replace("nats://", "tls://"))
    };
    let node = node(config).await;
    let says =
        |words: &'static str| move |problem: Option<String>| problem.is_some_and(|why| why.contains(words));
    until(&node, "the server not to be known", says("invalid peer certificate")).await;
    rotate(&ca, &fs::read_to_string(AUTHORITY.root(&folder)).expect("it is there"));
    until(&node, "the node not to be known", |problem| {
        problem.is_some_and(|why| !why.contains("invalid peer certificate"))
    })
    .await;
    for (old, new) in [(&strange.certificate, &own.certificate), (&strange.key, &own.key)] {
        rotate(old, &fs::read_to_string(new).expect("it is there"));
    }
    until(&node, "NATS", |problem| problem.is_none()).await;
    let certificates = node.nodes().status().await.swap_remove(0).certificates;
    let known: Vec<_> = certificates.iter().map(|it| (it.used_by.as_str(), it.key.as_str())).collect();
    assert_eq!(known, [("nats", "ca-file"), ("nats", "certificate-file")]);
    node.shutdown().await;
}
