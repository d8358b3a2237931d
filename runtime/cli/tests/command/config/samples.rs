//! The sample configuration and the configurations of the examples are valid, and a server starts
//! from the sample.

use std::path::{Path, PathBuf};

use wireplug::config::{LogFormat, LogLevel, Problem};
use wireplug::{App, Config, Server};
use wireplug_tests::folder::Folder;
use wireplug_tests::running::{Finished, finish};

use super::parse;
use crate::program::wireplug;

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/production.toml")
}

#[test]
fn the_schema_takes_the_sample() {
    let sample: serde_json::Value = toml::from_str(&std::fs::read_to_string(sample()).unwrap()).unwrap();
    jsonschema::validate(&Config::schema(), &sample).unwrap();
}

#[tokio::test]
async fn a_server_starts_from_the_sample() {
    let config = Config::load(&sample()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((config.log.level, config.log.format), (LogLevel::Info, LogFormat::Json));
    assert_eq!(config.app, None, "the demo is no application for production");

    let text = std::fs::read_to_string(sample()).unwrap();
    // No NATS server is running.
    let mut config =
        parse(&text.replace(":3010", ":0").replace(":3020", ":0").replace("127.0.0.1:4222", "127.0.0.1:1"));
    // A small number, because the machines that run tests are small.
    config.server.max_connections = 4;
    let server = Server::from_config(App::new(), &config, Path::new("")).unwrap().start().await.unwrap();
    assert_eq!(server.urls().len(), 2);
    server.shutdown().await;
}

/// The configuration of each example names an application, unless the example has one. The codecs
/// and the certificates, which the README of the example makes, need not be there.
#[test]
fn the_files_of_the_examples_name_their_application() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-examples");
    let mut seen = 0;
    for example in std::fs::read_dir(examples).unwrap() {
        let folder = example.unwrap().path();
        let file = folder.join("wireplug.toml");
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        seen += 1;
        let has_application = folder.join("app.rs").exists();
        let parse = if has_application { Config::parse } else { Config::parse_standalone };
        if let Err(problems) = parse(&text, &file) {
            let is_not_made_yet = |problem: &Problem| {
                problem.what.starts_with("there is no file ")
                    || problem.what.ends_with(" cannot be read: No such file or directory (os error 2)")
            };
            assert!(problems.list.iter().all(is_not_made_yet), "{problems}");
        }
    }
    assert!(seen > 4, "only {seen} were found");
}

#[test]
fn the_samples_of_the_reference_are_right() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```toml\n").expect("a sample");
    let (sample, _) = rest.split_once("```").expect("its end");
    Config::parse_standalone(sample, Path::new("w.toml")).unwrap_or_else(|problems| panic!("{problems}"));
}

#[test]
fn the_command_checks_files() {
    let check = |file: &Path| {
        let Finished { code, output, errors } = finish(wireplug(["config", "check"]).arg(file));
        (code, output, errors)
    };
    let (code, out, err) = check(&sample());
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let summary = format!(
        "{}: ok\n  serves services behind NATS: chat\n  codec pomelo: pomelo, built in\n",
        sample().display()
    );
    assert!(out.starts_with(&summary), "{out}");
    assert!(out.ends_with("  at most 10000 connections\n"), "{out}");

    let folder = Folder::new("config-services");
    let file = folder.write(
        "services.toml",
        "[services.chat]
url = 'http://127.0.0.1:8080/chat'
[codecs.pomelo]
builtin = 'pomelo'
[[listeners]]
url = 'tcp://127.0.0.1:0'
codec = 'pomelo'
",
    );
    let (code, out, err) = check(&file);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(
        out.starts_with(&format!("{}: ok\n  serves services over HTTP: chat\n", file.display())),
        "{out}"
    );

    let folder = Folder::new("config-wrong");
    let file = folder.write("wrong.toml", "app = 'demo'\n[server]\nmax-connection = 1");
    let (code, out, err) = check(&file);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let lines: Vec<_> = err.lines().filter_map(|line| line.strip_prefix(file.to_str().unwrap())).collect();
    assert_eq!(lines.len(), 2, "{err}");
    assert_eq!(lines[1], ":3:1: server.max-connection: this key is unknown; did you mean `max-connections`?");
}
