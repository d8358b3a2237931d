//! The units for systemd, which go with `docs/production.toml`.

use std::path::Path;

use wireplug::Config;
use wireplug::config::ControlAddress;

use super::{DOCS, end, is_taken, text, time};

/// Returns the values of a key of a unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[track_caller]
fn value<'a>(unit: &'a str, key: &str) -> &'a str {
    let values = values(unit, key);
    assert_eq!(values.len(), 1, "{key}");
    values[0]
}

fn production() -> Config {
    Config::load(&Path::new(DOCS).join("production.toml")).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_service_goes_with_the_configuration() {
    let (unit, config) = (text("systemd/wireplug.service"), production());
    for key in ["ExecStart", "ExecReload"] {
        let words: Vec<String> = value(&unit, key).split(' ').map(str::to_owned).collect();
        assert_eq!(words[0], "/usr/local/bin/wireplug");
        is_taken(&words[1..]);
    }
    let control = config.control.as_ref().and_then(|control| control.listen.clone());
    let Some(ControlAddress::Unix(socket)) = control else { panic!("it has a socket: {control:?}") };
    let variable = format!("WIREPLUG_CONTROL=unix://{}", socket.display());
    assert!(values(&unit, "Environment").contains(&&*variable), "{variable}");
    let folder = Path::new("/run").join(value(&unit, "RuntimeDirectory"));
    assert_eq!(socket.parent(), Some(&*folder));
    let cache = format!("XDG_CACHE_HOME=/var/cache/{}", value(&unit, "CacheDirectory"));
    assert!(values(&unit, "Environment").contains(&&*cache), "{cache}");
    // Also with the spread that the sample recommends.
    let mut spread = config.clone();
    assert!(
        std::fs::read_to_string(Path::new(DOCS).join("production.toml"))
            .is_ok_and(|text| text.contains("# drain-spread = \"30s\""))
    );
    spread.server.drain_spread = time("30s");
    assert!(time(value(&unit, "TimeoutStopSec")) > end(&spread));
    let files: u32 = value(&unit, "LimitNOFILE").parse().expect("a number");
    assert!(files >= config.server.max_connections + 200);
    // With "yes", no compiled codec could run.
    assert_eq!(value(&unit, "MemoryDenyWriteExecute"), "no");
    assert_eq!([value(&unit, "Type"), value(&unit, "NotifyAccess")], ["notify", "all"]);
}

#[test]
fn the_sockets_are_those_of_the_listeners() {
    let (unit, config) = (text("systemd/wireplug.socket"), production());
    let addresses: Vec<_> = config.listeners.iter().filter_map(|it| it.url.split_once("://")).collect();
    let addresses: Vec<_> = addresses.into_iter().map(|(_, address)| address).collect();
    assert_eq!(values(&unit, "ListenStream"), addresses);
}
