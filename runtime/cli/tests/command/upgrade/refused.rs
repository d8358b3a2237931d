//! Upgrades that are not made. The server goes on, and says why.

use serde_json::json;
use wireplug_tests::client::Client;

use super::{DEMO, Upgradable};

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
