//! Registries that are away, hang, refuse, or send something else than they should.

use std::time::Duration;

use wireplug_tests::registry::Mode;
use wireplug_tests::{log, versions};

use super::{Rig, echo, remote, slot, swapped, until, version};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_away_changes_nothing_that_runs() {
    let mut rig = Rig::new();
    rig.registry.put("1", &version(1));
    let reference = rig.registry.reference("1");
    // A server with another time-out for the registry that hangs.
    rig.config.timeout = Duration::from_millis(500);
    let server = rig.start().await;
    let warned = || log::lines(&["WARN", "cannot be fetched", &reference]).len();
    let (mut current, mut failures) = (1, 0);
    for (mode, problem) in
        [(Mode::Away, "failed: "), (Mode::Hangs, "has not answered within 500ms"), (Mode::Fails, "code: 500")]
    {
        rig.registry.set(mode);
        let status = until(&server, "the failure", |status| remote(status).problem.is_some()).await;
        let said = remote(&status).problem.as_deref().unwrap_or_default();
        assert!(said.contains(problem) && said.len() < 1000, "{mode:?}: {said}");
        assert!(remote(&status).failing_since.is_some());
        assert_eq!(status.current, current);
        let error = wireplug_tests::chain(&slot(&server).reload().await.expect_err("it cannot be fetched"));
        assert!(error.starts_with(&format!("cannot fetch the codec {reference}: ")), "{error}");
        echo(&server).await;
        failures += 1;
        assert_eq!(warned(), failures, "one line for all failures in a row");

        rig.registry.set(Mode::Works);
        until(&server, "the registry", |status| remote(status).problem.is_none()).await;
        current += 1;
        rig.registry.put("1", &version(current));
        assert_eq!(swapped(&server, current).await, Some(versions::digest(&version(current))));
    }
    assert_eq!(log::lines(&["can be fetched again", &reference]).len(), failures);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_what_its_digest_says_is_never_used() {
    let rig = Rig::new();
    rig.registry.put("1", &version(1));
    let server = rig.start().await;
    let mut current = 1;
    for (mode, problem) in [
        (Mode::WrongBlob, "igest"),
        (Mode::WrongManifest, "igest"),
        (Mode::Huge, "more bytes come than the "),
    ] {
        rig.registry.set(mode);
        rig.registry.put("1", &version(current + 1));
        let status = until(&server, "the failure", |status| remote(status).problem.is_some()).await;
        let said = remote(&status).problem.as_deref().unwrap_or_default();
        assert!(said.contains(problem), "{mode:?}: {said}");
        assert_eq!(slot(&server).status().current, current, "{mode:?}");
        echo(&server).await;
        rig.registry.set(Mode::Works);
        current += 1;
        assert_eq!(swapped(&server, current).await, Some(versions::digest(&version(current))));
    }
    // The buffers of the sockets took some of it, each time.
    assert!(rig.registry.sent() < 256 << 20, "{} bytes of 1 GiB were read", rig.registry.sent());
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_says_why_there_is_no_codec() {
    let mut rig = Rig::new();
    rig.config.timeout = Duration::from_millis(500);
    let reference = rig.registry.reference("1");
    let begin = format!("cannot fetch the codec {reference}: the registry {} ", rig.registry.address());
    let why = rig.refused(rig.chat()).await;
    assert!(why.starts_with(&format!("{begin}failed: ")) && why.contains("unknown"), "{why}");
    rig.registry.put("1", &version(1));
    rig.registry.set(Mode::Hangs);
    let why = rig.refused(rig.chat()).await;
    assert_eq!(why, format!("{begin}has not answered within 500ms"));
    rig.registry.set(Mode::Works);
    rig.registry.set_user("ann", "secret");
    let why = rig.refused(rig.chat()).await;
    assert!(why.starts_with(&format!("{begin}refuses: ")), "{why}");
    assert!(why.contains(&format!("`docker login {}`", rig.registry.address())), "{why}");
}
