//! TLS that begins in the middle of a stream.

use std::process::Command;

use bytes::Bytes;
use rcgen::{CertificateParams, DnType};
use wireplug::Session;
use wireplug::config::{ClientLimits, LiveSessions, TlsConfig};
use wireplug_tests::folder::Folder;
use wireplug_tests::{log, within};

use super::{Client, app, connect, digits, serve};
use crate::connectors::tls::AUTHORITY;

fn tls(folder: &Folder) -> TlsConfig {
    TlsConfig { starttls: true, ..AUTHORITY.issue(folder, "server") }
}

#[tokio::test]
async fn the_reply_comes_first_and_then_the_handshake() {
    let folder = Folder::new("starttls");
    let server = serve(app(), Some(tls(&folder)), ClientLimits::default()).await;
    let mut client = connect(&server).await;
    // The response to a request before the command is encoded after the handshake.
    client.send("1 2 echo\nhiSTLS\r\n").await;
    client.expect("+OK begin\r\n").await;
    let mut client = Client(AUTHORITY.client(None).over(client.0).await.expect("a handshake"));
    client.expect("+OK TLS 1.3\r\n1 2 200\nhi").await;
    client.send("2 5 echo\nhello").await;
    client.expect("2 5 200\nhello").await;
    // TLS begins only once.
    client.send("STLS\r\n").await;
    client.expect("-ERR no TLS\r\n").await;
}

/// Responses that wait for TLS do not keep TLS from beginning, even if they are more than the
/// high-water mark.
#[tokio::test]
async fn responses_above_the_high_water_mark_come_after_the_handshake() {
    let folder = Folder::new("starttls-high");
    let limits = ClientLimits { high_water: 100, ..ClientLimits::default() };
    let server = serve(app(), Some(tls(&folder)), limits).await;
    let mut client = connect(&server).await;
    let body = "x".repeat(100);
    // One segment, so that both requests are decoded before the first response is encoded.
    client.send(format!("1 100 echo\n{body}2 100 echo\n{body}STLS\r\n")).await;
    client.expect("+OK begin\r\n").await;
    let mut client = Client(AUTHORITY.client(None).over(client.0).await.expect("a handshake"));
    client.expect("+OK TLS 1.3\r\n").await;
    client.expect(&format!("1 100 200\n{body}2 100 200\n{body}")).await;
}

/// RFC 2595, and CVE-2011-0411: nothing that was sent in the clear behind the command counts.
#[tokio::test]
async fn what_is_smuggled_behind_the_command_is_never_decoded() {
    let folder = Folder::new("starttls-smuggled");
    let server = serve(app(), Some(tls(&folder)), ClientLimits::default()).await;
    let mut client = connect(&server).await;
    client.send("STLS\r\n1 5 echo\nhello").await;
    client.expect("+OK begin\r\n").await;
    let rest = client.rest().await;
    assert!(!rest.contains("200"), "{rest}");
    let line = log::closing_line(client.0.local_addr().expect("an address")).await;
    assert!(line.contains("cause=\"transport\""), "{line}");
    let stats = server.shutdown().await;
    assert_eq!((stats.messages_in, stats.packets_in), (0, 1), "{stats}");
}

/// Before, the application sees that TLS is offered.
#[tokio::test]
async fn the_application_sees_what_tls_added() {
    let folder = Folder::new("starttls-attributes");
    let named = |params: &mut CertificateParams| {
        params.distinguished_name.push(DnType::CommonName, "meter-7");
    };
    let identity = AUTHORITY.issue_with(&folder, "client", named);
    let tls = TlsConfig { client_ca: Some(AUTHORITY.root(&folder)), ..tls(&folder) };
    let app = app().route("names", |session: Session| async move {
        let names = session.client().attributes.iter().map(|(name, _)| name.as_str());
        Bytes::from(names.collect::<Vec<_>>().join(" "))
    });
    let server = serve(app, Some(tls), ClientLimits::default()).await;
    let mut client = connect(&server).await;
    client.send("1 0 names\n").await;
    client.expect("1 8 200\nstarttls").await;
    client.send("STLS\r\n").await;
    client.expect("+OK begin\r\n").await;
    let mut client = Client(AUTHORITY.client(Some(&identity)).over(client.0).await.expect("a handshake"));
    client.expect("+OK TLS 1.3\r\n").await;
    client.send("2 0 names\n").await;
    client.expect("2 56 200\ntls-version tls-sni tls-client-subject tls-client-sha256").await;
}

#[tokio::test]
async fn a_listener_without_it_offers_none() {
    let server = serve(app(), None, ClientLimits::default()).await;
    let mut client = connect(&server).await;
    client.send("STLS\r\n1 2 echo\nhi").await;
    client.expect("-ERR no TLS\r\n1 2 200\nhi").await;
}

#[tokio::test]
async fn a_client_that_says_no_tls_is_given_up() {
    let folder = Folder::new("starttls-silent");
    let limits =
        ClientLimits { handshake_timeout: std::time::Duration::from_millis(300), ..ClientLimits::default() };
    let server = serve(app(), Some(tls(&folder)), limits).await;
    let mut client = connect(&server).await;
    client.send("STLS\r\n").await;
    client.expect("+OK begin\r\n").await;
    within("the end", client.rest()).await;
    assert_eq!(server.shutdown().await.closes.get("transport"), Some(&1));
}

/// A swap does not wait for clients, and a session follows it as soon as it can.
#[tokio::test]
async fn a_session_that_a_swap_finds_in_the_handshake_moves_after_it() {
    let folder = Folder::new("starttls-swap");
    let server = serve(app(), Some(tls(&folder)), ClientLimits::default()).await;
    let slot = &server.slots()[0];
    let sessions = || -> Vec<_> {
        slot.status().generations.iter().map(|generation| (generation.number, generation.sessions)).collect()
    };
    let mut client = connect(&server).await;
    client.send("STLS\r\n").await;
    client.expect("+OK begin\r\n").await;
    for to in 2..=3 {
        let swapped = within("a swap", slot.swap(&digits(), Some(LiveSessions::Handoff))).await;
        let report = swapped.expect("a good codec");
        assert_eq!((report.to, report.moved, report.staying), (to, 0, 1), "{report:?}");
    }
    assert_eq!(sessions(), [(1, 1), (2, 0), (3, 0)]);
    let mut client = Client(AUTHORITY.client(None).over(client.0).await.expect("a handshake"));
    client.expect("+OK TLS 1.3\r\n").await;
    client.send("1 5 echo\nhello").await;
    client.expect("1 5 200\nhello").await;
    assert_eq!(sessions(), [(2, 0), (3, 1)]);
    // The new codec knows that TLS is up.
    client.send("STLS\r\n").await;
    client.expect("-ERR no TLS\r\n").await;
}

/// OpenSSL speaks POP3 until TLS begins.
#[tokio::test]
async fn openssl_begins_tls() {
    let folder = Folder::new("starttls-openssl");
    for version in ["-tls1_2", "-tls1_3"] {
        let server = serve(app(), Some(tls(&folder)), ClientLimits::default()).await;
        let address = server.urls()[0].replace("tcp://", "");
        let mut openssl = Command::new("sh");
        let script = "(sleep 1; printf '1 5 echo\\nhello2 0 kick\\n') | openssl s_client -starttls pop3 -connect \"$1\" -servername localhost \
            -CAfile \"$2\" -verify_return_error -quiet \"$3\"";
        openssl.args(["-c", script, "sh", &address]).arg(AUTHORITY.root(&folder)).arg(version);
        let output = crate::connectors::run(openssl).await;
        let heard = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(heard.contains("1 5 200\nhello"), "{heard}{}", String::from_utf8_lossy(&output.stderr));
    }
}
