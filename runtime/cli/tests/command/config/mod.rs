//! Configuration files: which mistakes are refused, with which message and line; and `wireplug
//! config check`.

mod control;
mod listeners;
mod nats;
mod samples;
mod services;
mod start;
mod trust;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use wireplug::config::{AccessConfig, BuiltinApp, ClientLimits, CodecLimits, LogConfig, ServerConfig};
use wireplug::{App, Config, Server};

/// The smallest valid file. Tests append to it, so that the line numbers above stay the same.
const MINIMAL: &str = r#"
[[listeners]]
url = "tcp://127.0.0.1:3010"
codec = "pomelo"

[codecs.pomelo]
builtin = "pomelo"
"#;

/// Returns the problems of a text, one for each line. The text counts as a file in the directory of
/// this crate, whose path is left out of the problems.
#[track_caller]
fn problems(text: &str) -> Vec<String> {
    let directory = format!("{}/", env!("CARGO_MANIFEST_DIR"));
    let file = PathBuf::from(format!("{directory}w.toml"));
    let problems = Config::parse(text, &file).expect_err("the file is wrong");
    problems.to_string().replace(&directory, "").lines().map(str::to_owned).collect()
}

/// Returns the problems of the smallest file with this text appended.
#[track_caller]
fn added(text: &str) -> Vec<String> {
    problems(&format!("{MINIMAL}{text}"))
}

fn parse(text: &str) -> Config {
    Config::parse(text, Path::new("w.toml")).unwrap_or_else(|problems| panic!("{problems}"))
}

// === valid files ===

#[test]
fn what_is_not_set_has_its_default() {
    let config = parse(MINIMAL);
    assert_eq!(config.log, LogConfig::default());
    assert_eq!(config.server, ServerConfig::default());
    assert_eq!(config.codecs["pomelo"].limits, CodecLimits::default());
    assert_eq!(config.codecs["pomelo"].options, serde_json::Map::new());
    assert_eq!(config.listeners[0].access, AccessConfig::default());
    assert_eq!(config.listeners[0].limits, ClientLimits::default());
}

#[test]
fn the_schema_tells_the_defaults() {
    let definitions = &Config::schema()["$defs"];
    let defaults = [
        ("LogConfig", serde_json::to_value(LogConfig::default()).unwrap()),
        ("ServerConfig", serde_json::to_value(ServerConfig::default()).unwrap()),
        ("CodecLimits", serde_json::to_value(CodecLimits::default()).unwrap()),
        ("AccessConfig", serde_json::to_value(AccessConfig::default()).unwrap()),
        ("ClientLimits", serde_json::to_value(ClientLimits::default()).unwrap()),
    ];
    for (name, default) in defaults {
        let properties = definitions[name]["properties"].as_object().expect("a table");
        for (key, schema) in properties {
            assert_eq!(schema["default"], default[key], "{name} {key}");
        }
    }
}

#[test]
fn times_and_sizes_have_units() {
    let config = parse(&format!(
        "{MINIMAL}
        limits = {{ memory = '1GiB', max-packet = '100B', call-wall = '2h', call-cpu = '1500ms', open-cpu = '2m' }}
        "
    ));
    let limits = config.codecs["pomelo"].limits;
    assert_eq!((limits.memory, limits.max_packet), (1 << 30, 100));
    assert_eq!(limits.call_wall, Duration::from_secs(7200));
    assert_eq!(limits.call_cpu, Duration::from_millis(1500));
    assert_eq!(limits.open_cpu, Duration::from_secs(120));

    let written = serde_json::to_value(limits).unwrap();
    assert_eq!(written["memory"], "1GiB");
    assert_eq!(written["max-packet"], "100B");
    assert_eq!(written["call-wall"], "2h");
    assert_eq!(written["call-cpu"], "1500ms");
    assert_eq!(serde_json::to_value(ClientLimits::default()).unwrap()["flush-interval"], "0ms");
    assert_eq!(serde_json::from_value::<CodecLimits>(written).unwrap(), limits);
}

#[test]
fn one_address_must_not_suspend_a_codec() {
    let faults = |keys: &str| format!("{MINIMAL}\nfaults = {{ {keys} }}");
    for right in ["per-address = 99", "per-address = 0, suspend = 1", "suspend = 0", "suspend = 21"] {
        parse(&faults(right));
    }
    let wrong = problems(&faults("suspend = 20"));
    assert_eq!(wrong.len(), 1);
    assert!(
        wrong[0].contains("codecs.pomelo.faults.suspend: `per-address` of 20 is not less than `suspend`"),
        "{wrong:?}"
    );
    assert!(wrong[0].ends_with("see codecs.pomelo.faults.per-address, 20 by default"), "{wrong:?}");
}

#[test]
fn options_are_the_codecs_own() {
    let text = format!(
        "{MINIMAL}\n[codecs.pomelo.options]\nheartbeat = 0x1e\nname = 'ü'\ndeep = {{ list = [1, 2.5, true] }}"
    );
    let options = serde_json::Value::from(parse(&text).codecs["pomelo"].options.clone());
    assert_eq!(options, json!({ "heartbeat": 30, "name": "ü", "deep": { "list": [1, 2.5, true] } }));
}

#[test]
fn a_configuration_is_written_as_it_is_read() {
    let config = parse(MINIMAL);
    let written = serde_json::to_value(&config).unwrap();
    assert_eq!(written["codecs"]["pomelo"].get("file"), None);
    assert_eq!(serde_json::from_value::<Config>(written).unwrap(), config);
}

// === mistakes that the schema finds ===

#[test]
fn what_is_not_toml_is_reported_with_its_line() {
    let found = problems("[codecs.pomelo]\nbuiltin = pomelo\n\nlimits = two\n");
    let lines: Vec<_> = found.iter().filter_map(|problem| problem.split(": ").next()).collect();
    assert_eq!(lines, ["w.toml:2:11", "w.toml:4:10"], "{found:?}");
    assert!(found.iter().all(|problem| problem.contains(": this is not TOML: ")), "{found:?}");
    assert_eq!(added("builtin = 'pomelo'"), ["w.toml:8:1: this is not TOML: duplicate key"]);
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known() {
    assert_eq!(
        added("limits = { max-packt = '1KiB', 'ma x' = 1 }"),
        [
            "w.toml:8:12: codecs.pomelo.limits.max-packt: this key is unknown; did you mean `max-packet`?",
            "w.toml:8:32: codecs.pomelo.limits.\"ma x\": this key is unknown; the keys here are \
             broadcast-classes, call-cpu, call-wall, keep-bytes, keep-packets, max-packet, memory, min-broadcast, \
             min-timer, open-cpu, over-cpu-timeout, session-cpu, sleep-after, slow-calls, total-cpu, total-memory",
        ]
    );
    assert_eq!(
        added("[log]\nlevel = 'all'\nlisteners = []"),
        [
            "w.toml:9:1: log.level: \"all\" is not allowed: it must be \"error\" or \"warn\" or \"info\" or \"debug\" or \
             \"trace\"",
            "w.toml:10:1: log.listeners: this key is unknown here; `listeners` belongs into the top of the file",
        ]
    );
    assert_eq!(
        problems(&MINIMAL.replace("codec = ", "limits.max-packt = '1KiB'\ncodec = ")),
        ["w.toml:4:8: listeners[0].limits.max-packt: this key is unknown here; `max-packet` belongs into \
          [codecs.NAME.limits]"]
    );
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        problems("[[listeners]]"),
        ["w.toml:1:1: listeners[0].url: it is missing: where it listens: `SCHEME://ADDRESS`, such as \
             `tcp://127.0.0.1:3010`. The scheme names a connector: those that are built in stand in the table \
             of `docs/configuration.md`"]
    );
    assert_eq!(problems("listeners = []\n[codecs]"), ["w.toml:1:1: listeners: at least one is needed"]);
    assert_eq!(
        problems("[[listeners]]\nurl = 'ws://a:1'"),
        ["w.toml:1:1: listeners[0].codec: it is missing: the name of a codec of this configuration; the \
          connector has none of its own"]
    );
}

#[test]
fn errors_for_values_of_the_wrong_kind_say_what_is_allowed() {
    assert_eq!(
        problems(
            "log = 3
            server.max-connections = 0
            server.drain-timeout = '10 s'
            listeners = [{ url = 'a:1', codec = 1, access = { allow = ['10.0.0.0/8', '10.0.0.1'] } }]
            [log2]
            [codecs.a]
            builtin = 'Pomelo'
            limits = { memory = '0B', max-packet = 65536, call-cpu = '0ms', slow-calls = 5_000_000_000 }
            [codecs.b]
            options = []"
        )
        .into_iter()
        .map(|problem| problem.split_once(": ").unwrap().1.to_owned())
        .collect::<Vec<_>>(),
        [
            "log: 3 is not allowed: it must be a table",
            "server.max-connections: 0 is not allowed: it must be a whole number from 1 to 1000000",
            "server.drain-timeout: \"10 s\" is not allowed: it must be a time: a whole number with its unit, ms, s, m or h, \
             such as \"250ms\" or \"10s\"",
            "listeners[0].url: \"a:1\" is not allowed: it must be a URL: `SCHEME://ADDRESS`, such as \
             \"tcp://127.0.0.1:3010\"",
            "listeners[0].codec: 1 is not allowed: it must be text in quotes",
            "listeners[0].access.allow[1]: \"10.0.0.1\" is not allowed: it must be a network in CIDR notation, such as \
             \"10.0.0.0/8\" or \"::1/128\"",
            "log2: this key is unknown; did you mean `log`?",
            "codecs.a.builtin: \"Pomelo\" is not allowed: it must be \"pomelo\" or \"sio\"",
            "codecs.a.limits.memory: \"0B\" is not allowed: it must be a size above zero: a whole number with its unit, B, \
             KiB, MiB or GiB, such as \"64KiB\"",
            "codecs.a.limits.max-packet: 65536 is not allowed: it must be a size above zero: a whole number with its unit, \
             B, KiB, MiB or GiB, such as \"64KiB\"",
            "codecs.a.limits.call-cpu: \"0ms\" is not allowed: it must be a time above zero: a whole number with its unit, \
             ms, s, m or h, such as \"250ms\" or \"10s\"",
            "codecs.a.limits.slow-calls: 5000000000 is not allowed: it must be a whole number from 1 to 1000",
            "codecs.b: it says neither `file`, a component, nor `builtin`, one that is built in",
            "codecs.b.options: a list is not allowed: it must be a table",
        ]
    );
}

#[test]
fn what_json_has_no_word_for_is_refused() {
    assert_eq!(
        added("options = { day = 2026-01-01, most = inf }"),
        [
            "w.toml:8:19: codecs.pomelo.options.day: a date is not allowed; as text, in quotes, it may be",
            "w.toml:8:38: codecs.pomelo.options.most: infinite and undefined numbers are not allowed",
        ]
    );
}

// === conflicts ===

#[test]
fn a_codec_comes_from_one_place_that_is_there() {
    assert_eq!(
        added(
            "[codecs.none]\n[codecs.both]\nfile = '../wireplug/codecs/pomelo.wasm'\nbuiltin = 'pomelo'\n[codecs.lost]\nfile = 'a/lost.wasm'"
        ),
        [
            "w.toml:8:9: codecs.none: it says neither `file`, a component, nor `builtin`, one that is \
             built in",
            "w.toml:10:1: codecs.both.file: a codec has either `file` or `builtin`, and not both; see \
             codecs.both.builtin, line 11",
            "w.toml:13:1: codecs.lost.file: there is no file a/lost.wasm",
        ]
    );
    let text = format!("{MINIMAL}[codecs.other]\nfile = '../wireplug/codecs/pomelo.wasm'");
    Config::parse(&text, &Path::new(env!("CARGO_MANIFEST_DIR")).join("w.toml")).expect("the file is there");
}

#[test]
fn a_listener_names_a_codec_that_there_is() {
    assert_eq!(
        problems(
            &format!("{MINIMAL}[codecs.other]\nbuiltin = 'pomelo'")
                .replace("codec = \"pomelo\"", "codec = \"pmelo\"")
        ),
        ["w.toml:4:1: listeners[0].codec: there is no codec \"pmelo\" in [codecs]; there is \"other\", \
             \"pomelo\"; \
          see codecs, line 6"]
    );
}

#[test]
fn packets_fit_the_sandbox() {
    assert_eq!(
        added("limits = { max-packet = '4MiB' }\n[codecs.b]\nbuiltin = 'pomelo'\nlimits.memory = '128KiB'"),
        [
            "w.toml:8:12: codecs.pomelo.limits.max-packet: packets of 4MiB want `memory` of 32MiB or \
             more, 8 times a batch, and it is 16MiB; see codecs.pomelo.limits.memory, 16MiB by default",
            "w.toml:8:12: codecs.pomelo.limits.max-packet: `high-water` of 256KiB is less than the largest \
             packet, 4MiB; see listeners[0].limits.high-water, 256KiB by default",
            "w.toml:8:12: codecs.pomelo.limits.max-packet: `max-outbox` of 1MiB is less than the largest \
             packet, 4MiB; see listeners[0].limits.max-outbox, 1MiB by default",
            "w.toml:11:8: codecs.b.limits.memory: packets of 64KiB want `memory` of 512KiB or more, 8 \
             times a batch, and it is 128KiB; see codecs.b.limits.max-packet, 64KiB by default",
        ]
    );
}

#[test]
fn arrays_of_the_sio_codec_fit_a_packet() {
    assert_eq!(
        added("[codecs.sio]\nbuiltin = 'sio'\nlimits.max-packet = '4KiB'\n"),
        [
            "w.toml:10:8: codecs.sio.limits.max-packet: `max-batch`, 8192 bytes unless it is set, is more than the \
             largest packet, 4KiB",
        ]
    );
    parse(&format!(
        "{MINIMAL}[codecs.sio]\nbuiltin = 'sio'\nlimits.max-packet = '4KiB'\noptions.max-batch = 4096\n"
    ));
}

#[test]
fn a_sandbox_has_limits_that_go_together() {
    assert_eq!(
        added("limits = { memory = '5GiB', call-cpu = '2s', open-cpu = '3s', call-wall = '2s' }"),
        [
            "w.toml:8:12: codecs.pomelo.limits.memory: a sandbox of 5GiB is more than all together may \
             have, 4GiB; see \
             codecs.pomelo.limits.total-memory, 4GiB by default",
            "w.toml:8:12: codecs.pomelo.limits.memory: 5GiB is more than a sandbox can address: at most 4GiB",
            "w.toml:8:46: codecs.pomelo.limits.open-cpu: `open-cpu` of 3s is never used up in 2s of wall \
             time; see \
             codecs.pomelo.limits.call-wall, line 8",
        ]
    );
}

#[test]
fn a_clients_limits_go_together() {
    assert_eq!(
        added(
            "limits.max-packet = '64KiB'
            [[listeners]]
            url = 'ws://127.0.0.1:0'
            codec = 'pomelo'
            limits.handshake-timeout = '2s'
            limits.high-water = '32KiB'
            limits.max-outbox = '63KiB'
            limits.bytes-per-second = '1B'"
        ),
        [
            "w.toml:12:20: listeners[1].limits.handshake-timeout: the handshake is to be over after 2s, \
             but its first byte may take 5s; see listeners[1].limits.first-byte-timeout, 5s by default",
            "w.toml:13:20: listeners[1].limits.high-water: `high-water` of 32KiB is less than the largest \
             packet, 64KiB; see codecs.pomelo.limits.max-packet, line 8",
            "w.toml:14:20: listeners[1].limits.max-outbox: `max-outbox` of 63KiB is less than the largest \
             packet, 64KiB; see codecs.pomelo.limits.max-packet, line 8",
            "w.toml:15:20: listeners[1].limits.bytes-per-second: `bytes-per-second` of 1B is less \
             than the largest packet, 64KiB; see codecs.pomelo.limits.max-packet, line 8",
        ]
    );
    // Zero means no deadline and no rate limit.
    parse(&MINIMAL.replace(
        "codec = ",
        "limits = { handshake-timeout = '0s', bytes-per-second = '0B', first-byte-timeout = '20s' }\ncodec = ",
    ));
}

// === all problems at once ===

#[test]
fn all_that_is_wrong_is_reported_at_once() {
    let text = r#"
[server]
max-conections = 5

[codecs.pomelo]
file = "lost.wasm"
[codecs.pomelo.limits]
memory = "much"
max-packet = "512KiB"

[[listeners]]
codec = "pomelo"
[listeners.limits]
max-in-flight = 0
handshake-timeout = "1s"

[[listeners]]
url = "tcp://127.0.0.1:3010"
codec = "pomela"
"#;
    assert_eq!(
        problems(text),
        [
            "w.toml:3:1: server.max-conections: this key is unknown; did you mean `max-connections`?",
            "w.toml:6:1: codecs.pomelo.file: there is no file lost.wasm",
            "w.toml:8:1: codecs.pomelo.limits.memory: \"much\" is not allowed: it must be a size above \
             zero: a whole number with its unit, B, KiB, MiB or GiB, such as \"64KiB\"",
            "w.toml:9:1: codecs.pomelo.limits.max-packet: `high-water` of 256KiB is less than the largest \
             packet, 512KiB; see listeners[0].limits.high-water, 256KiB by default",
            "w.toml:11:1: listeners[0].url: it is missing: where it listens: `SCHEME://ADDRESS`, such as \
             `tcp://127.0.0.1:3010`. The scheme names a connector: those that are built in stand in the table \
             of `docs/configuration.md`",
            "w.toml:14:1: listeners[0].limits.max-in-flight: 0 is not allowed: it must be a whole number \
             from 1 to 1000000",
            "w.toml:15:1: listeners[0].limits.handshake-timeout: the handshake is to be over after 1s, \
             but its first byte may take 5s; see listeners[0].limits.first-byte-timeout, 5s by default",
            "w.toml:19:1: listeners[1].codec: there is no codec \"pomela\" in [codecs]; there is \
             \"pomelo\"; see codecs, line 5",
        ]
    );
}

#[test]
fn what_follows_from_another_problem_is_not_reported() {
    // The codec exists although it is wrong, and the memory may be enough once it is valid. So
    // neither problem has a consequence that is reported.
    assert_eq!(
        problems("codecs.pomelo = 3\nlisteners = [{ url = 'tcp://a:1', codec = 'pomelo' }, 4]").len(),
        2
    );
    assert_eq!(added("limits = { memory = 'x', max-packet = '64MiB' }").len(), 3);
    assert_eq!(problems("codecs = 3\nlisteners = 4").len(), 2);
    assert_eq!(problems("").len(), 1);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let problems = Config::load(Path::new("no/such.toml")).expect_err("there is none");
    assert!(
        problems.to_string().starts_with("no/such.toml: the configuration cannot be read: "),
        "{problems}"
    );
}

#[test]
fn a_configuration_set_in_code_is_checked_too() {
    let mut config = parse(MINIMAL);
    config.listeners[0].codec = Some("other".to_owned());
    let problems =
        Server::from_config(App::new(), &config, Path::new("")).expect_err("it contradicts itself");
    assert_eq!(
        problems.to_string(),
        "listeners[0].codec: there is no codec \"other\" in [codecs]; there is \"pomelo\"; see codecs"
    );
}

#[test]
fn a_file_to_be_served_names_its_application() {
    let standalone = |text: &str| {
        Config::parse_standalone(text, Path::new("w.toml")).map_err(|problems| problems.to_string())
    };
    let none = standalone(MINIMAL).unwrap_err();
    assert!(
        none.starts_with("w.toml:1:1: app: it is missing: without an application every request"),
        "{none}"
    );
    let demo = standalone(&format!("app = 'demo'{MINIMAL}")).unwrap();
    assert_eq!(demo.app, Some(BuiltinApp::Demo));
    let nats = "[nats]\nservers = ['nats://127.0.0.1:4222']\n[services.chat]";
    standalone(&format!("{MINIMAL}{nats}")).unwrap();
    assert_eq!(
        standalone(&format!("app = 'demo'{MINIMAL}{nats}")).unwrap_err(),
        "w.toml:1:1: app: the application is either the demo or services, over HTTP or behind NATS: leave one of them out; \
         see nats, line 8"
    );
    let url = "[services.chat]\nurl = 'http://127.0.0.1:1/chat'";
    standalone(&format!("{MINIMAL}{url}")).unwrap();
    assert_eq!(
        standalone(&format!("app = 'demo'{MINIMAL}{url}")).unwrap_err(),
        "w.toml:1:1: app: the application is either the demo or services, over HTTP or behind NATS: leave one of them out; \
         see services, line 8"
    );
    assert_eq!(
        standalone(&format!("app = 'deno'{MINIMAL}")).unwrap_err(),
        "w.toml:1:1: app: \"deno\" is not allowed: it must be \"demo\""
    );
    // An embedder has an application of their own, and cannot use the built-in one.
    let refused = Server::from_config(App::new(), &demo, Path::new("")).unwrap_err().to_string();
    assert!(refused.starts_with("app: only the command `wireplug` carries this application"), "{refused}");
}
