//! `wireplug codec push`, `pull` and `list`, and servers whose codec is in a registry.

mod peers;

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wireplug::codec::Digest;
use wireplug_tests::folder::Folder;
use wireplug_tests::registry::{Mode, Registry};
use wireplug_tests::running::{PATIENCE, Signal, finish, wait_until};
use wireplug_tests::served::Served;
use wireplug_tests::versions::{self, POMELO};

use super::program::wireplug;

/// A user of a registry: a folder with the files of credentials, and with a configuration.
struct User {
    folder: Folder,
}

impl User {
    fn new(name: &str) -> Self {
        let folder = Folder::new(&format!("registry-{name}"));
        fs::create_dir(folder.path("docker")).expect("a new folder");
        fs::create_dir(folder.path("runtime")).expect("a new folder");
        Self { folder }
    }

    /// Writes what `docker login` writes.
    fn log_in(&self, registry: &str, user: &str, password: &str) {
        let auth = STANDARD.encode(format!("{user}:{password}"));
        let text = json!({ "auths": { registry: { "auth": auth } } });
        self.folder.write_secret("docker/config.json", text.to_string());
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = wireplug(arguments);
        command.env("DOCKER_CONFIG", self.folder.path("docker"));
        command.env("XDG_RUNTIME_DIR", self.folder.path("runtime")).env_remove("REGISTRY_AUTH_FILE");
        command
    }

    /// Runs `wireplug codec`. Returns its standard output if it succeeds, and its standard error
    /// otherwise.
    fn codec(&self, arguments: &[&str]) -> Result<String, String> {
        finish(&mut self.command(&[&["codec"], arguments].concat())).result()
    }

    /// Writes a configuration with this codec. Returns its path.
    fn configure(&self, codec: &str) -> String {
        let text = format!(
            "app = 'demo'
            [codecs.chat]
            {codec}
            [[listeners]]
            url = 'tcp://127.0.0.1:0'
            codec = 'chat'
            [control]
            listen = '127.0.0.1:0'
            audit-log = 'audit.log'
            [compile]
            cache = 'cache'"
        );
        self.folder.replace("w.toml", text);
        self.folder.text("w.toml")
    }

    fn serve(&self, codec: &str) -> Served {
        Served::start(&mut self.command(&["serve", &self.configure(codec)]))
    }

    /// Returns the status of the codec.
    fn status(&self, server: &Served) -> Value {
        let url = server.control.as_deref().expect("it has a control API");
        let json = self.codec(&["list", "--json", "--control", url]).expect("the server answers");
        serde_json::from_str::<Value>(&json).expect("it is JSON")[0].take()
    }
}

#[test]
fn a_component_is_pushed_listed_and_pulled() {
    let (user, registry) = (User::new("push"), Registry::start());
    registry.set_user("ann", "secret");
    let file = user.folder.write("chat.wasm", POMELO);
    let file = file.to_str().expect("it is text");
    let reference = registry.reference("1.4");
    let why = user.codec(&["push", file, &reference]).expect_err("there are no credentials");
    assert!(why.contains("refuses: there are no credentials for it"), "{why}");
    user.log_in(&registry.address(), "ann", "wrong");
    let why = user.codec(&["push", file, &reference]).expect_err("they are wrong");
    assert!(why.contains("refuses: there are credentials for it") && !why.contains("wrong"), "{why}");
    user.log_in(&registry.address(), "ann", "secret");

    let said = user.codec(&["push", file, &reference]).expect("it is pushed");
    let (pinned, rest) = said.split_once('\n').expect("two lines");
    assert_eq!(rest, format!("  the component has the sha256 {}\n", Digest::of(POMELO)));
    let digest = pinned.strip_prefix(&format!("{reference}@")).expect("a reference with a digest");
    assert!(registry.manifests().iter().any(|manifest| manifest == digest), "{digest}");
    // The same component has the same digest.
    let again = user.codec(&["push", file, &registry.reference("1.5")]).expect("it is pushed");
    assert!(again.contains(digest), "{again}");

    let repository = reference.strip_suffix(":1.4").expect("it has a tag");
    assert_eq!(user.codec(&["list", repository]), Ok("1.4\n1.5\n".to_owned()));
    for from in [&reference, pinned] {
        let output = user.folder.text("pulled.wasm");
        let said = user.codec(&["pull", from, "-o", &output]).expect("it is pulled");
        assert!(said.starts_with(&format!("{output}: ")) && said.contains(digest), "{said}");
        assert_eq!(fs::read(&output).expect("it is there"), POMELO);
        fs::remove_file(&output).expect("it is there");
    }
    let mut pull = user.command(&["codec", "pull", &reference]);
    let said = finish(pull.current_dir(user.folder.root())).result().expect("it is pulled");
    assert!(said.starts_with("chat.wasm: oci://"), "{said}");

    // What another program has pushed.
    let other = versions::noted(POMELO, "other");
    registry.put("2", &other);
    let output = user.folder.text("other.wasm");
    user.codec(&["pull", &registry.reference("2"), "-o", &output]).expect("it is pulled");
    assert_eq!(fs::read(&output).expect("it is there"), other);
}

#[test]
fn what_is_not_pushed_or_pulled_says_why() {
    let (user, registry) = (User::new("wrong"), Registry::start());
    let refused = |arguments: &[&str]| user.codec(arguments).expect_err("this is wrong");
    let file = user.folder.write("text.wasm", "no component");
    let file = file.to_str().expect("it is text");
    let reference = registry.reference("1");
    assert!(refused(&["push", file, &reference]).contains("this is not a WebAssembly component"));
    let module = user.folder.write("module.wasm", b"\0asm\x01\0\0\0");
    let module = module.to_str().expect("it is text");
    assert!(refused(&["push", module, &reference]).contains("this is a core module"));
    let wasm = user.folder.write("chat.wasm", POMELO);
    let wasm = wasm.to_str().expect("it is text");
    let pinned = registry.pinned(&format!("sha256:{}", Digest::of(b"")));
    assert!(refused(&["push", wasm, &pinned]).contains("a push goes to a tag"));
    assert!(refused(&["push", wasm, "oci://registry.invalid/chat"]).contains("neither a tag nor a digest"));
    let output = user.folder.text("pulled.wasm");
    assert!(refused(&["pull", &reference, "-o", &output]).contains("unknown"));
    assert!(refused(&["list", &reference]).contains("leave the tag and the digest out"));
    assert!(refused(&["list", "--plain-http"]).contains("go with a repository"));
    registry.put("1", POMELO);
    registry.set(Mode::WrongBlob);
    assert!(refused(&["pull", &reference, "-o", &output]).contains("igest"));
    assert!(!user.folder.path("pulled.wasm").exists());
    user.folder.write(
        "docker/config.json",
        r#"{"credHelpers":{"HOST":"ecr-login"}}"#.replace("HOST", &registry.address()),
    );
    assert!(refused(&["pull", &reference]).contains("docker-credential-ecr-login"));
}

#[test]
fn a_server_takes_its_codec_from_a_registry() {
    let (user, registry) = (User::new("serve"), Registry::start());
    registry.set_user("ann", "secret");
    user.log_in(&registry.address(), "ann", "secret");
    let first = registry.put("1", POMELO);
    let reference = registry.reference("1");
    let codec = format!("file = '{reference}'\nregistry.poll = '50ms'");
    let server = user.serve(&codec);
    let url = server.control.clone().expect("it has a control API");
    let list = user.codec(&["list", "--control", &url]).expect("the server answers");
    assert!(list.contains(&format!("\nchat: generation 1 is {reference}@{first}\n")), "{list}");

    let second = registry.put("1", &versions::noted(POMELO, "second"));
    wait_until("the swap", PATIENCE, || user.status(&server)["current"] == 2);
    let status = user.status(&server);
    assert_eq!(status["remote"]["version"], json!(second), "{status}");
    let audited = fs::read_to_string(user.folder.path("audit.log")).expect("it is there");
    assert!(audited.contains(r#""who":"changed-source""#), "{audited}");

    registry.set(Mode::Away);
    server.logged("the codec cannot be fetched; all goes on as before");
    let list = user.codec(&["list", "--control", &url]).expect("the server answers");
    assert!(list.contains(&format!("\nchat: {reference} cannot be fetched for ")), "{list}");
    let status = finish(&mut user.command(&["status", "--control", &url])).result().expect("it answers");
    assert!(status.contains("NOT FETCHED FOR"), "{status}");
    let why = user.codec(&["reload", "chat", "--control", &url]).expect_err("the registry is away");
    assert!(why.contains(&format!("cannot fetch the codec {reference}")), "{why}");
    // A reload of the configuration leaves the codec as it is, and says so.
    server.signal(Signal::HUP);
    server.logged("it cannot be reloaded, and goes on as before");
    registry.set(Mode::Works);
    server.logged("the codec can be fetched again");
    let said = user.codec(&["reload", "chat", "--control", &url]).expect("it is there");
    assert_eq!(said, "chat: it is the same component with the same options\n");
    drop(server);

    // The next start is without the registry.
    registry.set(Mode::Away);
    let server = user.serve(&codec);
    server.logged("THE LAST GOOD VERSION SERVES from the cache");
    let status = user.status(&server);
    assert_eq!(status["generations"][0]["from-cache"], true, "{status}");
    let url = server.control.clone().expect("it has a control API");
    let list = user.codec(&["list", "--control", &url]).expect("the server answers");
    assert!(list.contains(&format!("generation 1 is the last good version of {reference}\n")), "{list}");
}

#[test]
fn wrong_references_are_found_by_a_check() {
    let user = User::new("check");
    for (codec, why) in [
        ("file = 'oci://registry/chat'", "codecs.chat.file: "),
        ("file = 'oci://registry/chat'", "it has neither a tag nor a digest"),
        ("file = 'oci://registry/chat@sha256:00'", "codecs.chat.file: "),
        (
            "file = 'oci://registry/chat:1'\nregistry.ca-file = 'missing.pem'",
            "codecs.chat.registry.ca-file: there is no file ",
        ),
        ("file = 'oci://registry/chat:1'\nregistry.ca-file = 'w.toml'", "has no certificate in PEM"),
        (
            "file = 'oci://registry/chat:1'\nregistry = { ca-file = 'w.toml', plain-http = true }",
            "it has no effect with `plain-http`",
        ),
        ("builtin = 'pomelo'\nregistry.poll = '5s'", "codecs.chat.registry: it has no effect without "),
        ("file = 'oci://registry/chat:1'\nregistry.poll = '0s'", "codecs.chat.registry.poll: "),
    ] {
        let config = user.configure(codec);
        let said = finish(&mut user.command(&["config", "check", &config])).result().expect_err(codec);
        assert!(said.contains(why), "{codec}: {said}");
    }
}
