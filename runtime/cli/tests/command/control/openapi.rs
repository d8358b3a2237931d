//! The description in OpenAPI: what the control API answers is what it describes.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use wireplug_tests::folder::Folder;

use super::{ADMIN, Controlled, configured, noted, tokens};

/// The folder with what schemathesis has to know.
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers");

/// Starts a server whose administrator has the token [`ADMIN`].
fn server(name: &str) -> Controlled {
    let (_, tokens) = tokens(name);
    let control = format!("listen = 'http://127.0.0.1:0'\ntoken-file = '{tokens}'");
    Controlled::with(&[&configured(name, &control)])
}

/// The description that a server gives of its API.
struct Described(Value);

impl Described {
    /// Sends a request, and checks that its answer is as described. Returns the answer.
    #[track_caller]
    fn ask(&self, server: &Controlled, method: &str, (path, target): (&str, &str), body: &[u8]) -> Value {
        let (status, answer) = server.ask(method, target, body);
        let operation = &self.0["paths"][path][method.to_lowercase()];
        let response = &operation["responses"][status.to_string()];
        let shared = response["$ref"].as_str().and_then(|target| self.0.pointer(target.strip_prefix('#')?));
        let schema = &shared.unwrap_or(response)["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {target}: {status} is not described: {answer}");
        // References lead to the components of the whole.
        let schema = json!({ "components": self.0["components"], "allOf": [schema] });
        if let Err(error) = jsonschema::validate(&schema, &answer) {
            panic!("{method} {target}: {answer} is not as described: {error}");
        }
        answer
    }
}

#[test]
fn answers_are_as_described() {
    let server = server("openapi");
    let _member = server.member();
    let (status, document) = server.ask("GET", "/openapi.json", b"");
    assert_eq!(status, 200);
    let described = Described(document);
    let get = |path: &str, target: &str| described.ask(&server, "GET", (path, target), b"");
    let post = |path: &str, target: &str, body: &[u8]| described.ask(&server, "POST", (path, target), body);
    for path in ["/nodes", "/events", "/stats", "/codecs", "/sessions", "/faults"] {
        get(path, path);
    }
    get("/codecs/{name}", "/codecs/pomelo");
    get("/rollouts/{name}", "/rollouts/pomelo");
    let sessions = get("/sessions", "/sessions?limit=1&state=awake");
    let id = &sessions["sessions"][0]["id"];
    get("/sessions/{id}", &format!("/sessions/{id}"));

    let codec = |name: &str| format!("/codecs/pomelo{name}");
    let (upload, promote) = ("/codecs/{name}", "/codecs/{name}/promote");
    let tried = described.ask(
        &server,
        "PUT",
        (upload, &codec("?trial=shadow&share=1")),
        &noted("described, and tried"),
    );
    assert_eq!(tried["generation"], 2, "{tried}");
    get(upload, &codec(""));
    let promoted = post(promote, &codec("/promote"), b"");
    assert_eq!(promoted["to"], 2, "{promoted}");
    let refused = post(promote, &codec("/promote"), b"");
    assert!(refused["error"].is_string(), "{refused}");
    described.ask(&server, "PUT", (upload, &codec("")), &noted("described, and swapped in"));
    post("/codecs/{name}/rollback", &codec("/rollback"), b"");
    post("/codecs/{name}/reload", &codec("/reload"), b"");
    post("/reload", "/reload?dry-run=true", b"");
    post("/clients/{verb}/{kind}", "/clients/kick/all", b"bye");
    described.ask(&server, "DELETE", ("/sessions", "/sessions?user=nobody"), b"");
    get("/events", "/events");
    let drained = post("/drain", "/drain", b"");
    assert_eq!(drained["connections-left"], 0, "{drained}");
}

/// Programs that read the description generate requests that fit it, and others that do not.
#[test]
fn schemathesis_finds_nothing() {
    let server = server("schemathesis");
    let _member = server.member();
    let peers = std::env::var_os("WIREPLUG_PEERS_DIR").expect("`cargo xtask peers` sets it");
    let folder = Folder::new("schemathesis");
    let ended = Command::new(Path::new(&peers).join("venv/bin/schemathesis"))
        .args(["--config-file", &format!("{PEERS}/schemathesis.toml"), "run"])
        .arg(format!("http://{}/openapi.json", server.control))
        .args(["--header", &format!("Authorization: Bearer {ADMIN}")])
        .env("SCHEMATHESIS_HOOKS", format!("{PEERS}/openapi.py"))
        .current_dir(folder.path("."))
        .output()
        .expect("schemathesis is installed");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    let (status, _) = server.ask("GET", "/codecs", b"");
    assert_eq!(status, 200);
}
