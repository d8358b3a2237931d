//! `wireplug codec push`, `pull` and `list` with an object store, and a server whose codec is in
//! it.

use async_nats::jetstream::{self, object_store};
use serde_json::Value;
use wireplug_tests::folder::Folder;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::running::{PATIENCE, finish, wait_until};
use wireplug_tests::served::Served;
use wireplug_tests::versions::{self, POMELO};

use crate::program::wireplug;

const CHAT: &str = "nats://codecs/team/chat.wasm";

/// Runs `wireplug codec` with a NATS server. Returns its standard output if it succeeds, and its
/// standard error otherwise.
fn codec(nats: &str, arguments: &[&str]) -> Result<String, String> {
    finish(wireplug(["codec"]).args(arguments).args(["--nats-url", nats])).result()
}

fn status(server: &Served) -> Value {
    let control = server.control.clone().expect("it has a control API");
    let json = finish(&mut wireplug(["codec", "list", "--json", "--control", &control])).printed();
    serde_json::from_str::<Value>(&json).expect("it is JSON")[0].take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_codec_goes_through_an_object_store() {
    let folder = Folder::new("objects");
    let nats = NatsServer::with(&["-js", "-sd", &folder.text("jetstream")]);
    let url = nats.url();
    let file = folder.write("chat.wasm", POMELO);
    let file = file.to_str().expect("it is text");
    let why = codec(&url, &["push", file, CHAT]).expect_err("there is no bucket");
    assert!(why.contains("there is no object store codecs: `nats object add codecs` creates it"), "{why}");
    let config = object_store::Config { bucket: "codecs".to_owned(), ..object_store::Config::default() };
    let context = jetstream::new(nats.client().await);
    let store = context.create_object_store(config).await.expect("JetStream is on");
    assert_eq!(codec(&url, &["list", "nats://codecs"]), Ok(String::new()));

    let sha256 = versions::digest(POMELO);
    let said = codec(&url, &["push", file, CHAT]).expect("it is pushed");
    assert_eq!(said, format!("{CHAT}\n  the component has the sha256 {sha256}\n"));
    // What another program has put.
    let other = versions::noted(POMELO, "other");
    store.put("a.wasm", &mut &*other).await.expect("there is room");
    assert_eq!(codec(&url, &["list", "nats://codecs"]), Ok(format!("nats://codecs/a.wasm\n{CHAT}\n")));
    let output = folder.text("pulled.wasm");
    codec(&url, &["pull", "nats://codecs/a.wasm", "-o", &output]).expect("it is pulled");
    assert_eq!(std::fs::read(&output).expect("it is there"), other);
    let mut pull = wireplug(["codec", "pull", CHAT, "--nats-url", &url]);
    let said = finish(pull.current_dir(folder.root())).result().expect("it is pulled");
    assert!(said.starts_with(&format!("chat.wasm: {CHAT}\n")), "{said}");

    let text = format!(
        "[nats]
        servers = ['{url}']
        [services.chat]
        [codecs.chat]
        file = '{CHAT}'
        [[listeners]]
        url = 'tcp://127.0.0.1:0'
        codec = 'chat'
        [control]
        listen = '127.0.0.1:0'
        [compile]
        cache = 'cache'"
    );
    folder.replace("w.toml", text);
    let config = folder.text("w.toml");
    let server = Served::start(&mut wireplug(["serve", &config]));
    assert_eq!(status(&server)["generations"][0]["sha256"], sha256.to_string());
    let next = folder.write("next.wasm", versions::noted(POMELO, "next"));
    codec(&url, &["push", next.to_str().expect("it is text"), CHAT]).expect("it is pushed");
    wait_until("the swap", PATIENCE, || status(&server)["current"] == 2);

    // A check does not look into the store.
    drop(nats);
    let said = finish(&mut wireplug(["config", "check", &config])).printed();
    assert!(said.contains(&format!("codec chat: {CHAT}, at which only a start looks")), "{said}");
}

#[test]
fn what_is_not_pushed_or_pulled_says_why() {
    // Nobody listens at this port.
    let refused = |arguments: &[&str]| codec("nats://127.0.0.1:1", arguments).expect_err("this is wrong");
    assert!(refused(&["pull", CHAT]).contains("NATS at nats://127.0.0.1:1: "));
    assert!(refused(&["pull", "oci://registry/chat:1"]).contains("go with nats://BUCKET/NAME"));
    assert!(refused(&["list", CHAT, "--plain-http"]).contains("--plain-http goes with a registry"));
    assert!(refused(&["list"]).contains("go with a repository"));
}
