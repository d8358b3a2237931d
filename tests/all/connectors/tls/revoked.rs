//! Client certificates that were revoked.

use std::time::Duration;

use rcgen::CertificateParams;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wireplug::RunningServer;
use wireplug::config::TlsConfig;
use wireplug_tests::folder::Folder;
use wireplug_tests::{log, within};

use super::{AUTHORITY, Authority, address, encrypted};
use crate::connectors::app;

/// Returns whether the client with this certificate is served.
async fn admits(server: &RunningServer, identity: &TlsConfig) -> bool {
    let client = AUTHORITY.client(Some(identity));
    let Ok(mut client) = within("a handshake", client.connect(&address(server))).await else { return false };
    // In TLS 1.3, a client learns of a refusal only when it reads.
    let _ = client.write_all(b"1 echo a\n").await;
    let _ = client.flush().await;
    let mut answer = [0; 8];
    within("an answer", client.read_exact(&mut answer)).await.is_ok_and(|_| answer == *b"1 200 a\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_was_revoked_is_refused() {
    let folder = Folder::new("tls-revoked");
    let with_serial =
        |number: u64| move |params: &mut CertificateParams| params.serial_number = Some(number.into());
    let (good, lost) = (
        AUTHORITY.issue_with(&folder, "good", with_serial(1)),
        AUTHORITY.issue_with(&folder, "lost", with_serial(2)),
    );
    let tls = TlsConfig {
        client_ca: Some(AUTHORITY.root(&folder)),
        client_crl: Some(AUTHORITY.revoke(&folder, &[], 2500)),
        ..AUTHORITY.issue(&folder, "server")
    };
    let server = encrypted(app(), "tls://127.0.0.1:0", tls.clone()).await;
    assert!(admits(&server, &good).await && admits(&server, &lost).await);
    let list = tls.client_crl.as_ref().expect("a list").display().to_string();
    let is_out_of_date = || log::lines(&["a list of revoked certificates is out of date", &list]).len();
    assert_eq!(is_out_of_date(), 0);

    // A list that is out of date is better than none.
    AUTHORITY.revoke(&folder, &[2], 2021);
    within("the next list to be read", async {
        while admits(&server, &lost).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(admits(&server, &good).await);
    assert_eq!(is_out_of_date(), 1);

    // Nobody knows whether a certificate was revoked if its issuer has no list here. The issuer of
    // this list has the same name and another key.
    Authority::new().revoke(&folder, &[], 2500);
    within("the list of others to be read", async {
        while admits(&server, &good).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    server.shutdown().await;
}
