//! Starts without the registry.

use wireplug::trust::{PrivateKey, Trust};
use wireplug_tests::registry::Mode;
use wireplug_tests::{log, versions, within};

use super::{Rig, echo, remote, slot, swapped, until, version};

/// Starts a server that must find this version in the cache, which is written in the background.
async fn start_from_cache(rig: &Rig, number: u64) -> wireplug::RunningServer {
    within("the version to be kept", async {
        loop {
            if let Ok(server) = rig.try_start(rig.chat()).await {
                if slot(&server).status().generations[0].sha256 == Some(versions::digest(&version(number))) {
                    return server;
                }
                server.shutdown().await;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_good_version_serves_while_the_registry_is_away() {
    let rig = Rig::new();
    let reference = rig.registry.reference("1");
    rig.registry.put("1", &version(1));
    let server = rig.start().await;
    let second = rig.registry.put("1", &version(2));
    swapped(&server, 2).await;
    server.shutdown().await;

    rig.registry.set(Mode::Away);
    let server = start_from_cache(&rig, 2).await;
    echo(&server).await;
    let status = slot(&server).status();
    assert!(status.generations[0].from_cache);
    assert_eq!(status.generations[0].origin, format!("the last good version of {reference}"));
    let known = remote(&status);
    assert_eq!((&known.version, known.answered_at), (&None, None));
    assert!(known.failing_since.is_some() && known.problem.is_some(), "{known:?}");
    let sha256 = versions::digest(&version(2)).to_string();
    let lines = log::lines(&["ERROR", "THE LAST GOOD VERSION SERVES from the cache", &sha256]);
    assert!(lines[0].contains(&format!("cannot fetch the codec {reference}: ")), "{}", lines[0]);

    // The registry comes back with the same version, and then another one.
    rig.registry.set(Mode::Works);
    until(&server, "the registry", |status| remote(status).version.as_ref() == Some(&second)).await;
    assert_eq!(slot(&server).status().current, 1, "it is the same component");
    rig.registry.put("1", &version(3));
    swapped(&server, 2).await;
    let generation = slot(&server).status().generations.pop().expect("there is one");
    assert!(!generation.from_cache);
    server.shutdown().await;

    // Another reference has nothing in the cache.
    rig.registry.set(Mode::Away);
    let other = rig.source(&rig.registry.reference("2"));
    assert!(rig.refused(other).await.starts_with("cannot fetch the codec "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_cache_is_checked_like_anything_else() {
    let mut rig = Rig::new();
    rig.registry.put("1", &version(1));
    rig.start().await.shutdown().await;
    rig.registry.set(Mode::Away);
    let why = rig.refused(rig.chat().pinned(versions::digest(&version(2)))).await;
    assert!(why.starts_with("cannot fetch the codec "), "{why}");
    let key = PrivateKey::generate().expect("there are random bytes");
    rig.trust = Some(Trust::required().key("release", key.public()));
    let why = rig.refused(rig.chat()).await;
    assert!(why.starts_with("cannot fetch the codec "), "{why}");
    rig.trust = None;
    let server = rig.try_start(rig.chat().pinned(versions::digest(&version(1)))).await.expect("it is kept");
    echo(&server).await;
    server.shutdown().await;
}
