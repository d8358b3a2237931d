//! Certificates of clients, certificates that change while the server runs, and invalid ones.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rcgen::{DnType, date_time_ymd};
use tokio::io::AsyncReadExt as _;
use wireplug::codec::Digest;
use wireplug::config::{ClientCertificates, TlsConfig};
use wireplug::{Listener, Session};
use wireplug_tests::folder::Folder;
use wireplug_tests::{log, within};

use super::authority::Authority;
use super::{AUTHORITY, LineClient, address, connect, encrypted, lines};
use crate::connectors::{app, socket, try_serve};

// === certificates of clients ===

/// Returns an application with a route that returns subject and fingerprint of the client's
/// certificate.
fn identities() -> wireplug::app::App {
    app().route("identity", |session: Session| async move {
        let attributes = session.client().attributes.iter();
        let identity = attributes.filter(|(name, _)| name.starts_with("tls-client-"));
        Bytes::from(identity.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" "))
    })
}

#[tokio::test]
async fn clients_show_certificates() {
    let folder = Folder::new("tls-clients");
    let known = AUTHORITY.issue_with(&folder, "known", |params| {
        params.distinguished_name.push(DnType::CommonName, "meter, 7");
        params.distinguished_name.push(DnType::OrganizationName, "Example");
    });
    let der = {
        use tokio_rustls::rustls::pki_types::CertificateDer;
        use tokio_rustls::rustls::pki_types::pem::PemObject as _;
        CertificateDer::from_pem_file(&known.certificate).expect("a certificate")
    };
    let strange = Authority::new().issue(&folder, "strange");
    for certificates in [None, Some(ClientCertificates::Required), Some(ClientCertificates::Optional)] {
        let tls = TlsConfig {
            client_ca: Some(AUTHORITY.root(&folder)),
            client_certificates: certificates,
            ..AUTHORITY.issue(&folder, "server")
        };
        let server = encrypted(identities(), "tls://127.0.0.1:0", tls).await;
        let ask = async |identity| {
            let client = AUTHORITY.client(identity).connect(&address(&server)).await.ok()?;
            let mut client = LineClient::over(client);
            // In TLS 1.3, a client learns of a refusal only when it reads.
            use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
            client.0.write_all(b"1 identity\n").await.ok()?;
            client.0.flush().await.ok()?;
            let mut line = String::new();
            within("an answer", client.0.read_line(&mut line)).await.ok().filter(|count| *count > 0)?;
            Some(line)
        };
        let identity = format!(r"O=Example,CN=meter\, 7 {}", Digest::of(&der));
        assert_eq!(ask(Some(&known)).await, Some(format!("1 200 {identity}\n")));
        assert_eq!(ask(Some(&strange)).await, None);
        let optional = certificates == Some(ClientCertificates::Optional);
        assert_eq!(ask(None).await, optional.then(|| "1 200 \n".to_owned()));
        let stats = server.shutdown().await;
        assert_eq!(stats.closes.get("transport"), Some(&if optional { 1 } else { 2 }), "{stats}");
    }
}

// === certificates that change ===

/// Returns the certificate that a server presents.
async fn shown(address: &str) -> Vec<u8> {
    let client = AUTHORITY.client(None).connect(address).await.expect("a handshake");
    client.get_ref().1.peer_certificates().expect("one")[0].to_vec()
}

async fn logged(url: &str, what: &str) {
    let line = async {
        while log::lines(&[url, what]).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(what, line).await;
}

fn replace(folder: &Folder, files: &TlsConfig, by: &TlsConfig) {
    for (old, new) in [(&files.certificate, &by.certificate), (&files.key, &by.key)] {
        let beside = folder.path("beside");
        fs::copy(new, &beside).expect("a place");
        fs::rename(&beside, old).expect("a place");
    }
}

/// A key that other users can read is used with a warning, at the start and at each change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_others_can_read_is_warned_of() {
    let folder = Folder::new("tls-exposed");
    let files = AUTHORITY.issue(&folder, "server");
    let set_mode = |mode| {
        fs::set_permissions(&files.key, Permissions::from_mode(mode)).expect("it is this user's");
    };
    let shown = files.key.display().to_string();
    let warned = || log::lines(&["the private key of TLS is not kept", &shown, "(mode 644)"]).len();
    set_mode(0o640);
    let server = encrypted(app(), "tls://127.0.0.1:0", files.clone()).await;
    connect(&server).await;
    assert_eq!(warned(), 0, "its group may have it");
    set_mode(0o644);
    logged(&server.urls()[0], "changed TLS files are taken over").await;
    assert_eq!(warned(), 1);
    connect(&server).await;
    assert_eq!(warned(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_certificate_is_taken_over() {
    let folder = Folder::new("tls-changed");
    let files = AUTHORITY.issue(&folder, "server");
    let server = encrypted(app(), "tls://127.0.0.1:0", files.clone()).await;
    let (url, address) = (server.urls()[0].clone(), address(&server));
    let mut before = connect(&server).await;
    let first = shown(&address).await;

    // A broken file changes nothing, and is logged.
    let key = fs::read(&files.key).expect("it is there");
    fs::write(&files.key, "no key").expect("a place");
    logged(&url, "changed TLS files are refused; all goes on as before").await;
    assert_eq!(log::lines(&[&url, "there is no private key in it"]).len(), 1);
    assert_eq!(shown(&address).await, first);
    fs::write(&files.key, key).expect("a place");
    logged(&url, "changed TLS files are taken over").await;
    assert_eq!(shown(&address).await, first);

    replace(&folder, &files, &AUTHORITY.issue(&folder, "next"));
    let changed = async {
        while shown(&address).await == first {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within("the new certificate", changed).await;
    // Connections that were already open continue.
    assert_eq!(before.ask("1 echo a").await, "1 200 a");
    server.shutdown().await;
}

// === invalid certificates ===

async fn refused(tls: &TlsConfig) -> String {
    let mut listener = Listener::new("tls://127.0.0.1:0", lines());
    listener.tls = Some(tls.clone());
    let error = try_serve(app(), listener).await.err().expect("it is refused");
    let error = format!("{error:#}");
    let (before, what) = error.split_once(": ").expect("a cause");
    assert!(before.starts_with("cannot listen on tls://127.0.0.1:0"), "{error}");
    what.to_owned()
}

#[tokio::test]
async fn errors_say_what_is_wrong_with_files_and_what_to_do() {
    let folder = Folder::new("tls-wrong");
    let good = AUTHORITY.issue(&folder, "good");
    let other = AUTHORITY.issue(&folder, "other");
    let file = |name: &str, text: &[u8]| {
        fs::write(folder.path(name), text).expect("a place");
        folder.path(name)
    };
    let shown = |path: &Path| path.display().to_string();
    let certificate = |path: &Path| TlsConfig { certificate: path.to_owned(), ..good.clone() };
    let key = |path: &Path| TlsConfig { key: path.to_owned(), ..good.clone() };
    let locked =
        file("locked", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let half = &fs::read(&good.certificate).expect("it is there")[..100];
    for (tls, named, what) in [
        (
            certificate(&folder.path("none")),
            folder.path("none"),
            "the file of `certificate` cannot be read: No such file",
        ),
        (key(&folder.path("none")), folder.path("none"), "the file of `key` cannot be read: No such file"),
        (
            certificate(&file("empty", b"")),
            folder.path("empty"),
            "there is no certificate in it: PEM has a line",
        ),
        (certificate(&good.key), good.key.clone(), "it holds a private key, which belongs into `key`"),
        (certificate(&file("der", b"\x30\x82")), folder.path("der"), "makes PEM of DER"),
        (certificate(&file("half", half)), folder.path("half"), "it is not whole, or no PEM"),
        (
            key(&good.certificate),
            good.certificate.clone(),
            "it holds a certificate, which belongs into `certificate`",
        ),
        (
            key(&locked),
            locked.clone(),
            "it holds one with a password, which `openssl pkey -in FILE` takes off",
        ),
        (key(&other.key), other.key.clone(), "does not belong to the first certificate in"),
        (
            TlsConfig { client_ca: Some(good.key.clone()), ..good.clone() },
            good.key.clone(),
            "there is no certificate in it",
        ),
        (
            TlsConfig {
                client_ca: Some(good.certificate.clone()),
                client_crl: Some(good.certificate.clone()),
                ..good.clone()
            },
            good.certificate.clone(),
            "there is no list of revoked certificates in it",
        ),
    ] {
        let error = refused(&tls).await;
        assert!(error.contains(&shown(&named)) && error.contains(what), "{error}\nshould say: {what}");
    }
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_warned_of() {
    let folder = Folder::new("tls-expired");
    let expired =
        AUTHORITY.issue_with(&folder, "expired", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let early =
        AUTHORITY.issue_with(&folder, "early", |params| params.not_before = date_time_ymd(4000, 1, 1));
    let good = AUTHORITY.issue(&folder, "good");
    for (tls, warning) in [
        (expired, Some("the certificate expired ")),
        (early, Some("the certificate begins to hold in ")),
        (good, None),
    ] {
        let path = tls.certificate.display().to_string();
        let server = encrypted(app(), "tls://127.0.0.1:0", tls).await;
        let lines = log::lines(&["TLS clients will refuse this server", &path]);
        assert_eq!(lines.len(), usize::from(warning.is_some()), "{lines:?}");
        assert!(warning.is_none_or(|warning| lines[0].contains(warning)), "{lines:?}");
        server.shutdown().await;
    }
}

/// If a certificate expires while the server runs, the server warns before and after that. The
/// status shows the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_expires_is_warned_of() {
    let folder = Folder::new("tls-expires");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let end = now + 4;
    let at_end = |params: &mut rcgen::CertificateParams| {
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(end);
    };
    let files = AUTHORITY.issue_with(&folder, "server", at_end);
    let tls = TlsConfig { client_ca: Some(AUTHORITY.root(&folder)), ..files.clone() };
    let server = encrypted(app(), "tls://127.0.0.1:0", tls).await;
    let (url, path) = (server.urls()[0].clone(), files.certificate.display().to_string());
    let certificates = server.nodes().status().await.swap_remove(0).certificates;
    let expires: Vec<_> =
        certificates.iter().map(|it| (it.key.as_str(), it.used_by == url, it.expires)).collect();
    assert_eq!((expires.len(), expires[0]), (2, ("certificate", true, end)), "{expires:?}");
    assert!(expires[1].0 == "client-ca" && expires[1].2 > end, "{expires:?}");
    assert_eq!(log::lines(&["a certificate expires soon", &path]).len(), 1);
    assert_eq!(log::lines(&["TLS clients will refuse this server", &path]).len(), 0);
    logged(&path, "TLS clients will refuse this server").await;
    let lines = log::lines(&["TLS clients will refuse this server", &path]);
    assert!(lines.len() == 1 && lines[0].contains("the certificate expired "), "{lines:?}");

    // The next certificate is used at once.
    replace(
        &folder,
        &files,
        &AUTHORITY.issue_with(&folder, "next", |params| {
            params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(now + 20 * 24 * 3600);
        }),
    );
    let renewed = async || {
        let certificates = server.nodes().status().await.swap_remove(0).certificates;
        certificates[0].expires == now + 20 * 24 * 3600
    };
    let known = async {
        while !renewed().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within("the next certificate to be known", known).await;
    let lines = log::lines(&["a certificate expires soon", &path, "left=\"19 days\""]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    server.shutdown().await;
}

/// A failed handshake ends only that connection, and the log says why.
#[tokio::test]
async fn a_client_that_does_not_trust_the_server_is_logged() {
    let folder = Folder::new("tls-untrusted");
    let server = encrypted(app(), "tls://127.0.0.1:0", Authority::new().issue(&folder, "server")).await;
    let (socket, peer) = socket(&server).await;
    AUTHORITY.client(None).over(socket).await.expect_err("it is not trusted");
    let line = log::closing_line(peer).await;
    assert!(line.contains("transport: the client broke the TLS handshake off: "), "{line}");
    // A client that connects and closes without a byte is not counted as an error.
    let mut look = tokio::net::TcpStream::connect(address(&server)).await.expect("it listens");
    use tokio::io::AsyncWriteExt as _;
    look.shutdown().await.expect("it lives");
    assert_eq!(within("its end", look.read(&mut [0])).await.expect("an end"), 0);
    let stats = server.shutdown().await;
    assert_eq!(stats.closes, [("client-closed", 1), ("transport", 1)].into());
}
