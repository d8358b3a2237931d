//! Upgrades that are not made. The server goes on, and says why.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use wireplug_tests::client::Client;
use wireplug_tests::folder::Folder;
use wireplug_tests::running::{PATIENCE, Running, Signal, finish, wait_for};

use super::{DEMO, Successor, Upgradable};

/// A server that drains has no use for an upgrade, and one that ends takes the new process along.
#[tokio::test(flavor = "multi_thread")]
async fn not_while_the_server_ends() {
    let folder = Folder::new("upgrade-slow");
    let started = folder.path("started");
    let slow = folder.write(
        "slow",
        format!("#!/bin/sh\necho $$ > {0}.new && mv {0}.new {0}\nexec sleep 1000\n", started.display()),
    );
    std::fs::set_permissions(&slow, std::fs::Permissions::from_mode(0o700)).expect("it is ours");
    let begin = |old: &Upgradable| {
        let upgrade = Running::start(old.command(&["upgrade"]).arg(&slow));
        let pid = wait_for("the new process", PATIENCE, || std::fs::read_to_string(&started).ok());
        std::fs::remove_file(&started).expect("it is there");
        (upgrade, Successor(pid.trim().parse().expect("a number")))
    };

    let mut old = Upgradable::start("upgrade-drains", DEMO);
    let (mut upgrade, new) = begin(&old);
    let busy = old.refused(&[]);
    assert!(busy.contains("another upgrade or a reload is under way"), "{busy}");
    finish(&mut old.command(&["drain"])).result().expect("it drains");
    assert_eq!(upgrade.exit_code(), Some(1));
    upgrade.log.find(&["the server drains or stops"]);
    wait_for("the end of the new process", PATIENCE, || (!new.is_running()).then_some(()));
    let why = old.refused(&[]);
    assert!(why.contains("the server drains or stops"), "{why}");
    old.server.signal(Signal::TERM);
    assert_eq!(old.server.exit_code(), Some(0));

    let mut old = Upgradable::start("upgrade-ends", DEMO);
    let (_upgrade, new) = begin(&old);
    old.server.signal(Signal::TERM);
    assert_eq!(old.server.exit_code(), Some(0));
    wait_for("the end of the new process", PATIENCE, || (!new.is_running()).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_take_over_changes_nothing() {
    let mut old = Upgradable::start("upgrade-refused", DEMO);
    let mut client = Client::open(&old.server.url("tcp")).await;
    client.handshake(None).await;
    let mut goes_on = async |why: &str| {
        assert_eq!(client.call("connector.entryHandler.echo", &json!(why)).await, json!(why));
        let mut other = Client::open(&old.server.url("ws")).await;
        other.handshake(None).await;
    };
    for (program, wanted) in [("/bin/true", "exit status: 0"), ("/bin/cat", "exit status: 1")] {
        let why = old.refused(&[program]);
        assert!(why.contains("the new process ended before it was ready") && why.contains(wanted), "{why}");
        goes_on(program).await;
    }
    let why = old.refused(&["/nonexistent/wireplug"]);
    assert!(why.contains("/nonexistent/wireplug"), "{why}");

    // A configuration that the new process cannot use.
    old.configure("app = 'demo'\nnonsense = 1");
    let why = old.refused(&[]);
    assert!(why.contains("the new process cannot serve") && why.contains("nonsense"), "{why}");
    goes_on("a mistake").await;
    old.configure(&DEMO.replace("127.0.0.1:0", "192.0.2.77:1"));
    let why = old.refused(&[]);
    assert!(why.contains("cannot listen on hybrid://192.0.2.77:1"), "{why}");
    goes_on("an address of others").await;

    old.configure(DEMO);
    let (new, report) = old.upgrade();
    assert_eq!(report["moved"], json!(1), "{report}");
    assert_eq!(old.server.exit_code(), Some(0));
    assert_eq!(client.call("connector.entryHandler.echo", &json!(1)).await, json!(1));
    new.end();
}
