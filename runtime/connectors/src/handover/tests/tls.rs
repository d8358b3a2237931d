//! A stream goes over before it switches to TLS, and not after that.

use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;
use crate::StartTls;
use crate::config::TlsConfig;

/// The files of a server whose certificate the connector trusts.
struct Authority {
    certificate: Temporary,
    key: Temporary,
    client: TlsConnector,
}

impl Authority {
    fn new() -> Self {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let (certificate, key) = (Temporary::new("certificate"), Temporary::new("key"));
        fs::write(&certificate.0, issued.cert.pem()).expect("it can be written");
        fs::write(&key.0, issued.signing_key.serialize_pem()).expect("it can be written");
        let mut roots = RootCertStore::empty();
        roots.add(issued.cert.der().clone()).expect("it is one");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("it knows them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { certificate, key, client: TlsConnector::from(Arc::new(config)) }
    }

    fn options(&self, starttls: bool) -> ListenOptions {
        let files = TlsConfig { starttls, ..TlsConfig::new(&self.certificate.0, &self.key.0) };
        ListenOptions { tls: Some(files), ..ListenOptions::default() }
    }
}

#[tokio::test]
async fn a_stream_that_waits_for_starttls_goes_over_and_can_switch_there() {
    let authority = Authority::new();
    let options = authority.options(true);
    let mut first = tcp_started(Protocol::Stream, &options).await;
    let client = TcpStream::connect(("127.0.0.1", port(&first))).await.expect("it listens");
    let accepted = opened(&mut first).await;
    assert!(accepted.starttls.is_some() && accepted.attributes[0].0 == StartTls::ATTRIBUTE);
    let mut served = stream(accepted);

    let mut encrypted = tcp(Protocol::Stream, 0).encrypted();
    encrypted.start(&authority.options(false)).await.expect("there is a free port");
    let error = encrypted.adopt(hand_over(&mut served)).err().expect("it speaks no TLS");
    assert_eq!(error.to_string(), "the client speaks no TLS, and this listener only TLS");

    let mut second = tcp(Protocol::Stream, port(&first));
    start_on(&mut second, first.sockets().expect("descriptors are left"), &options).await;
    let moved = second.adopt(hand_over(&mut served)).expect("it is its client");
    drop(served);
    let Opened { starttls: Some(starttls), socket: Socket::Stream(moved), .. } = moved else {
        panic!("it is offered here too")
    };
    let name = ServerName::try_from("localhost").expect("a name");
    let (client, secured) =
        tokio::join!(authority.client.connect(name, client), starttls.begin(moved, Vec::new()));
    let mut secured = secured.expect("the handshake succeeds").stream;
    talk(client.expect("the handshake succeeds"), &mut secured).await;
    let why = "it is encrypted, and the keys of TLS cannot leave the process";
    assert_eq!(secured.prepare_handover(), Err(why));
    assert!(!secured.may_be_handed_over());
}
