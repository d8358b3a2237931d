//! The recent events, as the control API reports them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use wireplug_tests::running::{PATIENCE, wait_for};

use super::{Controlled, noted};

impl Controlled {
    /// Waits until there is an event of a kind, and returns all events of it.
    fn events(&self, kind: &str) -> Vec<Value> {
        wait_for("an event", PATIENCE, || {
            let (status, page) = self.ask("GET", &format!("/events?kind={kind}"), b"");
            assert_eq!(status, 200, "{page}");
            page["events"].as_array().filter(|events| !events.is_empty()).cloned()
        })
    }

    /// Connects to the first listener, sends bytes that are not Pomelo, and waits for the end.
    /// Returns the client's address.
    fn nonsense(&self) -> String {
        let address = self.urls[0].strip_prefix("tcp://").expect("it listens over TCP");
        let mut client = TcpStream::connect(address).expect("it listens");
        client.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        let peer = client.local_addr().expect("it is connected").to_string();
        client.write_all(&[0xff; 4]).expect("it reads");
        let _ = client.read_to_end(&mut Vec::new());
        peer
    }
}

#[test]
fn has_ends_of_connections_and_changes_in_their_order() {
    let server = Controlled::start();
    assert_eq!(server.ask("GET", "/events", b""), (200, json!({ "events": [], "next": 0 })));
    let peer = server.nonsense();
    let close = &server.events("close")[0];
    assert_eq!((&close["peer"], &close["session"]), (&json!(peer), &json!(1)), "{close}");
    assert_eq!((&close["codec"], &close["generation"]), (&json!("pomelo"), &json!(1)), "{close}");
    assert_eq!((&close["listener"], &close["cause"]), (&json!(server.urls[0]), &json!("framing")), "{close}");

    assert_eq!(server.ask("PUT", "/codecs/pomelo", &noted("event")).0, 200);
    assert_eq!(server.ask("PUT", "/codecs/pomelo", b"nonsense").0, 422);
    assert_eq!(server.ask("POST", "/codecs/pomelo/rollback", b"").0, 200);
    let (_, page) = server.ask("GET", "/events?after=1&limit=2", b"");
    let [swap, refused] = &*page["events"].as_array().expect("a list").clone() else { panic!("{page}") };
    assert_eq!(
        (&swap["kind"], &swap["change"], &swap["outcome"]),
        (&json!("swap"), &json!("swap"), &json!("done"))
    );
    assert_eq!((&swap["generation"], &swap["number"]), (&json!(2), &json!(2)), "{swap}");
    assert_eq!((&refused["outcome"], &page["next"]), (&json!("refused"), &json!(3)), "{refused}");
    assert_eq!(server.events("rollback")[0]["generation"], 1);

    for (query, wanted) in
        [("limit=0", "from 1 to 1000"), ("kind=x", "unknown variant"), ("from=1", "unknown field")]
    {
        let why = server.refused("GET", &format!("/events?{query}"), b"", 400);
        assert!(why.contains(wanted), "{why}");
    }
}

#[test]
fn has_warnings_of_the_log() {
    let server = Controlled::start();
    let (status, _) = server.ask_with("GET", "/codecs", "Authorization: Bearer wrong\r\n", b"");
    assert_eq!(status, 401);
    let line = &server.events("log")[0];
    assert_eq!(
        (&line["level"], &line["target"]),
        (&json!("warn"), &json!("wireplug::admin::access")),
        "{line}"
    );
    assert!(line["message"].as_str().is_some_and(|text| !text.is_empty()), "{line}");
}
