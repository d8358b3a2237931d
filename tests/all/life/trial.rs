//! Candidates on trial: as shadows of live sessions, and as canaries.

use std::time::Duration;

use serde_json::json;
use wireplug::config::LiveSessions::{Drain, Handoff};
use wireplug::config::{FaultLimits, SwapConfig};
use wireplug::slot::{Role, SwapError, Trial};
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::client::Client;
use wireplug_tests::hostile::Function::{Restore, Save};
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_tests::raw::Raw;
use wireplug_tests::server::{self, Setup, TestServer};
use wireplug_tests::versions;

use super::guests::{self, marked};
use super::{echo, forgive, generation, guest, pomelo, sessions_by_generation, slot, until, until_sessions};

async fn lines(source: &Guest, faults: FaultLimits) -> TestServer {
    server::serve(app::with_guests(), Setup { faults, ..server::setup() }, [guest(source)]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_that_answers_alike() {
    let server = server::serve(app::demo(), server::setup(), [pomelo(1)]).await;
    let slot = &slot(&server);
    let mut live = [Client::connect(&server.tcp()).await, Client::connect(&server.ws()).await];
    assert_eq!(slot.try_out(&pomelo(2), Trial::Shadow, 1.0).await.expect("a good codec"), 2);
    assert_eq!(
        (generation(slot, 2).role, sessions_by_generation(slot)),
        (Role::Shadow, vec![(1, 2), (2, 0)])
    );
    // The shadow joins existing sessions by `save`. A request and its answer are compared.
    for client in &mut live {
        assert_eq!(client.call(ECHO, &json!(1)).await, json!(1));
    }
    let compared = || slot.status().shadow.expect("there is a shadow").compared;
    assert_eq!(compared(), 4);
    // The shadow joins new sessions when they open. Two packets of the handshake, the answer to the
    // hello, a request and its answer are compared.
    let mut new = Client::connect(&server.ws()).await;
    assert_eq!(new.call(ECHO, &json!(2)).await, json!(2));
    assert!(compared() >= 4 + 5, "{}", compared());
    let shadow = slot.status().shadow.expect("there is a shadow");
    assert_eq!((shadow.differences, shadow.not_mirrored, shadow.first), (0, 0, vec![]));

    // After its end, the candidate gets no more calls.
    assert_eq!(slot.end_trial().await.expect("it is on trial"), 2);
    assert_eq!(sessions_by_generation(slot), [(1, 3)]);
    let before = compared();
    for client in live.iter_mut().chain([&mut new]) {
        assert_eq!(client.call(ECHO, &json!(3)).await, json!(3));
    }
    assert_eq!(compared(), before, "what it came to is still to be seen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_that_answers_otherwise() {
    let server = lines(
        &marked("current"),
        FaultLimits { rollback: 0, suspend: 0, per_address: 0, ..FaultLimits::default() },
    )
    .await;
    let slot = &slot(&server);
    let mut client = Raw::connect(&server.tcp()).await;
    echo(&mut client, "a first line").await;
    // The candidate ignores packets that begin with `!`.
    let deaf = "(call $three (call $alloc (i32.const 16)) (i32.const 0) (i32.const 0) (i32.const 0))";
    let candidate = marked("candidate").strike(deaf);
    slot.try_out(&guest(&candidate), Trial::Shadow, 1.0).await.expect("it fits");
    for n in 0..20 {
        echo(&mut client, &format!("!{n}")).await;
        echo(&mut client, &format!("{n}")).await;
    }
    let shadow = slot.status().shadow.expect("there is a shadow");
    assert_eq!((shadow.compared, shadow.differences, shadow.not_mirrored), (80, 20, 0));
    assert_eq!(shadow.first.len(), 16);
    let first = &shadow.first[1];
    let shown = (&*first.call, &*first.input, &*first.current, &*first.candidate);
    assert_eq!(shown, ("decode", "2131", "request 1 a.b.c !1", "nothing"));
    assert_eq!(server.stats().closes, [].into());
}

/// Its faults are counted, its trial ends, and the component is refused after that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_that_fails_hurts_no_session() {
    const CLIENTS: usize = 5;
    for (body, cause) in [(bodies::TRAP, "trap"), (bodies::LOOP, "deadline"), (bodies::LEAP, "memory")] {
        let faults =
            FaultLimits { rollback: CLIENTS as u32, suspend: 5, per_address: 0, ..FaultLimits::default() };
        let server = lines(&marked("current"), faults).await;
        let slot = &slot(&server);
        let candidate = marked("candidate").strike(body);
        slot.try_out(&guest(&candidate), Trial::Shadow, 1.0).await.expect("it fits");
        let mut clients = Vec::new();
        for n in 0..CLIENTS {
            let mut client = Raw::connect(&server.tcp()).await;
            echo(&mut client, "honest").await;
            assert_eq!(sessions_by_generation(slot), [(1, n + 1), (2, 0)]);
            echo(&mut client, "!strike").await;
            // The shadow is gone, so the second strike does not count.
            echo(&mut client, "!strike").await;
            if n + 1 < CLIENTS {
                assert_eq!(generation(slot, 2).faults, [(cause.to_owned(), n as u64 + 1)].into());
            }
            clients.push(client);
        }
        until_sessions(slot, &[(1, CLIENTS)]).await;
        let status = slot.status();
        assert_eq!(status.rolled_back, [versions::digest(&candidate.build())]);
        assert!(!status.suspended);
        for client in &mut clients {
            echo(client, "!strike").await;
        }
        let again = slot.try_out(&guest(&candidate), Trial::Shadow, 1.0).await;
        let error = again.expect_err("it was rolled back").to_string();
        assert!(error.contains("was rolled back in the slot guest, and is not taken again"), "{error}");
        forgive(slot);
        slot.try_out(&guest(&candidate), Trial::Shadow, 1.0).await.expect("forgiven");
        assert_eq!(server.stats().closes, [].into());
    }
}

/// A session that cannot be mirrored is counted, and served as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_that_cannot_join() {
    let off = FaultLimits { rollback: 0, suspend: 0, per_address: 0, ..FaultLimits::default() };
    let candidates = [
        marked("refuses").with(Restore, guests::REFUSE),
        marked("traps").with(Restore, bodies::TRAP),
        Guest::new("cannot"),
    ];
    for candidate in candidates {
        let server = lines(&marked("current"), off).await;
        let slot = &slot(&server);
        let mut client = Raw::connect(&server.tcp()).await;
        echo(&mut client, "there already").await;
        slot.try_out(&guest(&candidate), Trial::Shadow, 1.0).await.expect("it fits");
        echo(&mut client, "still there").await;
        let shadow = slot.status().shadow.expect("there is a shadow");
        assert_eq!((shadow.compared, shadow.not_mirrored), (0, 1));
        // A new session needs no `save` to be mirrored.
        let mut new = Raw::connect(&server.tcp()).await;
        echo(&mut new, "from the start").await;
        assert_eq!(slot.status().shadow.expect("there is a shadow").compared, 2);
    }
    // The current codec refuses to save its session for the shadow.
    let server = lines(&marked("current").with(Save, guests::REFUSE), off).await;
    let mut client = Raw::connect(&server.tcp()).await;
    echo(&mut client, "there already").await;
    slot(&server).try_out(&guest(&marked("candidate")), Trial::Shadow, 1.0).await.expect("it fits");
    echo(&mut client, "still there").await;
    assert_eq!(slot(&server).status().shadow.expect("there is a shadow").not_mirrored, 1);
}

/// Starts a server with two hundred sessions, a quarter of them on the candidate.
async fn canary() -> (TestServer, Vec<Raw>, usize) {
    let off = FaultLimits { rollback: 0, suspend: 0, per_address: 0, ..FaultLimits::default() };
    let server = lines(&marked("current"), off).await;
    let slot = &slot(&server);
    assert_eq!(slot.try_out(&guest(&marked("canary")), Trial::Canary, 0.25).await.expect("it fits"), 2);
    let mut clients = Vec::new();
    for n in 0..200 {
        let mut client = Raw::connect(&server.tcp()).await;
        echo(&mut client, &n.to_string()).await;
        clients.push(client);
    }
    let candidate = generation(slot, 2);
    assert_eq!((candidate.role, candidate.opened), (Role::Canary, candidate.sessions as u64));
    assert!((40..=60).contains(&candidate.sessions), "{} of 200", candidate.sessions);
    assert_eq!(sessions_by_generation(slot), [(1, 200 - candidate.sessions), (2, candidate.sessions)]);
    (server, clients, candidate.sessions)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_gets_its_share_and_is_promoted() {
    let (server, mut clients, share) = canary().await;
    let slot = &slot(&server);
    let report = slot.promote(Some(Handoff)).await.expect("it is on trial");
    assert_eq!((report.from, report.to, report.moved), (1, 2, 200 - share as u64));
    assert_eq!(sessions_by_generation(slot), [(1, 0), (2, 200)]);
    for client in &mut clients {
        echo(client, "moved").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_whose_trial_ends_gives_its_sessions_back() {
    let (server, mut clients, share) = canary().await;
    let slot = &slot(&server);
    assert_eq!(slot.end_trial().await.expect("it is on trial"), 2);
    assert_eq!(sessions_by_generation(slot), [(1, 200)]);
    assert_eq!(generation(slot, 1).moved_in, share as u64);
    for client in &mut clients {
        echo(client, "moved").await;
    }
    let mut new = Raw::connect(&server.tcp()).await;
    echo(&mut new, "nobody is on trial").await;
    assert_eq!(sessions_by_generation(slot), [(1, 201)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_trial_is_refused() {
    let server = server::serve(app::demo(), server::setup(), [pomelo(1)]).await;
    let slot = &slot(&server);
    let refused = |text: &'static str, error: SwapError| {
        let error = error.to_string();
        assert!(error.contains(text), "{error}");
    };
    refused("no candidate of pomelo is on trial", slot.promote(None).await.expect_err("none"));
    refused("no candidate of pomelo is on trial", slot.end_trial().await.expect_err("none"));
    for share in [0.0, -0.5, 1.01, f64::NAN] {
        let error = slot.try_out(&pomelo(2), Trial::Canary, share).await.expect_err("no share");
        refused("the share is more than 0 and at most 1", error);
    }
    let lines = slot.try_out(&guest(&marked("lines")), Trial::Shadow, 1.0).await;
    refused("try it as a canary instead", lines.expect_err("another framing"));
    assert_eq!(sessions_by_generation(slot), [(1, 0)]);

    slot.try_out(&pomelo(2), Trial::Canary, 0.5).await.expect("a good codec");
    for trial in [Trial::Canary, Trial::Shadow] {
        let error = slot.try_out(&pomelo(3), trial, 0.5).await.expect_err("a second one");
        refused("is on trial already: promote it or end its trial first", error);
    }
    let roles: Vec<_> = slot.status().generations.iter().map(|generation| generation.role).collect();
    assert_eq!(roles, [Role::Current, Role::Canary]);
}

/// A swap also ends a trial. The candidate's sessions move, and those that cannot move drain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_ends_a_trial() {
    let swap = SwapConfig { drain_timeout: Duration::from_millis(500), ..SwapConfig::default() };
    let server =
        server::serve(app::with_guests(), Setup { swap, ..server::setup() }, [guest(&marked("first"))]).await;
    let slot = &slot(&server);
    for (candidate, stays) in [(marked("canary"), false), (Guest::new("settled"), true)] {
        let number = slot.try_out(&guest(&candidate), Trial::Canary, 1.0).await.expect("it fits");
        let mut client = Raw::connect(&server.tcp()).await;
        echo(&mut client, "on the canary").await;
        assert_eq!(generation(slot, number).sessions, 1);
        slot.swap(&guest(&marked("next")), Some(Drain)).await.expect("it fits");
        assert!(slot.end_trial().await.is_err(), "it is over");
        if stays {
            assert_eq!(client.rest().await, b"");
            server.until_closed("replaced", 1).await;
        } else {
            echo(&mut client, "moved").await;
            let status = until(slot, "the candidate to be let go of", |status| {
                status.generations.iter().all(|generation| generation.number != number)
            })
            .await;
            assert_eq!(generation(slot, status.current).sessions, 1);
            drop(client);
            server.until("it is gone", |stats| stats.connections_open == 0).await;
        }
    }
}
