//! Sessions that cannot move stay in the old process until they end.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;
use wireplug_tests::client::Client;
use wireplug_tests::folder::Folder;
use wireplug_tests::running::{Running, finish};

use super::{DEMO, Upgradable, hears, join, say};
use crate::program::wireplug;

/// A session whose listener is missing in the new configuration stays, and pushes reach it from
/// both processes, once each.
#[tokio::test(flavor = "multi_thread")]
async fn pushes_reach_the_sessions_of_both_processes() {
    let two = format!("{DEMO}\n[[listeners]]\nurl = 'tcp://127.0.0.1:0'\ncodec = 'pomelo'");
    let mut old = Upgradable::start("upgrade-stays", &two);
    let mut ann = Client::open(&old.server.url("tcp")).await;
    ann.handshake(None).await;
    let mut bob = Client::open(&old.server.urls[1]).await;
    bob.handshake(None).await;
    join(&mut ann, "ann").await;
    join(&mut bob, "bob").await;
    old.configure(DEMO);
    let (new, report) = old.upgrade();
    assert_eq!(report["moved"], json!(1), "{report}");
    assert_eq!(report["stayed"], json!({ "its listener is not in the new configuration": 1 }), "{report}");

    let mut late = Client::open(&old.server.url("ws")).await;
    late.handshake(None).await;
    join(&mut late, "late").await;
    for turn in 0..20 {
        let text = format!("turn {turn}");
        for (name, speaker) in [("ann", 0), ("bob", 1), ("late", 2)] {
            let mut clients = [&mut ann, &mut bob, &mut late];
            say(clients[speaker], &text).await;
            for client in &mut clients {
                hears(client, name, &text).await;
            }
        }
    }
    assert!(old.server.is_running());
    drop(bob);
    assert_eq!(old.server.exit_code(), Some(0), "its last session has ended");
    say(&mut ann, "alone").await;
    hears(&mut ann, "ann", "alone").await;
    hears(&mut late, "ann", "alone").await;
    new.end();
}

/// TLS cannot move. The session goes on, and new clients come to the new process at once.
#[tokio::test(flavor = "multi_thread")]
async fn tls_stays() {
    let folder = Folder::new("upgrade-tls");
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate = folder.write("certificate.pem", issued.cert.pem());
    let key = folder.write_secret("key.pem", issued.signing_key.serialize_pem());
    let tls = format!(
        "app = 'demo'
        [server]
        upgrade-timeout = '2s'
        [codecs.pomelo]
        builtin = 'pomelo'
        [[listeners]]
        url = 'tls://127.0.0.1:0'
        codec = 'pomelo'
        tls = {{ certificate = '{}', key = '{}' }}",
        certificate.display(),
        key.display()
    );
    let certificate = certificate.to_str().expect("it is text");
    let mut old = Upgradable::start("upgrade-tls-server", &tls);
    let url = format!("tls://localhost:{}", old.server.address().rsplit(':').next().expect("a port"));
    let call = |route: &str| {
        let mut command = wireplug(["call", &url, "--ca", certificate, route]);
        command.arg("{}");
        command
    };
    let listening = ["chat.chatHandler.join", r#"{"name":"ann"}"#, "--listen"];
    let mut ann = Running::start(wireplug(["call", &url, "--ca", certificate]).args(listening));
    assert_eq!(ann.line(), r#"{"name":"ann"}"#);
    let (new, report) = old.upgrade();
    let stayed = report["stayed"].as_object().expect("reasons");
    let (why, count) = stayed.iter().next().expect("one");
    assert!(why.contains("TLS") && *count == json!(1) && stayed.len() == 1, "{report}");
    finish(&mut call("connector.entryHandler.time")).result().expect("new clients are served");
    sleep(Duration::from_millis(100)).await;
    assert!(old.server.is_running() && ann.is_running());
    // After `upgrade-timeout` the session ends, as when the server stops.
    assert_eq!(old.server.exit_code(), Some(0));
    ann.exit_code();
    new.end();
}
