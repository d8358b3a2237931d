//! The access log.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};
use wireplug_tests::running::{Lines, Signal};

use super::Served;

const CONFIGURATION: &str = "
app = 'demo'
[log]
format = 'json'
level = 'warn'
access = 'requests'
[codecs.pomelo]
builtin = 'pomelo'
[[listeners]]
url = 'SOCKET'
codec = 'pomelo'
";

/// Returns the next line of the access log.
fn next(lines: &Lines) -> Value {
    let line = lines.find(&["\"target\":\"wireplug::access\""]);
    serde_json::from_str(&line).expect("it is JSON")
}

/// Both kinds of lines are written, though the level is `warn`. A reload switches them off.
#[test]
fn has_requests_and_connections_if_it_is_switched_on() {
    let mut server = Served::configured("access", CONFIGURATION, Stdio::null(), Stdio::piped());
    let mut client = server.client();
    client.echo("{\"number\":1}");
    let request = next(&server.log);
    assert_eq!((&request["message"], &request["status"]), (&json!("request"), &json!(200)), "{request}");
    assert_eq!(request["route"], "connector.entryHandler.echo", "{request}");
    assert_eq!((&request["bytes_in"], &request["bytes_out"]), (&json!(12), &json!(12)), "{request}");
    assert!(request["duration_seconds"].as_f64() > Some(0.0) && request["request"].is_u64(), "{request}");
    drop(client);
    let closed = next(&server.log);
    assert_eq!((&closed["message"], &closed["level"]), (&json!("closed"), &json!("INFO")), "{closed}");
    assert_eq!(
        (&closed["cause"], &closed["transport"]),
        (&json!("client-closed"), &json!("unix")),
        "{closed}"
    );
    assert_eq!((&closed["generation"], &closed["messages_in"]), (&json!(1), &json!(1)), "{closed}");
    assert_eq!((&closed["messages_out"], &closed["user"]), (&json!(1), &Value::Null), "{closed}");
    // The handshake and its acknowledgement, and the request.
    assert_eq!(closed["packets_in"], 3, "{closed}");
    assert!(closed["bytes_in"].as_u64() > Some(40) && closed["bytes_out"].as_u64() > Some(40), "{closed}");
    assert_eq!(
        (&closed["span"]["id"], &closed["span"]["codec"]),
        (&json!("1"), &json!("pomelo")),
        "{closed}"
    );

    let listener = format!("unix://{}", server.folder.text("socket"));
    let less = CONFIGURATION.replace("requests", "connections").replace("SOCKET", &listener);
    fs::write(server.file(), less).expect("it can be written");
    server.signal(Signal::HUP);
    server.logged("wireplug::audit");
    server.client().echo("{}");
    // The next line of the access log is about the connection.
    assert_eq!(next(&server.log)["message"], "closed");
}
