//! The files of `docs/deploy` are compared with each other and with the program.

mod checked_by;
mod compose;
mod kubernetes;
mod systemd;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use wireplug::Config;
use wireplug::config::ControlAddress;
use wireplug_tests::folder::Folder;
use wireplug_tests::running::finish;
use yaml_rust2::{Yaml, YamlLoader};

use super::program::wireplug;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

/// Where the containers have their tokens.
const TOKENS: &str = "/run/secrets/wireplug";

fn path(name: &str) -> PathBuf {
    Path::new(DOCS).join("deploy").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the document of a YAML file.
fn yaml(name: &str) -> Value {
    let documents = YamlLoader::load_from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(documents.len(), 1, "{name}");
    json(&documents[0])
}

fn json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::String(text) | Yaml::Real(text) => Value::from(text.as_str()),
        Yaml::Integer(number) => Value::from(*number),
        Yaml::Boolean(is) => Value::from(*is),
        Yaml::Array(items) => items.iter().map(json).collect(),
        Yaml::Hash(entries) => {
            let key = |key: &Yaml| key.as_str().expect("a key is text").to_owned();
            Value::Object(entries.iter().map(|(name, value)| (key(name), json(value))).collect())
        }
        Yaml::Null => Value::Null,
        other => panic!("{other:?} is not used in these files"),
    }
}

/// Returns what is at this path of a document.
#[track_caller]
fn at<'a>(document: &'a Value, pointer: &str) -> &'a Value {
    document.pointer(pointer).unwrap_or_else(|| panic!("there is no {pointer} in {document}"))
}

#[track_caller]
fn text_at<'a>(document: &'a Value, pointer: &str) -> &'a str {
    at(document, pointer).as_str().unwrap_or_else(|| panic!("{pointer} is no text"))
}

#[track_caller]
fn list<'a>(document: &'a Value, pointer: &str) -> &'a Vec<Value> {
    at(document, pointer).as_array().unwrap_or_else(|| panic!("{pointer} is no list"))
}

/// Returns the words of a list of texts.
fn words(list: &Value) -> Vec<String> {
    let word = |word: &Value| word.as_str().expect("it is text").to_owned();
    list.as_array().expect("it is a list").iter().map(word).collect()
}

/// Checks that the program takes this command line, without running it.
#[track_caller]
fn is_taken(arguments: &[String]) {
    let help = finish(wireplug(arguments).arg("--help")).result();
    let usage = format!("Usage: wireplug {}", arguments.first().map_or("", String::as_str));
    assert!(help.as_ref().is_ok_and(|help| help.contains(&usage)), "{arguments:?}: {help:?}");
}

/// Returns the time of `5s` or `5min`.
fn time(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).expect("it has a unit"));
    let number: u64 = number.parse().expect("a number");
    match unit {
        "s" => Duration::from_secs(number),
        "min" => Duration::from_secs(60 * number),
        _ => panic!("{unit} is no unit of a time"),
    }
}

/// Returns the time in which a server with this configuration ends, without any wait before.
fn end(config: &Config) -> Duration {
    config.server.drain_spread + config.server.drain_timeout + Duration::from_secs(10)
}

/// The configuration of a container, as `wireplug config check` and the library read it.
struct Configured {
    config: Config,
    clients: u16,
    control: u16,
    health: u16,
}

/// Checks the configuration of a container, which has its tokens at [`TOKENS`].
fn configured(name: &str, text: &str) -> Configured {
    let folder = Folder::new(name);
    assert!(text.contains(&format!("{TOKENS}/tokens")), "{name}: it has no tokens");
    folder.write_secret("tokens", "admin admin 0123456789abcdef\nprometheus read fedcba9876543210\n");
    let text = text.replace(TOKENS, &folder.root().display().to_string());
    let file = folder.write("wireplug.toml", &text);
    let checked = finish(wireplug(["config", "check"]).arg(&file)).result();
    assert!(checked.as_ref().is_ok_and(|checked| checked.contains(": ok\n")), "{name}: {checked:?}");
    let config = Config::parse_standalone(&text, &file).unwrap_or_else(|problems| panic!("{problems}"));
    let control = match config.control.as_ref().and_then(|control| control.listen.as_ref()) {
        Some(ControlAddress::Http(address)) => address.port(),
        other => panic!("{name}: containers need a control API over TCP, and not {other:?}"),
    };
    let [listener] = &config.listeners[..] else { panic!("{name}: it has one listener") };
    let clients = listener.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("it has a port");
    let health = config.health.as_ref().expect("containers have health checks").listen.port();
    Configured { config, clients, control, health }
}

/// Returns the words of a line of the Dockerfile that has them as JSON.
fn in_image(instruction: &str) -> Vec<String> {
    let dockerfile = text("Dockerfile");
    let line = dockerfile.lines().find(|line| line.starts_with(instruction)).expect("the image has it");
    let (_, list) = line.split_once('[').expect("it is JSON");
    words(&serde_json::from_str(&format!("[{list}")).expect("it is JSON"))
}

#[test]
fn the_image_runs_the_program_of_this_version() {
    let dockerfile = text("Dockerfile");
    let toolchain =
        fs::read_to_string(Path::new(DOCS).join("../rust-toolchain.toml")).expect("there is a toolchain");
    let toolchain: toml::Table = toolchain.parse().expect("it is TOML");
    let channel = toolchain["toolchain"]["channel"].as_str().expect("it has a version");
    assert!(dockerfile.contains(&format!("FROM rust:{channel}-slim-bookworm AS build\n")), "{channel}");
    assert!(dockerfile.contains(&format!("\nENV RUSTUP_TOOLCHAIN={channel}\n")), "{channel}");
    // The second stage has the C library of the same Debian.
    assert!(dockerfile.contains("\nFROM gcr.io/distroless/cc-debian12:nonroot\n"));
    assert_eq!(in_image("ENTRYPOINT"), ["/usr/local/bin/wireplug"]);
    is_taken(&in_image("CMD"));
    let health = in_image("HEALTHCHECK");
    assert_eq!(health[0], "wireplug");
    is_taken(&health[1..]);
}

/// Each file is explained, and each command line of the page is one of the program.
#[test]
fn the_page_has_all_files_and_right_commands() {
    let page = fs::read_to_string(Path::new(DOCS).join("deploy.md")).expect("there is a page");
    let mut files = BTreeSet::new();
    let mut folders = vec![path("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it is there") {
            let entry = entry.expect("it can be read").path();
            match entry.is_dir() {
                true if entry.ends_with("secrets") => {}
                true => folders.push(entry),
                false => drop(files.insert(entry)),
            }
        }
    }
    // It belongs to the Dockerfile. The page names the configuration of Prometheus by its program.
    for name in files.iter().filter_map(|file| file.strip_prefix(DOCS).ok()?.to_str()) {
        let is_part = name.ends_with(".dockerignore") || name.ends_with("prometheus.yml");
        assert!(is_part || page.contains(&format!("]({name})")), "{name} is not in the page");
    }
    let commands: Vec<&str> = page.lines().filter(|line| line.starts_with("wireplug ")).collect();
    assert!(!commands.is_empty());
    for command in commands {
        is_taken(&command.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>());
    }
}
