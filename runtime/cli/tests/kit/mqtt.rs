//! The codec `mqtt` with an application made for it, and Debian's clients: who may connect,
//! subscriptions as groups, and the messages that subscribers get.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use wireplug::app::{Error, Json};
use wireplug::config::CodecLimits;
use wireplug::{App, CodecSource, Server, Session, Sessions};
use wireplug_tests::within;

use super::{KEPT, codec};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest-examples/mqtt");

#[derive(Deserialize)]
struct Connect {
    username: Option<String>,
    password: Option<String>,
}

#[derive(Deserialize)]
struct Subscribed {
    filter: String,
}

/// Ann may connect with the right password. Readings are pushed to the clients that subscribed to
/// all of them.
fn app() -> App {
    App::new()
        .hello(|Json(Connect { username, password }): Json<Connect>| async move {
            match (username.as_deref(), password.as_deref()) {
                (Some("ann"), Some("secret")) => Ok(()),
                (Some(_), _) => Err(Error::status(401)),
                _ => Err(Error::status(403)),
            }
        })
        .route(
            "mqtt.subscribed",
            |Json(Subscribed { filter }): Json<Subscribed>, session: Session| async move {
                session.join(&filter).map_err(Error::from)
            },
        )
        .route("sensor.kitchen.temperature", |Json(celsius): Json<f64>, sessions: Sessions| async move {
            let push = json!({ "celsius": celsius });
            sessions.group("readings/#").push("readings.kitchen", &push).map(drop).map_err(Error::from)
        })
}

/// Builds the component. This test has its own build, because the example's test may run at the
/// same time.
fn component() -> PathBuf {
    let built =
        codec(&["build", EXAMPLE, "--yes"]).env("CARGO_TARGET_DIR", Path::new(KEPT).join("cargo")).output();
    let built = built.expect("it runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Path::new(EXAMPLE).join("mqtt.wasm")
}

/// Returns the command for one of Debian's clients, with a name and a password.
fn client(program: &str, port: &str, password: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(["-h", "127.0.0.1", "-p", port, "-V", "mqttv311", "-u", "ann", "-P", password, "-d"])
        .args(arguments);
    command
}

fn publish(port: &str, password: &str) -> Output {
    let reading = ["-q", "1", "-t", "sensor/kitchen/temperature", "-m", "21.5"];
    client("mosquitto_pub", port, password, &reading).output().expect("mosquitto_pub is there")
}

/// Starts mosquitto_sub, which ends with the first message.
fn subscriber(port: &str) -> Child {
    let mut subscriber =
        client("mosquitto_sub", port, "secret", &["-t", "readings/#", "-C", "1", "-W", "30"]);
    subscriber.stdout(Stdio::piped()).spawn().expect("mosquitto_sub is there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mosquitto() {
    // Its sessions sleep at each pause, which no client may notice.
    let limits = CodecLimits { sleep_after: Duration::from_millis(1), ..CodecLimits::default() };
    let options = json!({ "on-subscribe": "mqtt.subscribed" });
    let source = CodecSource::file(component(), options).limits(limits);
    let server = Server::new(app()).listen("tcp://127.0.0.1:0", source).start().await.expect("it starts");
    let port = server.urls()[0].rsplit(':').next().expect("a port").to_owned();

    let refused = publish(&port, "wrong");
    assert!(!refused.status.success(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("CONNACK (4)"), "{refused:?}");

    let subscribers = [subscriber(&port), subscriber(&port)];
    let all_joined = async {
        while server.sessions().group("readings/#").len() < subscribers.len() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("both to subscribe", all_joined).await;
    let both_sleep = async {
        while server.slots()[0].status().generations[0].sleep.asleep < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("both to sleep", both_sleep).await;
    let published = publish(&port, "secret");
    assert!(published.status.success(), "{published:?}");
    assert!(String::from_utf8_lossy(&published.stdout).contains("received PUBACK"), "{published:?}");
    for subscriber in subscribers {
        let heard = subscriber.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&heard.stdout);
        assert!(heard.status.success() && text.contains(r#"{"celsius":21.5}"#), "{heard:?}");
    }
    server.shutdown().await;
}
