//! The audit log has a line for each change and for each refused change.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use wireplug_tests::running::{PATIENCE, Signal, wait_for};
use wireplug_tests::versions::POMELO;

use super::{Controlled, configured, noted};

fn sha256(component: &[u8]) -> String {
    Sha256::digest(component).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lines(file: &PathBuf) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("the audit log is there");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// Returns the change, its outcome, the two generations, and whether the change was forced.
fn shape(line: &Value) -> (&str, &str, Option<u64>, Option<u64>, bool) {
    let text = |key: &str| line[key].as_str().unwrap_or("?");
    let number = |key: &str| line[key].as_u64();
    (
        text("change"),
        text("outcome"),
        number("from-generation"),
        number("to-generation"),
        line["forced"] == true,
    )
}

#[test]
fn each_change_is_written_with_its_digests() {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("audit-changes.log");
    let _ = fs::remove_file(&file);
    let config = configured("audit", "listen = '127.0.0.1:0'\naudit-log = 'audit-changes.log'");
    let server = Controlled::with(&[&config]);
    let (one, two, three) = (noted("audit-one"), noted("audit-two"), noted("audit-three"));
    let ask =
        |method: &str, path: &str, body: &[u8]| server.ask(method, &format!("/codecs/pomelo{path}"), body).0;
    assert_eq!(ask("PUT", "", &one), 200);
    assert_eq!(ask("POST", "/rollback", b""), 200);
    assert_eq!(ask("PUT", "", &one), 409);
    assert_eq!(ask("PUT", "?force=true", &one), 200);
    assert_eq!(ask("PUT", "", b"nonsense"), 422);
    assert_eq!(ask("PUT", "?trial=canary&share=1", &two), 200);
    assert_eq!(ask("DELETE", "/trial", b""), 200);
    assert_eq!(ask("PUT", "?trial=shadow&share=0.5", &three), 200);
    assert_eq!(ask("POST", "/promote", b""), 200);
    assert_eq!(ask("POST", "/reload", b""), 200);
    assert_eq!(ask("POST", "/promote", b""), 409);
    assert_eq!(ask("PUT", "?share=2", b""), 400);
    assert_eq!(server.ask("POST", "/codecs/nope/rollback", b"").0, 404);

    // The answer to a refused change does not wait for its line.
    let lines = wait_for("all lines of the audit log", PATIENCE, || {
        Some(lines(&file)).filter(|lines| lines.len() >= 13)
    });
    let shapes: Vec<_> = lines.iter().map(shape).collect();
    assert_eq!(
        shapes,
        [
            ("swap", "done", Some(1), Some(2), false),
            ("rollback", "done", Some(2), Some(1), false),
            ("swap", "refused", Some(1), None, false),
            ("swap", "done", Some(1), Some(3), true),
            ("swap", "refused", Some(3), None, false),
            ("trial", "done", Some(3), Some(4), false),
            ("end-trial", "done", Some(4), Some(3), false),
            ("trial", "done", Some(3), Some(5), false),
            ("promote", "done", Some(3), Some(5), false),
            ("reload", "done", Some(5), Some(6), false),
            ("promote", "refused", Some(6), None, false),
            ("upload", "refused", Some(6), None, false),
            ("rollback", "refused", None, None, false),
        ]
    );
    let digests: Vec<_> =
        lines[..10].iter().map(|line| json!([line["from-sha256"], line["to-sha256"]])).collect();
    let [built_in, one, two, three, nonsense] = [POMELO, &one, &two, &three, b"nonsense"].map(sha256);
    assert_eq!(
        digests,
        [
            json!([built_in, one]),
            json!([one, built_in]),
            json!([built_in, one]),
            json!([built_in, one]),
            json!([one, nonsense]),
            json!([one, two]),
            json!([two, one]),
            json!([one, three]),
            json!([one, three]),
            json!([three, built_in]),
        ]
    );
    for line in &lines {
        assert_eq!((&line["who"], &line["roles"]), (&json!("token:generated"), &json!("admin")), "{line}");
        assert!(line["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")), "{line}");
        assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
        assert_eq!(line["reason"].is_string(), line["outcome"] == "refused", "{line}");
    }
    assert!(lines[2]["reason"].as_str().is_some_and(|why| why.contains("was rolled back")), "{}", lines[2]);
    assert_eq!(lines[12]["codec"], "nope");
    assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_the_server_changes_by_itself_is_written_too_and_a_rotated_file_is_created_anew() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (file, rotated) = (folder.join("audit-own.log"), folder.join("audit-own.log.1"));
    for file in [&file, &rotated] {
        let _ = fs::remove_file(file);
    }
    let component = super::file("audit-own.wasm", noted("audit-own-1"));
    let text = "app = 'demo'
        [codecs.own]
        file = 'audit-own.wasm'
        [[listeners]]
        url = 'tcp://127.0.0.1:0'
        codec = 'own'
        [control]
        listen = '127.0.0.1:0'
        audit-log = 'audit-own.log'";
    let config = super::file("audit-own.toml", text);
    let server = Controlled::with(&[config.to_str().expect("it is text")]);
    server.signal(Signal::HUP);
    server.logged("a codec was reloaded, and is the same");
    // The file is renamed into place, as a deployment does it.
    let next = super::file("audit-own-next.wasm", noted("audit-own-2"));
    fs::rename(next, &component).expect("it can be renamed");
    let line = server.logged("a codec was changed");
    assert!(line.contains("who=\"changed-file\""), "{line}");
    // The line appears in the server's log before it appears in the file.
    let first = wait_for("three lines of the audit log", PATIENCE, || {
        Some(lines(&file)).filter(|lines| lines.len() == 3)
    });
    assert_eq!((&first[0]["who"], &first[0]["outcome"]), (&json!("reload"), &json!("unchanged")));
    assert_eq!((&first[1]["change"], &first[1]["outcome"]), (&json!("reload-config"), &json!("unchanged")));
    fs::rename(&file, &rotated).expect("it can be renamed");
    assert_eq!(server.ask("POST", "/codecs/own/rollback", b"").0, 200);
    let (old, new) = (lines(&rotated), lines(&file));
    assert_eq!(old[2]["who"], "changed-file");
    assert_eq!(shape(&old[2]), ("swap", "done", Some(1), Some(2), false));
    assert_eq!(new.iter().map(shape).collect::<Vec<_>>(), [("rollback", "done", Some(2), Some(1), false)]);
}
