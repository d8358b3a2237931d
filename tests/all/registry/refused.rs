//! Versions in a registry that are refused: broken ones, others than the pin, and unsigned ones.

use wireplug::trust::{PrivateKey, Trust};
use wireplug_tests::{log, versions};

use super::{Rig, echo, remote, slot, swapped, until, version};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_version_is_refused_once_and_the_next_one_taken() {
    let rig = Rig::new();
    rig.registry.put("1", &version(1));
    let server = rig.start().await;
    let broken = rig.registry.put("1", b"no component");
    until(&server, "the refusal", |status| remote(status).version.as_ref() == Some(&broken)).await;
    let fetched = || {
        let requests = rig.registry.requests();
        requests.iter().filter(|request| request.starts_with("GET") && request.contains("/blobs/")).count()
    };
    let (before, looks) = (fetched(), rig.registry.requests().len());
    until(&server, "three more looks", |_| rig.registry.requests().len() >= looks + 6).await;
    assert_eq!(fetched(), before, "it would be refused again");
    let status = slot(&server).status();
    assert_eq!((status.current, &remote(&status).problem), (1, &None), "the registry works");
    let reference = rig.registry.reference("1");
    let lines = log::lines(&["ERROR", "the new version of the codec is refused", &reference]);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains(&format!("cannot load the codec {reference}@{broken}")), "{}", lines[0]);
    echo(&server).await;

    rig.registry.put("1", &version(2));
    assert_eq!(swapped(&server, 2).await, Some(versions::digest(&version(2))));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_holds_for_what_is_fetched() {
    let rig = Rig::new();
    rig.registry.put("1", &version(1));
    let why = rig.refused(rig.chat().pinned(versions::digest(&version(2)))).await;
    assert!(why.contains("its sha256 is ") && why.contains("the slot is pinned to "), "{why}");
    let server =
        rig.try_start(rig.chat().pinned(versions::digest(&version(1)))).await.expect("it is the right one");
    let other = rig.registry.put("1", &version(2));
    until(&server, "the refusal", |status| remote(status).version.as_ref() == Some(&other)).await;
    assert_eq!(slot(&server).status().current, 1);
    echo(&server).await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_is_needed_for_what_is_fetched() {
    let mut rig = Rig::new();
    let key = || PrivateKey::generate().expect("there are random bytes");
    let (release, other) = (key(), key());
    let signed = |key: &PrivateKey, number| key.sign(&version(number)).expect("it is signed");
    rig.trust = Some(Trust::required().key("release", release.public()));
    rig.registry.put("1", &version(1));
    assert!(rig.refused(rig.chat()).await.contains("it is not signed"));
    rig.registry.put("1", &signed(&other, 1));
    assert!(rig.refused(rig.chat()).await.contains("a key that is not trusted"));

    rig.registry.put("1", &signed(&release, 1));
    let server = rig.start().await;
    assert_eq!(slot(&server).status().generations[0].signed_by, ["release"]);
    for bad in [version(2), signed(&other, 2)] {
        let digest = rig.registry.put("1", &bad);
        until(&server, "the refusal", |status| remote(status).version.as_ref() == Some(&digest)).await;
        assert_eq!(slot(&server).status().current, 1);
    }
    let good = signed(&release, 2);
    rig.registry.put("1", &good);
    assert_eq!(swapped(&server, 2).await, Some(versions::digest(&good)));
    server.shutdown().await;
}
