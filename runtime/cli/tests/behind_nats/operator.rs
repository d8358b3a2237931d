//! An operator's day: a thousand clients are connected, and everything that can be changed is
//! changed under them.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use wireplug_tests::client::Client;
use wireplug_tests::folder::Folder;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::raw::{self, Raw};
use wireplug_tests::running::{Signal, finish};
use wireplug_tests::served::Served;
use wireplug_tests::{until, within};

use super::serve;
use crate::program::wireplug;

/// The clients that must notice nothing.
const HONEST: usize = 1_000;

/// Issues certificates for the server.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root"))
    }

    /// Writes a certificate, `NAME.pem`, and its key, `NAME.key`.
    fn issue(&self, folder: &Folder, name: &str) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        folder.write(&format!("{name}.pem"), certificate.pem());
        folder.write(&format!("{name}.key"), key.serialize_pem());
    }

    /// Connects over TLS, and completes the handshake of Pomelo.
    async fn connect(&self, url: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a root");
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = url.split_once("://").expect("a URL").1;
        let stream = TcpStream::connect(address).await.expect("it listens");
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let mut stream = within("TLS", connecting).await.expect("a handshake");
        stream.write_all(&raw::hello()).await.expect("it reads");
        let mut head = [0; 4];
        within("the handshake", stream.read_exact(&mut head)).await.expect("it answers");
        let mut answer = vec![0; u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize];
        within("the handshake", stream.read_exact(&mut answer)).await.expect("it answers");
        stream.write_all(&raw::package(raw::ACK, "")).await.expect("it reads");
        stream
    }
}

/// Returns the server's certificate.
fn certificate(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().expect("it has one")[0].to_vec()
}

/// Asks the service, and compares the answer.
async fn answers(client: &mut Client) {
    assert_eq!(client.call("chat.any.name", &json!({})).await, json!("it is me"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_changes_and_nobody_honest_notices() {
    let (folder, authority) = (Folder::new("operator"), Authority::new());
    let users = |node: &str| {
        let user = |name, password| format!("{{ user: {name}, password: {password} }}");
        format!("authorization {{ users: [{}, {}] }}", user("node", node), user("service", "quiet"))
    };
    let nats_file = folder.write("nats.conf", users("first"));
    let nats = NatsServer::with(&["-c", nats_file.to_str().expect("text")]);
    let options = async_nats::ConnectOptions::with_user_and_password("service".into(), "quiet".into());
    let service = options.connect(nats.url()).await.expect("it is there");
    serve(&service, "wireplug.requests.chat.>", |_| (200, json!("it is me").to_string())).await;
    let password = folder.write("password", "first\n");
    for name in ["one", "two"] {
        authority.issue(&folder, name);
    }

    let configuration = |log: &str, certificate: &str, first: &str, rest: &str| {
        format!(
            "log.level = '{log}'
            [server]
            max-connections = {}
            [control]
            listen = 'unix://{}'
            [nats]
            servers = ['{}']
            user = 'node'
            password-file = 'password'
            [services.chat]
            [codecs.pomelo]
            builtin = 'pomelo'
            [[listeners]]
            url = 'tcp://127.0.0.1:0'
            codec = 'pomelo'
            {first}
            [[listeners]]
            url = 'tls://127.0.0.1:0'
            codec = 'pomelo'
            tls = {{ certificate = '{certificate}.pem', key = '{certificate}.key' }}
            {rest}",
            HONEST + 100,
            folder.path("control.sock").display(),
            nats.url()
        )
    };
    let file = folder.write("wireplug.toml", configuration("info", "one", "", ""));
    let mut server = Served::start(wireplug(["serve"]).arg(&file));
    let control = format!("unix://{}", folder.path("control.sock").display());
    let command = |arguments: &[&str]| {
        let done: &mut Command = &mut wireplug(arguments);
        finish(done.args(["--control", &control])).result().expect("the server does it").trim_end().to_owned()
    };
    let [tcp, tls] = &server.urls[..] else { panic!("it has two listeners") };

    let mut honest = Vec::new();
    for _ in 0..HONEST {
        honest.push(Client::connect(tcp).await);
    }
    let mut over_tls = authority.connect(tls).await;
    let mut attacker = Raw::connect_from("127.0.0.66", tcp).await.shake_hands().await;
    until("NATS", || async { !command(&["status"]).contains("not ready") }).await;
    for client in &mut honest {
        answers(client).await;
    }

    // The attacker is blocked, a rate is lowered, a listener is added, the certificate is another
    // one, and the log says more.
    let first = "access.deny = ['127.0.0.66/32']\nlimits.packets-per-second = 50";
    let other = "[[listeners]]\nurl = 'ws://127.0.0.1:0'\ncodec = 'pomelo'";
    let next = folder.write("next.toml", configuration("debug", "two", first, other));
    let said = command(&["config", "diff", next.to_str().expect("text")]);
    for wanted in [
        "listeners[0].access.deny: [] -> [\"127.0.0.66/32\"]; at once, for 1 connection\n",
        "listeners[0].limits.packets-per-second: 0 -> 50; at once, for 1001 connections\n",
        "listeners[1].tls.certificate: one.pem -> two.pem; for new connections\n",
        "listeners[2]: ws://127.0.0.1:0 is new; at once\n",
        "log.level: info -> debug; at once\n",
        "a reload would apply this\n",
    ] {
        assert!(said.contains(wanted.trim_end()), "{wanted}{said}");
    }
    fs::rename(&next, &file).expect("a place");
    let done = command(&["reload"]);
    assert!(done.ends_with("applied"), "{done}");
    assert_eq!(within("the attacker's end", attacker.try_package()).await, None);
    drop(attacker);
    for client in &mut honest {
        answers(client).await;
    }
    // The client over TLS keeps its connection, and the next one sees the other certificate.
    over_tls.write_all(&raw::request(1, "chat.any.name", "{}")).await.expect("it is open");
    let mut answer = vec![0; raw::response(1, "\"it is me\"").len()];
    within("an answer", over_tls.read_exact(&mut answer)).await.expect("it is open");
    assert_eq!(answer, raw::response(1, "\"it is me\""));
    assert_ne!(certificate(&authority.connect(tls).await), certificate(&over_tls));
    server.logged("DEBUG");

    // NATS wants another password, and ends the connection of the node.
    fs::write(&password, "second\n").expect("a place");
    fs::write(&nats_file, users("second")).expect("a place");
    nats.signal(Signal::HUP);
    server.logged("NATS");
    let again = &mut honest[0];
    let answered = async {
        while again.call("chat.any.name", &json!({})).await != json!("it is me") {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    within("NATS with the other password", answered).await;
    for client in &mut honest {
        answers(client).await;
    }

    // Nobody was disconnected but the attacker and the client that looked at the certificate.
    server.signal(Signal::USR1);
    let closes = loop {
        let line = server.line();
        if let Some(closes) = line.strip_prefix("closes:") {
            break closes.trim().to_owned();
        }
    };
    assert_eq!(closes, "1 client-closed, 1 denied");
    drop(honest);
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
}
