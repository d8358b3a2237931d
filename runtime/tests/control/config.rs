//! What of a configuration concerns the control API and SIGHUP.

use std::path::Path;

use wireplug::config::{Config, Problems};

const MINIMAL: &str = r#"
[[listeners]]
url = "tcp://127.0.0.1:3010"
codec = "pomelo"

[codecs.pomelo]
builtin = "pomelo"
"#;

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(text, Path::new("w.toml"))
}

/// What is wrong with a table `[control]` with these keys.
#[track_caller]
fn control(keys: &str) -> Vec<String> {
    let problems = parse(&format!("{MINIMAL}[control]\n{keys}")).expect_err("this is wrong");
    problems.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn the_control_api_is_for_nobody_but_those_who_may() {
    let open = "other machines reach this address, and whoever does can replace the codecs: \
                set `token-file`, or listen on 127.0.0.1; see control.token-file, which has its default";
    for address in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1"] {
        assert_eq!(
            control(&format!("listen = '{address}'")),
            [format!("w.toml:9:1: control.listen: {open}")]
        );
    }
    for address in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        parse(&format!("{MINIMAL}[control]\nlisten = '{address}'")).expect("this is right");
    }
    assert_eq!(
        control("listen = '127.0.0.1:3010'\ntoken-file = 'nowhere'"),
        [
            "w.toml:9:1: control.listen: a listener has 127.0.0.1:3010; see listeners[0].url, line 3",
            "w.toml:10:1: control.token-file: there is no file nowhere",
        ]
    );
    assert_eq!(
        control("listen = 'localhost:1'"),
        [
            "w.toml:9:1: control.listen: \"localhost:1\" is not allowed: it must be a socket address: an IP address \
          with a port, such as \"127.0.0.1:3011\" or \"[::1]:3011\""
        ]
    );
    assert_eq!(
        control("max-upload = '0B'")[0],
        "w.toml:8:2: control.listen: it is missing: where it listens, such as `127.0.0.1:3011`. From another \
         machine it is reached only with a token; it speaks no TLS, so let a tunnel or a proxy that does carry \
         it over networks. Port 0 takes a free one"
    );
}

#[test]
fn what_needs_a_restart_is_told_by_its_key() {
    let keys = |old: &str, new: &str| -> Vec<String> {
        let [old, new] = [old, new].map(|text| parse(text).expect("this is right"));
        old.needs_restart(&new).iter().map(ToString::to_string).collect()
    };
    let taken_over = format!("options.heartbeat = 5\nsha256 = '{}'", "0".repeat(64));
    assert_eq!(keys(MINIMAL, &format!("{MINIMAL}{taken_over}")), [""; 0]);
    let new = "limits.memory = '1GiB'\nswap.watch = false\n[codecs.'a b']\nbuiltin = 'pomelo'\n\
               [log]\nlevel = 'warn'\n[control]\nlisten = '127.0.0.1:1'";
    let differ = ["log", "control", "codecs.\"a b\"", "codecs.pomelo.swap", "codecs.pomelo.limits"];
    assert_eq!(keys(MINIMAL, &format!("{MINIMAL}{new}")), differ);
    assert_eq!(keys(&format!("{MINIMAL}{new}"), MINIMAL), differ);
}
