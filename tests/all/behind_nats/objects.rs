//! Codecs in an object store of NATS: another version is swapped in, and what runs goes on,
//! whatever is put and whatever happens to NATS. `docs/registries.md` says what must happen.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;

use async_nats::HeaderMap;
use async_nats::jetstream::object_store::{ObjectInfo, ObjectLink, ObjectOptions, ObjectStore};
use async_nats::jetstream::{self, stream};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::json;
use wireplug::config::NatsConfig;
use wireplug::{CodecSource, RunningServer, Server};
use wireplug_tests::folder::Folder;
use wireplug_tests::hostile::Function::{Restore, Save};
use wireplug_tests::hostile::Guest;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::raw::Raw;
use wireplug_tests::{app, chain, log, versions, within};

use crate::registry::{echo, remote, slot, swapped, until};

/// A NATS server with an object store, and servers whose codec is in it. They share a cache.
struct Rig {
    nats: NatsServer,
    config: NatsConfig,
    folder: Folder,
    /// The name of the object, in which the test's name tells its log lines from those of others.
    object: String,
}

impl Rig {
    /// Starts NATS with JetStream, without an object store.
    fn empty(name: &str) -> Self {
        let folder = Folder::new(name);
        set_permissions(folder.root(), Permissions::from_mode(0o700)).expect("it is ours");
        let nats = NatsServer::with(&["-js", "-sd", &folder.text("jetstream")]);
        Self { config: NatsConfig::at(&nats.url()), nats, folder, object: format!("{name}/chat.wasm") }
    }

    async fn new(name: &str) -> Self {
        let rig = Self::empty(name);
        rig.add_store().await;
        rig
    }

    fn reference(&self) -> String {
        format!("nats://codecs/{}", self.object)
    }

    async fn context(&self) -> jetstream::Context {
        jetstream::new(self.nats.client().await)
    }

    async fn add_store(&self) {
        let config = stream::Config {
            name: "OBJ_codecs".to_owned(),
            subjects: vec!["$O.codecs.C.>".to_owned(), "$O.codecs.M.>".to_owned()],
            discard: stream::DiscardPolicy::New,
            allow_rollup: true,
            allow_direct: true,
            ..stream::Config::default()
        };
        self.context().await.create_stream(config).await.expect("JetStream is on");
    }

    async fn store(&self) -> ObjectStore {
        self.context().await.get_object_store("codecs").await.expect("it is there")
    }

    async fn put_as(&self, name: &str, mut component: &[u8]) -> ObjectInfo {
        self.store().await.put(name, &mut component).await.expect("there is room")
    }

    /// Puts a component, and returns its version.
    async fn put(&self, component: &[u8]) -> String {
        self.put_as(&self.object, component).await;
        format!("sha256:{}", versions::digest(component))
    }

    /// Puts a description of the object that no honest client puts.
    async fn describe(&self, info: &ObjectInfo) {
        let subject = format!("$O.codecs.M.{}", URL_SAFE.encode(&self.object));
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", "sub");
        let info = serde_json::to_vec(info).expect("it is JSON");
        let context = self.context().await;
        let published = context.publish_with_headers(subject, headers, info.into()).await;
        published.expect("it is connected").await.expect("it is stored");
    }

    async fn try_start_with(&self, codec: CodecSource) -> anyhow::Result<RunningServer> {
        log::init();
        let mut setup = wireplug_tests::server::setup();
        setup.compile.cache = Some(self.folder.path("cache"));
        let server = Server::new(app::with_guests()).config(setup.server).compile(setup.compile);
        let codec = codec.limits(setup.codec);
        Ok(server.nats(self.config.clone()).listen(setup.url, codec).start().await?)
    }

    async fn try_start(&self) -> anyhow::Result<RunningServer> {
        self.try_start_with(CodecSource::object(&self.reference(), json!({})).expect("it is a reference"))
            .await
    }

    async fn start(&self) -> RunningServer {
        self.try_start().await.expect("it starts")
    }

    /// Returns the error of a server that does not start.
    async fn refused(&self) -> String {
        format!("{:#}", self.try_start().await.err().expect("it is refused"))
    }
}

/// Returns a version of a codec that echoes lines, and whose sessions can be handed over.
fn version(number: u64) -> Vec<u8> {
    const SAVE: &str =
        "(call $three (call $alloc (i32.const 16)) (i32.const 0) (i32.const 4096) (i32.const 1))";
    let guest = Guest::new("lines").with(Save, SAVE).with(Restore, "(call $honest-open)");
    versions::version(&guest.build(), number).to_vec()
}

/// Returns why the codec cannot be fetched, as soon as the text is in it.
async fn problem(server: &RunningServer, text: &str) -> String {
    let has = |problem: Option<&str>| problem.is_some_and(|problem| problem.contains(text));
    let status = until(server, text, |status| has(remote(status).problem.as_deref())).await;
    assert!(remote(&status).failing_since.is_some());
    remote(&status).problem.clone().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_object_is_one_swap_and_costs_a_client_no_line() {
    let rig = Rig::new("objects-swap").await;
    let first = rig.put(&version(1)).await;
    let server = rig.start().await;
    let status = slot(&server).status();
    assert_eq!((&*status.name, &*status.generations[0].origin), ("chat", &*rig.reference()));
    assert_eq!(status.generations[0].sha256, Some(versions::digest(&version(1))));
    let known = remote(&status);
    assert_eq!(known.reference, rig.reference());
    assert_eq!((known.version.as_ref(), &known.problem), (Some(&first), &None));

    let mut client = Raw::connect(&server.urls()[0].replace("hybrid", "tcp")).await;
    let mut lines = 0_u64;
    let talk = async {
        loop {
            client.send(format!("{lines}\n").as_bytes()).await;
            assert_eq!(client.line().await, lines.to_string());
            lines += 1;
        }
    };
    let swaps = async {
        for number in 2..5 {
            // Other objects are of no interest.
            rig.put_as("other.wasm", &version(9)).await;
            rig.put(&version(number)).await;
            assert_eq!(swapped(&server, number).await, Some(versions::digest(&version(number))));
            until(&server, "the client to move", |status| {
                status.generations.iter().any(|it| it.number == number && it.sessions == 1)
            })
            .await;
        }
    };
    tokio::select! {
        () = talk => unreachable!("it never ends"),
        () = swaps => {}
    }
    assert!(lines > 0);

    // The same component, put again, is the same version.
    rig.put(&version(4)).await;
    rig.put(&version(5)).await;
    assert_eq!(swapped(&server, 5).await, Some(versions::digest(&version(5))));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_version_is_refused_and_the_next_one_taken() {
    let rig = Rig::new("objects-broken").await;
    rig.put(&version(1)).await;
    let server = rig.start().await;
    let broken = rig.put(b"no component").await;
    let status =
        until(&server, "the refusal", |status| remote(status).version.as_ref() == Some(&broken)).await;
    assert_eq!((status.current, &remote(&status).problem), (1, &None), "NATS works");
    assert_eq!(log::lines(&["ERROR", "the new version of the codec is refused", &rig.reference()]).len(), 1);
    echo(&server).await;
    rig.put(&version(2)).await;
    assert_eq!(swapped(&server, 2).await, Some(versions::digest(&version(2))));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_what_its_description_says_is_never_used() {
    let rig = Rig::new("objects-wrong").await;
    rig.put(&version(1)).await;
    let server = rig.start().await;
    let digest = |byte: u8| Some(format!("SHA-256={}", URL_SAFE.encode([byte; 32])));
    let link = ObjectLink { name: Some("other.wasm".to_owned()), bucket: "codecs".to_owned() };
    let options = Some(ObjectOptions { link: Some(link), max_chunk_size: None });
    let lies: [(&dyn Fn(ObjectInfo) -> ObjectInfo, &str); 6] = [
        (&|other| ObjectInfo { size: (256 << 20) + 1, ..other }, "and the most is 268435456"),
        (&|other| ObjectInfo { size: 10, ..other }, "more bytes come than the 10 of the object"),
        (&|other| ObjectInfo { digest: Some("SHA-256=AAAA".to_owned()), ..other }, "no SHA-256 digest"),
        (
            &|other| ObjectInfo { digest: digest(7), ..other },
            "what came is not what the digest of the object says",
        ),
        (
            &|other| ObjectInfo { nuid: "gone".to_owned(), digest: digest(8), ..other },
            "nothing of the object has come",
        ),
        (&|other| ObjectInfo { options: options.clone(), ..other }, "it is a link to another object"),
    ];
    for (current, (lie, why)) in (1..).zip(lies) {
        // The next put deletes what the description names.
        let other = rig.put_as("other.wasm", &version(9)).await;
        rig.describe(&ObjectInfo { name: rig.object.clone(), ..lie(other) }).await;
        problem(&server, why).await;
        assert_eq!(slot(&server).status().current, current, "{why}");
        echo(&server).await;
        let next = version(current + 1);
        rig.put(&next).await;
        assert_eq!(swapped(&server, current + 1).await, Some(versions::digest(&next)), "{why}");
        until(&server, "no problem", |status| remote(status).problem.is_none()).await;
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_deleted_leaves_what_runs() {
    let rig = Rig::new("objects-deleted").await;
    rig.put(&version(1)).await;
    let server = rig.start().await;
    rig.store().await.delete(&rig.object).await.expect("it is there");
    problem(&server, "the object is gone").await;
    let error = chain(&slot(&server).reload().await.expect_err("it is gone"));
    assert!(
        error.starts_with(&format!("cannot fetch the codec {}: the object is gone", rig.reference())),
        "{error}"
    );
    echo(&server).await;
    rig.put(&version(2)).await;
    swapped(&server, 2).await;
    assert_eq!(remote(&slot(&server).status()).problem, None);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_that_is_away_changes_nothing_that_runs() {
    let mut rig = Rig::new("objects-away").await;
    rig.put(&version(1)).await;
    let server = rig.start().await;
    for current in 1..3 {
        rig.nats.kill();
        problem(&server, "NATS is not reached").await;
        assert_eq!(slot(&server).status().current, current);
        echo(&server).await;
        rig.nats.start_again();
        // What was put before the node is back, and what is put after it.
        let next = version(current + 1);
        rig.put(&next).await;
        assert_eq!(swapped(&server, current + 1).await, Some(versions::digest(&next)));
        until(&server, "NATS", |status| remote(status).problem.is_none()).await;
    }
    assert_eq!(log::lines(&["WARN", "cannot be fetched", &rig.reference(), "NATS is not reached"]).len(), 2);
    rig.put(&version(9)).await;
    swapped(&server, 4).await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_nats_takes_the_last_good_version_loudly() {
    let mut rig = Rig::new("objects-cache").await;
    let first = rig.put(&version(1)).await;
    rig.start().await.shutdown().await;
    rig.nats.kill();
    // It is written in the background.
    let server = within("the version to be kept", async {
        loop {
            if let Ok(server) = rig.try_start().await {
                return server;
            }
        }
    })
    .await;
    echo(&server).await;
    let status = slot(&server).status();
    assert!(status.generations[0].from_cache);
    assert_eq!(status.generations[0].origin, format!("the last good version of {}", rig.reference()));
    assert!(remote(&status).problem.as_deref().is_some_and(|why| why.contains("NATS is not reached")));
    let sha256 = versions::digest(&version(1)).to_string();
    assert_eq!(log::lines(&["ERROR", "THE LAST GOOD VERSION SERVES from the cache", &sha256]).len(), 1);

    rig.nats.start_again();
    until(&server, "NATS", |status| remote(status).version.as_ref() == Some(&first)).await;
    assert_eq!(slot(&server).status().current, 1, "it is the same component");
    rig.put(&version(2)).await;
    swapped(&server, 2).await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_says_why_there_is_no_codec() {
    let rig = Rig::empty("objects-none");
    let begin = format!("cannot fetch the codec {}: ", rig.reference());
    assert_eq!(
        rig.refused().await,
        format!("{begin}there is no object store codecs: `nats object add codecs` creates it")
    );
    rig.add_store().await;
    assert_eq!(rig.refused().await, format!("{begin}the object is gone, or was never put"));
    rig.put(&version(1)).await;
    rig.start().await.shutdown().await;

    let alone = CodecSource::object(&rig.reference(), json!({})).expect("it is a reference");
    let alone = Server::new(app::with_guests()).listen("tcp://127.0.0.1:0", alone).start().await;
    let why = chain(&alone.err().expect("it has no NATS"));
    assert_eq!(why, format!("{begin}this server has no NATS: it needs [nats] in its configuration"));
}

/// The permissions are those of `docs/registries.md`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_needs_few_permissions() {
    let mut rig = Rig::empty("objects-permissions");
    let publish = json!([
        "wireplug.>",
        "_INBOX.>",
        "$JS.API.STREAM.INFO.OBJ_codecs",
        "$JS.API.DIRECT.GET.OBJ_codecs.>",
        "$JS.API.CONSUMER.CREATE.OBJ_codecs",
        "$JS.API.CONSUMER.CREATE.OBJ_codecs.>",
        "$JS.FC.OBJ_codecs.>",
    ]);
    let subscribe = json!(["_INBOX.>", "wireplug.clients.>", "wireplug.nodes.*"]);
    let config = format!(
        "authorization {{ users = [ {{ user: other, password: other }}, {{ user: node, password: secret, \
         permissions: {{ publish: {publish}, subscribe: {subscribe} }} }} ] }}\nno_auth_user: other\n"
    );
    rig.folder.write("nats.conf", config);
    rig.nats =
        NatsServer::with(&["-js", "-sd", &rig.folder.text("strict"), "-c", &rig.folder.text("nats.conf")]);
    rig.config = NatsConfig {
        user: Some("node".to_owned()),
        password_file: Some(rig.folder.write_secret("password", "secret")),
        ..NatsConfig::at(&rig.nats.url())
    };
    rig.add_store().await;
    rig.put(&version(1)).await;
    let server = rig.start().await;
    // Large enough for flow control.
    let mut large = version(2);
    let mut note = vec![0; 8 << 20];
    note[..5].copy_from_slice(b"\x04note");
    large.push(0);
    let mut length = note.len();
    while length >= 0x80 {
        large.push(length as u8 | 0x80);
        length >>= 7;
    }
    large.push(length as u8);
    large.extend(note);
    rig.put(&large).await;
    assert_eq!(swapped(&server, 2).await, Some(versions::digest(&large)));
    let nats = server.nodes().status().await.swap_remove(0).nats.expect("it has NATS");
    assert_eq!((nats.problem, nats.dropped), (None, 0));
    server.shutdown().await;
}
