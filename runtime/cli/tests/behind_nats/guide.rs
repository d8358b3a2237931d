//! Runs the code blocks of docs/nats.md as they are.

use futures_util::StreamExt as _;
use serde_json::json;
use wireplug::Config;
use wireplug_tests::chats;
use wireplug_tests::folder::Folder;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::within;

use super::{ON_CHAT, client, heard, node};

const GUIDE: &str = include_str!("../../../../docs/nats.md");

/// Returns the blocks in a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    GUIDE.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn its_configuration_is_one() {
    let [toml] = blocks("toml")[..] else { panic!("one configuration") };
    let folder = Folder::new("nats-guide");
    let config = Config::load(&folder.write("wireplug.toml", toml)).expect("it is right");
    assert!(config.nats.is_some() && config.services.contains_key("chat"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_python_is_a_service() {
    let [serves, acts] = blocks("python")[..] else { panic!("a service, and what it does with clients") };
    let indented =
        |text: &str, by: &str| -> String { text.lines().map(|line| format!("{by}{line}\n")).collect() };
    // The service sends its commands during the request that the first block answers.
    let acting =
        serves.replace("    await msg.respond", &format!("{}    await msg.respond", indented(acts, "    ")));
    let script = format!(
        "import asyncio, os, nats\n\nasync def main():\n    nc = await nats.connect(os.environ['NATS_URL'])\n{}\
         \x20   await nc.flush()\n    print('ready', flush=True)\n    await asyncio.sleep(3600)\n\nasyncio.run(main())\n",
        indented(&acting, "    ")
    );
    let nats = NatsServer::start();
    let listener = nats.client().await;
    let mut pushed = listener.subscribe("wireplug.clients.push.>").await.expect("a subscription");
    heard(&listener).await;
    let node = node(&nats).await;
    let folder = Folder::new("nats-guide-python");
    let _service =
        chats::ready(chats::python().arg(folder.write("guide.py", script)).env("NATS_URL", nats.url()));
    let mut ann = client(&node).await;
    assert_eq!(ann.call("chat.any.thing", &json!({})).await, json!({ "ok": true }));
    assert_eq!(node.sessions().user("ann").len(), 1);
    let push = within("the push", pushed.next()).await.expect("it came");
    assert_eq!(push.subject.as_str(), "wireplug.clients.push.group.lobby");
    let route = push.headers.as_ref().and_then(|headers| headers.get("Wireplug-Route"));
    assert_eq!(route.map(|route| route.as_str()), Some(ON_CHAT));
}
