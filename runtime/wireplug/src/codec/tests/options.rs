//! Options: a codec gets the application's routes, unless its options contain routes. It gets the
//! secrets to which its options refer, and nothing else shows them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::codec::options::options_with_routes;
use crate::codec::{Options, ResolvedOptions};
use wireplug_core::codec::SecretReference;

fn with_routes(options: Value) -> Value {
    let routes: [Arc<str>; 2] = ["a.b.c".into(), "a.b.\"d".into()];
    let Value::Object(options) = options else { panic!("options are an object") };
    serde_json::from_str(&options_with_routes(options, &routes)).unwrap()
}

#[test]
fn routes_are_added_in_order() {
    assert_eq!(with_routes(json!({})), json!({ "routes": ["a.b.c", "a.b.\"d"] }));
    assert_eq!(with_routes(json!({ "x": 1 })), json!({ "x": 1, "routes": ["a.b.c", "a.b.\"d"] }));
}

#[test]
fn routes_of_the_options_stay() {
    assert_eq!(with_routes(json!({ "routes": ["own"] })), json!({ "routes": ["own"] }));
    assert_eq!(with_routes(json!({ "routes": [] })), json!({ "routes": [] }));
}

/// A folder with these files, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wireplug-options-{number}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        files.iter().for_each(|(name, content)| fs::write(path.join(name), content).unwrap());
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn resolved(folder: &Folder, options: Value) -> ResolvedOptions {
    Options::from(options).within(&folder.0).resolve(&[]).unwrap().options
}

fn read(options: &ResolvedOptions) -> Value {
    let mut value: Value = serde_json::from_str(options.expose()).unwrap();
    value.as_object_mut().unwrap().remove("routes");
    value
}

#[test]
fn references_stand_for_texts_anywhere_but_at_the_top() {
    let folder = Folder::with(&[("a", "one\n"), ("b", "two\r\n"), ("c", "three\n\n"), ("d", " four ")]);
    let file = |name: &str| json!({ "file": name });
    let options = json!({ "x": file("a"), "y": [file("b"), { "z": file("c") }], "file": file("d"), "n": 1 });
    let wanted = json!({ "x": "one", "y": ["two", { "z": "three\n" }], "file": " four ", "n": 1 });
    assert_eq!(read(&resolved(&folder, options)), wanted);
    // A value that is no reference stays as it is.
    for options in [
        json!({ "file": "a" }),
        json!({ "env": "HOME" }),
        json!({ "x": { "file": "a", "env": "b" } }),
        json!({ "x": { "file": 1 }, "y": { "env": null }, "z": { "files": "a" } }),
    ] {
        let plain = resolved(&folder, options.clone());
        assert!(plain.secrets().is_empty());
        assert_eq!(read(&plain), options);
    }
}

#[test]
fn resolved_options_show_nothing_of_themselves() {
    let folder = Folder::with(&[("a", "hunter2")]);
    let options = resolved(&folder, json!({ "x": { "file": "a" }, "y": "plain" }));
    assert_eq!(format!("{options:?}"), "ResolvedOptions { secrets: some, .. }");
    assert!(!options.secrets().is_empty());
}

#[test]
fn options_are_the_same_if_references_and_secrets_are() {
    let folder = Folder::with(&[("a", "one"), ("b", "one")]);
    let of = |name: &str| resolved(&folder, json!({ "x": { "file": name } }));
    let first = of("a");
    assert_eq!(of("a"), first);
    fs::write(folder.0.join("a"), "two").unwrap();
    assert_ne!(of("a"), first);
}

#[test]
fn texts_are_free_of_secrets_however_they_are_quoted() {
    let long = "a line that is long enough";
    let key = format!("-----BEGIN-----\n{long}\nshort\n");
    let folder = Folder::with(&[("quoted", "say \"hé\"\\\t"), ("part", "say"), ("key", &key)]);
    let options = json!({ "x": { "file": "quoted" }, "y": { "file": "part" }, "z": { "file": "key" } });
    let options = resolved(&folder, options);
    let redacted =
        |text: &str| String::from_utf8(options.secrets().redact(text.as_bytes()).into_owned()).unwrap();
    let [quoted, part, key] = ["quoted", "part", "key"].map(|name| format!("{{\"file\":\"{name}\"}}"));
    let secret = "say \"hé\"\\\t";
    assert_eq!(redacted(&format!("<{secret}> and <{secret}>")), format!("<{quoted}> and <{quoted}>"));
    assert_eq!(redacted(&json!({ "x": secret }).to_string()), format!("{{\"x\":\"{quoted}\"}}"));
    assert_eq!(redacted(&format!("{secret:?}")), format!("\"{quoted}\""));
    // One secret is a part of another.
    assert_eq!(redacted("say it"), format!("{part} it"));
    // A long line of a key is redacted by itself. A short line is not, because it may be any text.
    assert_eq!(redacted(&format!("bad line: {long}")), format!("bad line: {key}"));
    assert_eq!(redacted("short"), "short");
    let both = options.secrets().clone().and(Default::default());
    assert_eq!(&both, options.secrets());
    assert_eq!(redacted("nothing"), "nothing");
}

#[test]
fn the_first_reference_is_found_by_its_place() {
    let place = |options: Value| {
        let Value::Object(options) = options else { panic!("options are an object") };
        SecretReference::first_place(&options)
    };
    assert_eq!(place(json!({ "file": "x", "a": { "file": 1 } })), None);
    let found = place(json!({ "a": [1, { "b c": { "env": "X" } }] }));
    assert_eq!(found.as_deref(), Some("options.a[1].\"b c\""));
}
