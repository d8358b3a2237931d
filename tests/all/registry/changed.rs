//! A codec is loaded from a registry, and swapped when its tag names another version.

use wireplug_tests::registry::Mode;
use wireplug_tests::versions;

use super::{Rig, echo, remote, slot, swapped, until, version};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_under_the_tag_is_one_swap() {
    let rig = Rig::new();
    let first = rig.registry.put("1", &version(1));
    let server = rig.start().await;
    echo(&server).await;
    let status = slot(&server).status();
    assert_eq!(status.name, "chat", "the name of the repository");
    assert_eq!(status.generations[0].origin, format!("{}@{first}", rig.registry.reference("1")));
    assert!(!status.generations[0].from_cache);
    assert_eq!(status.generations[0].sha256, Some(versions::digest(&version(1))));
    let known = remote(&status);
    assert_eq!(known.reference, rig.registry.reference("1"));
    assert_eq!((known.version.as_deref(), &known.problem), (Some(&*first), &None));
    assert!(known.answered_at.is_some());

    // Other tags are of no interest.
    rig.registry.put("2", &version(2));
    let third = rig.registry.put("1", &version(3));
    assert_eq!(swapped(&server, 2).await, Some(versions::digest(&version(3))));
    let status = slot(&server).status();
    let origin = &status.generations.last().expect("there is one").origin;
    assert_eq!(*origin, format!("{}@{third}", rig.registry.reference("1")));
    echo(&server).await;

    // A codec that was swapped in by hand stays until the tag names another version.
    let by_hand = wireplug::CodecSource::bytes("chat", version(4), serde_json::json!({}));
    slot(&server).swap(&by_hand, None).await.expect("it is good");
    let asked = rig.registry.requests().len();
    until(&server, "two more looks", |_| rig.registry.requests().len() >= asked + 2).await;
    assert_eq!(slot(&server).status().current, 3);
    rig.registry.put("1", &version(5));
    assert_eq!(swapped(&server, 4).await, Some(versions::digest(&version(5))));
    server.shutdown().await;
}

/// Returns how often manifests were asked for with a method.
fn asked(rig: &Rig, method: &str) -> usize {
    let requests = rig.registry.requests();
    requests.iter().filter(|request| request.starts_with(method) && request.contains("/manifests/")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_is_fetched_again_only_by_a_reload() {
    let rig = Rig::new();
    let digest = rig.registry.put("1", &version(1));
    let server = rig.try_start(rig.source(&rig.registry.pinned(&digest))).await.expect("it starts");
    // A second server, at a tag, shows that the time of some looks has passed.
    let other = rig.start().await;
    rig.registry.put("1", &version(2));
    swapped(&other, 2).await;
    other.shutdown().await;
    assert_eq!(slot(&server).status().current, 1);
    let gets = asked(&rig, "GET");
    assert_eq!(slot(&server).reload().await.expect("it is there"), None, "it is the same");
    assert_eq!(asked(&rig, "GET"), gets + 1);
    assert!(!rig.registry.requests().iter().any(|it| it.starts_with("HEAD") && it.contains("sha256:")));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_asks_at_once() {
    let mut rig = Rig::new();
    rig.config.poll = std::time::Duration::from_secs(3600);
    rig.registry.put("1", &version(1));
    let server = rig.start().await;
    rig.registry.put("1", &version(2));
    let report = slot(&server).reload().await.expect("it is good").expect("it is another one");
    assert_eq!((report.to, report.to_sha256), (2, Some(versions::digest(&version(2)))));
    rig.registry.set(Mode::Away);
    slot(&server).reload().await.expect_err("the registry is away");
    echo(&server).await;
    server.shutdown().await;
}
